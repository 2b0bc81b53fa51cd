from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from shapekit.core.levels import Level
from shapekit.datasets import open_dataset
from shapekit.datasets.tree import list_tree
from shapekit.datasets.verse import identity_of, read_verse
from tests.datasets.layouts import WORKBOOK, lay_out, lumbar, tiny, verse_rows, write_text_table, write_workbook
from tests.real.conftest import real_file

pytest.importorskip("openpyxl")

ROWS = verse_rows(
    (4, 4, {"T9": 2, "T10": 2.0, "T11": 0, "L1": 3, "L2": "0", "L3": "x", "L4": None}),
    (266, 409, {"L1": 1, "L6": 2}),
    (262, 409, {"T12": "x "}),
    (500, 500, {}),
)


def subject_based(root):
    """As on OSF: one folder a part, ``split`` for the series of a patient who has several, pictures and centroids between."""
    train, test = "dataset-verse19training", "dataset-03test"
    for part, subject, name in (
        (train, "sub-verse004", "sub-verse004"),
        (train, "sub-verse409", "sub-verse409_split-verse266"),
        (train, "sub-verse409", "sub-verse409_split-verse262"),
        ("dataset-verse19validation", "sub-verse500", "sub-verse500_dir-sag"),
        (test, "sub-gl195", "sub-gl195_dir-ax"),
    ):
        tiny(root / part / "rawdata" / subject / f"{name}_ct.nii.gz")
        own = root / part / "derivatives" / subject
        tiny(own / f"{name}_seg-vert_msk.nii.gz")
        (own / f"{name}_seg-subreg_ctd.json").write_text('[{"direction": ["P", "I", "R"]}]')
        (own / f"{name}_seg-vert_snp.png").write_bytes(b"png")
    return root


def by_name(dataset):
    return {case.name: case for case in dataset}


def test_the_subject_based_structure(tmp_path):
    root = subject_based(tmp_path / "verse")
    write_workbook(root / WORKBOOK, ROWS)
    dataset = open_dataset(root)
    assert (dataset.kind, dataset.name, len(dataset)) == ("verse", "verse", 5)
    cases = by_name(dataset)
    assert {case.split for case in dataset[:1]} == {"test"}
    assert {name.partition("_seg")[0]: (case.subject, case.split) for name, case in cases.items()} == {
        "sub-verse004": ("sub-verse004", "train"),
        "sub-verse409_split-verse266": ("sub-verse409", "train"),
        "sub-verse409_split-verse262": ("sub-verse409", "train"),
        "sub-verse500_dir-sag": ("sub-verse500", "validation"),
        "sub-gl195_dir-ax": ("sub-gl195", "test"),
    }
    for case in dataset:
        assert case.scheme == "verse"
        assert case.ct.name == case.mask.name.replace("_seg-vert_msk", "_ct")
        assert case.body_mask is None


def test_grades_are_of_the_series_and_blank_and_x_are_never_grade_0(tmp_path):
    root = subject_based(tmp_path / "verse")
    write_workbook(root / WORKBOOK, ROWS)
    grades = {name.partition("_seg")[0]: case.grades for name, case in by_name(open_dataset(root)).items()}
    assert grades["sub-verse004"] == {Level.T9: 2, Level.T10: 2, Level.T11: 0, Level.L1: 3, Level.L2: 0}
    assert grades["sub-verse409_split-verse266"] == {Level.L1: 1, Level.L6: 2}
    assert grades["sub-verse409_split-verse262"] == {}
    assert grades["sub-verse500_dir-sag"] == grades["sub-gl195_dir-ax"] == {}


def test_the_shape_of_a_fracture_is_no_grade_and_is_kept_of_fractured_vertebrae(tmp_path):
    rows = verse_rows((266, 409, {"T12": 0, "L1": 1, "L2": 2, "L3": 3, "L4": 1, "L5": "x"}))
    for level, shape in {"T12": 1, "L1": 1.0, "L2": "2", "L3": 3, "L4": 0, "L5": 2}.items():
        rows[1][rows[0].index(f"{level}_fx-s")] = shape
    root = subject_based(tmp_path / "verse")
    write_text_table(root / WORKBOOK.replace(".xlsx", ".csv"), rows)
    case = by_name(open_dataset(root))["sub-verse409_split-verse266_seg-vert_msk"]
    assert case.deformities == {Level.L1: "wedge", Level.L2: "biconcave", Level.L3: "crush"}
    assert case.grades[Level.L4] == 1


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_workbook_saved_as_text_says_the_same(tmp_path, delimiter):
    root = subject_based(tmp_path / "verse")
    book = write_workbook(tmp_path / "elsewhere" / "any.xlsx", ROWS)
    text = write_text_table(tmp_path / "elsewhere" / "any.csv", ROWS, delimiter)
    assert open_dataset(root, grades=book).cases == open_dataset(root, grades=text).cases
    assert any(case.grades for case in open_dataset(root, grades=text))


def test_the_challenges_structure_is_named_by_series_and_the_workbook_says_whose_they_are(tmp_path):
    root = lay_out(
        tmp_path / "verse",
        "verse004.nii.gz",
        "verse004_seg.nii.gz",
        "verse262.nii.gz",
        "verse262_seg.nii.gz",
        "verse266_seg.nii.gz",
        "03_test/verse500_CT-sag.nii.gz",
        "03_test/verse500_CT-sag_seg.nii.gz",
        "03_test/GL195_CT_ax_seg.nii.gz",
    )
    (root / "verse004_ctd.json").write_text("[]")
    told = open_dataset(root, grades=write_workbook(tmp_path / "grades.xlsx", ROWS))
    assert {case.name: case.subject for case in told} == {
        "verse004_seg": "sub-verse004",
        "verse262_seg": "sub-verse409",
        "verse266_seg": "sub-verse409",
        "verse500_CT-sag_seg": "sub-verse500",
        "GL195_CT_ax_seg": "sub-gl195",
    }
    cases = by_name(told)
    assert cases["verse266_seg"].grades == {Level.L1: 1, Level.L6: 2}
    assert (cases["verse004_seg"].ct.name, cases["verse500_CT-sag_seg"].ct.name) == ("verse004.nii.gz", "verse500_CT-sag.nii.gz")
    assert cases["verse266_seg"].ct is None
    assert [cases[name].split for name in ("verse004_seg", "verse500_CT-sag_seg")] == ["", "test"]
    untold = open_dataset(root)
    assert by_name(untold)["verse266_seg"].subject == "sub-verse266"
    assert [note[0] for note in untold.notes if "look like two patients" in note] == ["5"]
    assert [note[0] for note in told.notes if "look like two patients" in note] == ["1"]


def test_a_series_that_both_years_bring_is_there_once(tmp_path):
    root = lay_out(tmp_path / "v", "verse19/verse004_seg.nii.gz", "verse20/verse004_CT-iso_seg.nii.gz", "verse20/verse500_seg.nii.gz")
    dataset = open_dataset(root)
    assert [case.name for case in dataset] == ["verse004_seg", "verse500_seg"]
    assert any("verse004_CT-iso_seg.nii.gz" in note and "already" in note for note in dataset.notes)


def test_a_subject_without_split_in_its_name_takes_its_only_series_from_the_table(tmp_path):
    root = lay_out(tmp_path / "v", "sub-verse409_seg-vert_msk.nii.gz")
    one = open_dataset(root, grades=write_workbook(tmp_path / "one.xlsx", verse_rows((266, 409, {"L1": 1}))))
    assert (one[0].subject, one[0].grades) == ("sub-verse409", {Level.L1: 1})
    two = open_dataset(root, grades=write_workbook(tmp_path / "two.xlsx", ROWS))
    assert two[0].grades == {}
    assert any("several series" in note for note in two.notes)


def test_a_table_that_contradicts_a_name_decides_and_is_noted(tmp_path):
    root = lay_out(tmp_path / "v", "sub-verse410_split-verse266_seg-vert_msk.nii.gz")
    dataset = open_dataset(root, grades=write_workbook(tmp_path / "g.xlsx", ROWS))
    assert dataset[0].subject == "sub-verse409"
    assert any("another subject" in note for note in dataset.notes)


def test_what_macos_leaves_and_empty_files_are_no_cases(tmp_path):
    root = lay_out(
        tmp_path / "v", "sub-verse004_seg-vert_msk.nii.gz", "__MACOSX/sub-verse005_seg-vert_msk.nii.gz", "._sub-verse006_seg-vert_msk.nii.gz"
    )
    (root / "sub-verse007_seg-vert_msk.nii.gz").write_bytes(b"")
    dataset = open_dataset(root)
    assert [case.subject for case in dataset] == ["sub-verse004"]
    assert any("sub-verse007" in note and "0 bytes" in note for note in dataset.notes)


def test_a_mask_as_float_in_another_orientation_with_an_sform_alone(tmp_path):
    spine = lumbar()
    turned = nib.Nifti1Image(spine.array.astype(np.float64), None)
    turned.header.set_sform(spine.grid.affine, code=1)
    turned = nib.Nifti1Image.from_filename(_saved(turned, tmp_path / "ras.nii.gz"))
    pir = turned.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(turned.affine), nib.orientations.axcodes2ornt("PIR")))
    path = tmp_path / "v" / "sub-verse004_seg-vert_msk.nii.gz"
    path.parent.mkdir()
    pir.header.set_qform(None, code=0)
    pir.to_filename(path)
    stored = nib.load(path)
    assert nib.aff2axcodes(stored.affine) == ("P", "I", "R")
    assert (stored.get_data_dtype(), int(stored.header["qform_code"])) == (np.float64, 0)
    labels = open_dataset(path.parent)[0].load()
    assert labels.levels == spine.levels
    for value in spine.levels:
        there, here = (np.argwhere(found.array == value).mean(axis=0) for found in (labels, spine))
        assert np.allclose(labels.grid.to_world(there), spine.grid.to_world(here), atol=1e-3)


def _saved(image, path):
    image.to_filename(path)
    return path


def test_other_names_are_not_verses():
    for name in (
        "verse004.nii.gz",
        "sub-verse004_ct.nii.gz",
        "sub-verse004_seg-subreg_msk.nii.gz",
        "universe004_seg.nii.gz",
        "sub-01_seg-vert_msk.nii.gz",
    ):
        assert identity_of(Path(name)) is None


def test_an_empty_tree_gives_no_case(tmp_path):
    assert read_verse(list_tree(tmp_path)) == ([], [])


def test_the_real_masks_and_their_grades():
    folder = real_file("verse19/genant_grades.csv").parent
    dataset = open_dataset(folder)
    cases = {case.subject: case for case in dataset}
    assert dataset.kind == "verse"
    assert cases["sub-verse004"].grades == {Level.T9: 2, Level.T10: 2, Level.T11: 0, Level.T12: 0, Level.L1: 3, Level.L2: 0, Level.L3: 0}
    assert cases["sub-verse005"].grades == {Level.L1: 1, Level.L2: 1, Level.L3: 1, Level.L4: 1, Level.L5: 0}
    assert {name for name, case in cases.items() if case.ct} == {"sub-verse005", "sub-verse014"}
    assert set(cases["sub-verse006"].load().levels.values()) == {Level.L4, Level.L5}
