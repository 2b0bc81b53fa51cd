import os
import subprocess
import sys

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


def test_a_seed_is_the_same_patient_on_every_processor() -> None:
    show = (
        "import hashlib, numpy; from shapekit.phantom import acquire, draw_patient, scan_grid\n"
        "one = draw_patient(19, levels=['L1', 'L2'])\n"
        "scan = acquire(one, scan_grid(one, 2.0), generator=numpy.random.default_rng(0), noise_mm=0.0, defects=0.0)\n"
        "print(hashlib.sha256(scan.labels.array.tobytes()).hexdigest())"
    )
    told = [
        subprocess.run([sys.executable, "-c", show], env={**os.environ, **kernels}, capture_output=True, text=True, check=True).stdout
        for kernels in ({}, {"OPENBLAS_CORETYPE": "Nehalem"}, {"OPENBLAS_CORETYPE": "Sandybridge"})  # numpy's LAPACK as an older processor runs it
    ]
    assert told[0] == told[1] == told[2]
