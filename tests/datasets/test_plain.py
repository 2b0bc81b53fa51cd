import pytest

from shapekit.core.levels import Level
from shapekit.datasets import open_dataset
from shapekit.datasets.plain import read_plain, with_grades
from shapekit.datasets.tables import GradeTable
from shapekit.datasets.tree import list_tree
from tests.datasets.layouts import lay_out, lumbar, write_spine, write_text_table


def test_masks_with_a_table_of_grades(tmp_path):
    root = lay_out(tmp_path / "mine", "b.nii.gz", "a.nii.gz", "deeper/c.nrrd.nii.gz", "a_ct.nii.gz", "deeper/ct.nii.gz")
    (root / "read me.txt").write_text("no mask")
    write_text_table(root / "grades.tsv", [["case", "level", "grade"], ["a", "L1", 2], ["A", "L2", "x"], ["B", "T12", 0], ["gone", "L1", 1]], "\t")
    dataset = open_dataset(root)
    assert (dataset.kind, dataset.name) == ("plain", "mine")
    assert {case.name: (case.subject, case.scheme, case.grades) for case in dataset} == {
        "a": ("a", "auto", {Level.L1: 2}),
        "b": ("b", "auto", {Level.T12: 0}),
        "c.nrrd": ("c.nrrd", "auto", {}),
    }
    assert {case.name: case.ct and case.ct.name for case in dataset} == {"a": "a_ct.nii.gz", "b": None, "c.nrrd": None}
    assert any("left out: ct.nii.gz (named as a CT" in note for note in dataset.notes)
    assert any(note.endswith("no case or several: gone") for note in dataset.notes)


def test_one_name_in_several_folders_carries_the_folders_names(tmp_path):
    root = lay_out(tmp_path / "d", "one/mask.nii.gz", "two/mask.nii.gz", "two/other.nii.gz")
    write_text_table(root / "grades.csv", [["case", "level", "grade"], ["mask", "L1", 2], ["two_mask", "L1", 3]])
    dataset = open_dataset(root)
    assert {case.name: case.grades for case in dataset} == {"one_mask": {}, "two_mask": {Level.L1: 3}, "other": {}}
    assert any("several: mask" in note for note in dataset.notes)


def test_names_that_stay_the_same_are_there_once(tmp_path):
    root = lay_out(tmp_path / "d", "mask.nii.gz")
    (root / "mask.nii").write_bytes((root / "mask.nii.gz").read_bytes())
    cases, notes = read_plain(list_tree(root))
    assert [case.name for case in cases] == ["mask"]
    assert any("already" in note for note in notes)


def test_bids_subjects_with_several_sessions_are_one_patient(tmp_path):
    root = lay_out(tmp_path / "d", "sub-1_ses-1_msk.nii.gz", "sub-1_ses-2_msk.nii.gz")
    assert [case.subject for case in open_dataset(root)] == ["sub-1", "sub-1"]


def test_cases_are_not_changed_by_grades(tmp_path):
    cases, _ = read_plain(list_tree(lay_out(tmp_path / "d", "a.nii.gz")))
    graded, notes = with_grades(cases, GradeTable({"a": {Level.L1: 1}}))
    assert (cases[0].grades, graded[0].grades, notes) == ({}, {Level.L1: 1}, [])


def test_a_ct_is_the_one_whose_name_says_the_same(tmp_path):
    names = (
        "one/mask",
        "one/ct",
        "two/mask",
        "two/ct",
        "b_seg",
        "b_ct",
        "images/sub-1_ses-2_ct",
        "masks/sub-1_ses-2_seg-vert_label-3_dseg",
        "x_seg",
        "y_ct",
    )
    root = lay_out(tmp_path / "d", *(f"{name}.nii.gz" for name in names))
    lay_out(root, "z_seg.nii.gz", "here/z_ct.nii.gz", "there/z_ct.nii.gz")
    cases, _ = read_plain(list_tree(root))
    assert {case.name: case.ct and case.ct.relative_to(root).as_posix() for case in cases} == {
        "one_mask": "one/ct.nii.gz",
        "two_mask": "two/ct.nii.gz",
        "b_seg": "b_ct.nii.gz",
        "sub-1_ses-2_seg-vert_label-3_dseg": "images/sub-1_ses-2_ct.nii.gz",
        "x_seg": None,
        "z_seg": None,
    }


@pytest.mark.parametrize("link", [True, False])
def test_a_mask_is_loaded_by_evidence_through_a_link_too(tmp_path, link):
    path = write_spine(tmp_path / "elsewhere" / "a.nii.gz", lumbar())
    root = path.parent
    if link:
        root = tmp_path / "d"
        root.mkdir()
        (root / "b.nii.gz").symlink_to(path)
    labels = open_dataset(root)[0].load()
    assert (labels.levels, labels.name) == (lumbar().levels, "b" if link else "a")
