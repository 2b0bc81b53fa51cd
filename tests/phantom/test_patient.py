import numpy as np

from shapekit.phantom import acquire, demo_patient, scan_grid


def test_the_demo_patient_has_its_three_fractures() -> None:
    patient = demo_patient()
    grades = {str(v.level): (v.grade, v.deformity) for v in patient if v.grade}
    assert grades == {"T8": (2, "wedge"), "T12": (3, "crush"), "L3": (1, "biconcave")}


def test_a_scan_holds_every_level() -> None:
    patient = demo_patient()
    scan = acquire(patient, scan_grid(patient, 2.5), generator=np.random.default_rng(0))
    assert set(scan.labels.levels.values()) == set(patient.levels)
    assert scan.cut == frozenset()
