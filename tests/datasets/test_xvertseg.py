import numpy as np
import pytest

from shapekit.core.levels import Level
from shapekit.datasets import open_dataset
from shapekit.datasets.tree import list_tree
from shapekit.datasets.xvertseg import mask_files
from tests.datasets.layouts import lumbar, write_xvertseg

VALUES = {Level.L2: 210, Level.L3: 220, Level.L4: 230, Level.L5: 240}


@pytest.fixture
def xvertseg(tmp_path):
    root, spine = tmp_path / "xVertSeg.v1", lumbar()
    array = np.zeros(spine.array.shape, np.uint8)
    for value, level in spine.levels.items():
        array[spine.array == value] = VALUES[level]
    for number in ("001", "002"):
        write_xvertseg(root / "Data1" / "masks" / f"mask{number}.mhd", array, spine.grid)
        write_xvertseg(root / "Data1" / "images" / f"image{number}.mhd", array.astype(np.int16), spine.grid)
    write_xvertseg(root / "Data2" / "images" / "image016.mhd", array.astype(np.int16), spine.grid)
    return root


def scores(root, text):
    path = root / "Data1" / "scores" / "scores.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("delimiter", [",", ";"])
@pytest.mark.parametrize("image", ["image001", "image001.mhd", "1", "001"])
def test_grades_come_before_cases(xvertseg, delimiter, image):
    header = ["image", *(f"grade L{n}" for n in range(1, 6)), *(f"case L{n}" for n in range(1, 6))]
    rows = [header, [image, "", "0", "3", "x", "1", "0", "0", "3", "2", "1"], ["image002", "0", "0", "0", "7", "2", "", "", "", "", ""]]
    scores(xvertseg, "\n".join(delimiter.join(row) for row in rows))
    dataset = open_dataset(xvertseg)
    assert dataset.kind == "xvertseg"
    assert [(case.name, case.subject, case.ct.name) for case in dataset] == [
        ("mask001", "xvertseg001", "image001.mhd"),
        ("mask002", "xvertseg002", "image002.mhd"),
    ]
    assert dataset[0].grades == {Level.L2: 0, Level.L3: 3, Level.L5: 1}
    assert dataset[0].deformities == {Level.L3: "crush", Level.L5: "wedge"}
    assert dataset[1].deformities == {}
    assert dataset[1].grades == {Level.L1: 0, Level.L2: 0, Level.L3: 0, Level.L5: 2}
    assert any("1 cells are neither" in note for note in dataset.notes)
    assert any("image016.mhd" in note and "without a mask" in note for note in dataset.notes)


def test_the_masks_are_read_with_their_own_values(xvertseg):
    spine = lumbar()
    labels = open_dataset(xvertseg)[0].load()
    assert labels.levels == {value: level for level, value in VALUES.items()}
    assert labels.grid.is_close(spine.grid)
    assert np.array_equal(labels.array == 220, spine.array == 22)


def test_without_scores_there_are_no_grades_and_a_damaged_table_is_a_note(xvertseg):
    assert any("no scores.csv" in note for note in open_dataset(xvertseg).notes)
    scores(xvertseg, "")
    dataset = open_dataset(xvertseg)
    assert all(not case.grades for case in dataset)
    assert any(note.startswith("no grades: scores.csv is empty") for note in dataset.notes)


def test_data1_itself_can_be_opened(xvertseg):
    scores(xvertseg, "image001,1,1,1,1,1,1,1,1,1,1")
    dataset = open_dataset(xvertseg / "Data1")
    assert (dataset.kind, dataset[0].grades[Level.L1]) == ("xvertseg", 1)


def test_a_folder_named_masks_is_not_enough(tmp_path, xvertseg):
    (xvertseg / "Data1").rename(tmp_path / "mine")
    assert mask_files(list_tree(tmp_path)) == []
