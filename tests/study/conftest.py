"""Short phantom spines with known fractures, laid out as VerSe and xVertSeg are."""

import numpy as np
import pytest

from shapekit.core.levels import Level
from shapekit.phantom import acquire, draw_patient, patient_generator, scan_grid
from tests.datasets.layouts import WORKBOOK, verse_rows, write_spine, write_text_table, write_xvertseg

LUMBAR = ("T12", "L1", "L2", "L3", "L4")
XVERTSEG = {Level(f"L{n}"): 190 + 10 * n for n in range(1, 6)}


def spine(number, levels, fractures):
    """A scan of a phantom of a few levels, 1.2 x 1.2 x 1.5 mm."""
    generator = patient_generator(77, number)
    patient = draw_patient(generator, levels=levels, fractures=fractures)
    return acquire(patient, scan_grid(patient, (1.2, 1.2, 1.5)), generator=generator).labels


@pytest.fixture(scope="session")
def verse(tmp_path_factory):
    """VerSe'19's subject-based structure: five patients, one with two series; verse_ID is not subject_ID."""
    root = tmp_path_factory.mktemp("data") / "verse19"
    wedge = {"L2": ("wedge", 0.45)}
    scans = [  # series, subject, fractures, grades
        (266, 409, {}, dict.fromkeys(LUMBAR, 0)),
        (262, 409, wedge, {"T12": 0, "L1": 0, "L2": 3, "L3": 0, "L4": None}),
        (31, 417, wedge, {"T12": 0, "L1": 0, "L2": 3, "L3": "x", "L4": 0}),
        (14, 14, {}, dict.fromkeys(LUMBAR, 0)),
        (57, 433, {}, {}),
    ]
    for number, (series, subject, fractures, _) in enumerate(scans):
        labels = spine(number, LUMBAR, fractures)
        values = {level: value for value, level in labels.levels.items()}
        if series == 14:
            values[Level.T12] = 7  # called C7: the neck is left out
        split = "" if series == subject else f"_split-verse{series:03d}"
        folder = root / "dataset-verse19training" / "derivatives" / f"sub-verse{subject:03d}"
        write_spine(folder / f"sub-verse{subject:03d}{split}_seg-vert_msk.nii.gz", labels, values)
    rows = verse_rows(*((series, subject, grades) for series, subject, _, grades in scans))
    shape = rows[0].index("L2_fx-s")
    for row in rows[1:]:
        if row[0] in (262, 31):
            row[shape] = 1
    write_text_table(root / WORKBOOK.replace(".xlsx", ".csv"), rows)
    return root


@pytest.fixture(scope="session")
def xvertseg(tmp_path_factory):
    """xVertSeg's Data1: one image of L1 to L4 with a crushed L2."""
    root = tmp_path_factory.mktemp("data") / "xVertSeg.v1"
    labels = spine(9, LUMBAR[1:], {"L2": ("crush", 0.45)})
    array = np.zeros(labels.array.shape, np.uint8)
    for value, level in labels.levels.items():
        array[labels.array == value] = XVERTSEG[level]
    write_xvertseg(root / "Data1" / "masks" / "mask001.mhd", array, labels.grid)
    rows = [["image", *(f"grade L{n}" for n in range(1, 6)), *(f"case L{n}" for n in range(1, 6))], ["image001", 0, 3, 0, 0, "", 0, 3, 0, 0, ""]]
    write_text_table(root / "Data1" / "scores" / "scores.csv", rows)
    return root
