import itertools
import json
import sys

import pytest

from shapekit.core.checks import InputError, MissingPackageError, UsageError
from shapekit.core.levels import Level
from shapekit.datasets import KINDS, Dataset, open_dataset, write_cohort
from shapekit.datasets.opening import open_dataset as defined
from tests.datasets.layouts import WORKBOOK, lay_out, tiny, verse_rows, write_text_table, write_workbook

LAYOUTS = {
    "verse": ["rawdata/sub-verse004/sub-verse004_ct.nii.gz", "derivatives/sub-verse004/sub-verse004_seg-vert_msk.nii.gz"],
    "spineps": ["derivatives_seg/sub-1/sub-1_mod-T2w_seg-vert_msk.nii.gz", "derivatives_seg/sub-1/sub-1_mod-T2w_seg-spine_msk.nii.gz"],
    "ctspine1k": ["labels/liver_1_seg.nii.gz", "volumes/liver_1.nii.gz"],
    "xvertseg": ["Data1/masks/mask001.nii.gz", "Data1/images/image001.nii.gz"],
    "totalsegmentator": ["s0001/segmentations/vertebrae_L1.nii.gz", "s0001/ct.nii.gz"],
    "plain": ["a.nii.gz"],
}


@pytest.mark.parametrize("kind", LAYOUTS)
def test_a_kind_is_found_by_its_names_and_says_why(tmp_path, kind):
    root = lay_out(tmp_path / "d", *LAYOUTS[kind])
    dataset = open_dataset(root)
    assert (dataset.kind, len(dataset)) == (kind, 1)
    assert dataset.notes[0].startswith(f"{kind}: ")
    asked = open_dataset(root, kind)
    assert asked.cases == dataset.cases
    assert asked.notes[0] == f"{kind} as asked for"


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations([kind for kind in LAYOUTS if kind != "plain"], 2)))
def test_two_data_sets_in_one_folder_are_refused_with_both_names(tmp_path, one, other):
    root = lay_out(tmp_path / "d", *LAYOUTS[one], *LAYOUTS[other])
    with pytest.raises(UsageError, match="could be several") as caught:
        open_dataset(root)
    assert all(f"{kind}: " in str(caught.value) for kind in (one, other))
    assert {open_dataset(root, kind).kind for kind in (one, other)} == {one, other}


def test_a_cohort_of_phantoms_says_itself_what_it_is(tmp_path):
    cases = write_cohort(tmp_path / "c", 1, seed=3, labels="spineps")
    dataset = open_dataset(tmp_path / "c")
    assert (dataset.kind, list(dataset)) == ("phantom", cases)
    assert dataset.cases[0].load().body_source == "subregions"
    with pytest.raises(UsageError, match="true grades"):
        open_dataset(tmp_path / "c", grades=tmp_path / "g.csv")
    with pytest.raises(InputError, match="no complete phantom cohort"):
        open_dataset(lay_out(tmp_path / "d", "a.nii.gz"), "phantom")


@pytest.mark.parametrize("said", ["{", "[]", '{"Name": "another"}', "null", "[" * 60_000])
def test_another_description_is_no_cohort(tmp_path, said):
    root = lay_out(tmp_path / "d", *LAYOUTS["verse"])
    (root / "dataset_description.json").write_text(said)
    assert open_dataset(root).kind == "verse"


def test_a_data_set_is_a_sequence(tmp_path):
    dataset = open_dataset(lay_out(tmp_path / "d", "a.nii.gz", "b.nii.gz", "c.nii.gz"))
    assert [case.name for case in dataset] == ["a", "b", "c"]
    assert (dataset[-1].name, [case.name for case in dataset[:2]]) == ("c", ["a", "b"])
    assert dataset[0] in dataset
    assert isinstance(dataset, Dataset)
    assert defined is open_dataset


def test_nothing_is_written(tmp_path):
    root = lay_out(tmp_path / "d", *LAYOUTS["verse"])
    write_workbook(root / WORKBOOK, verse_rows((4, 4, {"L1": 1})))
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    list(open_dataset(root))
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_folders_that_hold_nothing_of_a_kind_are_refused_in_one_sentence(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty holds no mask"):
        open_dataset(tmp_path / "empty")
    root = lay_out(tmp_path / "d", "a_ct.nii.gz")
    for kind in KINDS[1:]:
        with pytest.raises(InputError, match=f"holds no case of the kind {kind}"):
            open_dataset(root, kind)
    with pytest.raises(UsageError, match="kind is 'nosuch'"):
        open_dataset(root, "nosuch")


def test_tables_of_grades_are_found_given_or_refused(tmp_path):
    root = lay_out(tmp_path / "d", *LAYOUTS["verse"])
    given = write_text_table(tmp_path / "mine.csv", [["case", "level", "grade"], ["sub-verse004", "L1", 1]])
    assert open_dataset(root)[0].grades == {}
    write_text_table(root / "tables" / "genant_grades.csv", [["case", "level", "genant_grade"], ["sub-verse004", "L1", 2]])
    assert open_dataset(root)[0].grades == {Level.L1: 2}
    write_workbook(root / WORKBOOK, verse_rows((4, 4, {"L1": 3})))
    with pytest.raises(UsageError, match="several tables"):
        open_dataset(root)
    assert open_dataset(root, grades=given)[0].grades == {Level.L1: 1}
    with pytest.raises(InputError, match="does not exist"):
        open_dataset(root, grades=tmp_path / "gone.csv")
    with pytest.raises(UsageError, match="none is read for xvertseg"):
        open_dataset(lay_out(tmp_path / "x", *LAYOUTS["xvertseg"]), grades=given)


def test_a_table_that_happens_to_lie_there_is_no_obstacle(tmp_path, monkeypatch):
    root = lay_out(tmp_path / "d", *LAYOUTS["verse"])
    (root / "grades.csv").write_text("pupil,mark\n")
    dataset = open_dataset(root)
    assert (dataset[0].grades, any(note.startswith("no grades: grades.csv") for note in dataset.notes)) == ({}, True)
    (root / "grades.csv").unlink()
    (root / "grades.xlsx").write_bytes(b"any")
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    assert any("openpyxl" in note for note in open_dataset(root).notes)
    with pytest.raises(MissingPackageError):
        open_dataset(root, grades=root / "grades.xlsx")


def test_names_reach_notes_without_folders_and_control_characters(tmp_path):
    root = tmp_path / "secret folder"
    tiny(root / "a.nii.gz")
    (root / "odd\nname.nii.gz").write_bytes(b"")
    notes = open_dataset(root).notes
    assert any("odd?name.nii.gz" in note for note in notes)
    assert not any("\n" in note or str(tmp_path) in note for note in notes)
    assert json.dumps(notes)
