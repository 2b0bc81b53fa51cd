import numpy as np

from shapekit.core.levels import Level
from shapekit.datasets import open_dataset
from shapekit.datasets.spineps import is_subregion_mask
from shapekit.io.nifti import write_label_map
from tests.datasets.layouts import lay_out, lumbar, tiny, write_spine, write_text_table
from tests.real.conftest import real_file


def test_each_image_with_its_own_sub_regions(tmp_path):
    derived = "derivatives_seg/sub-01/ses-2/anat/sub-01_ses-2"
    root = lay_out(
        tmp_path / "data",
        f"{derived}_mod-T2w_seg-vert_msk.nii.gz",
        f"{derived}_mod-T2w_seg-spine_msk.nii.gz",
        f"{derived}_mod-T1w_seg-vert_msk.nii.gz",
        f"{derived}_mod-T1w_seg-spine_msk.nii.gz",
        "derivatives_seg/sub-02/sub-02_mod-ct_seg-vert_msk.nii.gz",
        "derivatives_seg/sub-02/sub-02_mod-ct_seg-subreg_msk.nii.gz",
        "derivatives_seg/sub-03/sub-03_seg-vert_msk.nii.gz",
        "rawdata/sub-01/ses-2/anat/sub-01_ses-2_T2w.nii.gz",
        "rawdata/sub-02/sub-02_ct.nii.gz",
    )
    (root / "derivatives_seg" / "sub-02" / "sub-02_mod-ct_ctd.json").write_text("[]")
    dataset = open_dataset(root)
    assert dataset.kind == "spineps"
    assert [(case.subject, case.name, case.body_mask and case.body_mask.name, case.ct and case.ct.name) for case in dataset] == [
        ("sub-01", "sub-01_ses-2_mod-T1w_seg-vert_msk", "sub-01_ses-2_mod-T1w_seg-spine_msk.nii.gz", None),
        ("sub-01", "sub-01_ses-2_mod-T2w_seg-vert_msk", "sub-01_ses-2_mod-T2w_seg-spine_msk.nii.gz", None),
        ("sub-02", "sub-02_mod-ct_seg-vert_msk", "sub-02_mod-ct_seg-subreg_msk.nii.gz", "sub-02_ct.nii.gz"),
        ("sub-03", "sub-03_seg-vert_msk", None, None),
    ]
    assert any("1 masks have no sub-regions" in note for note in dataset.notes)
    assert {case.scheme for case in dataset} == {"spineps"}


def test_discs_and_endplates_are_no_vertebrae_and_both_corpus_values_are_the_body(tmp_path):
    spine = lumbar()
    vertebrae, regions = spine.array.copy(), np.where(spine.array > 0, 41, 0).astype(np.uint8)
    inside = np.argwhere(spine.array == 22)
    disc, endplate = tuple(inside[0]), tuple(inside[1])
    vertebrae = vertebrae.astype(np.uint16)
    vertebrae[disc], vertebrae[endplate] = 122, 222
    border, corpus = tuple(inside[2]), tuple(inside[3])
    regions[border], regions[corpus] = 49, 50
    write_label_map(tmp_path / "sub-01_seg-vert_msk.nii.gz", vertebrae, spine.grid)
    write_label_map(tmp_path / "sub-01_seg-spine_msk.nii.gz", regions, spine.grid)
    labels = open_dataset(tmp_path)[0].load()
    assert (labels.levels, labels.scheme, labels.body_source) == (spine.levels, "spineps", "subregions")
    assert {tuple(place) for place in np.argwhere(labels.body_mask)} == {border, corpus}


def test_a_name_without_subject_is_its_own_and_the_same_name_is_there_once(tmp_path):
    root = lay_out(tmp_path / "d", "a/scan_seg-vert_msk.nii.gz", "b/scan_seg-vert_msk.nii.gz", "scan_seg-spine_msk.nii.gz")
    dataset = open_dataset(root)
    assert [(case.subject, case.body_mask.name) for case in dataset] == [("scan_seg-vert_msk", "scan_seg-spine_msk.nii.gz")]
    assert any("already" in note for note in dataset.notes)


def test_unusable_files_are_notes(tmp_path):
    root = lay_out(tmp_path / "d", "sub-01_seg-vert_msk.nii.gz")
    (root / "sub-01_seg-spine_msk.nii.gz").write_bytes(b"")
    (root / "sub-02_seg-vert_msk.nii.gz").symlink_to(tmp_path / "gone")
    dataset = open_dataset(root)
    assert [(case.subject, case.body_mask) for case in dataset] == [("sub-01", None)]
    assert any("sub-02" in note for note in dataset.notes)
    assert any("as sub-regions" in note for note in dataset.notes)


def test_grades_by_scan_or_by_the_subject_of_one_scan(tmp_path):
    root = lay_out(tmp_path / "d", "sub-01_seg-vert_msk.nii.gz", "sub-02_ses-1_seg-vert_msk.nii.gz", "sub-02_ses-2_seg-vert_msk.nii.gz")
    rows = [["case", "level", "grade"], ["sub-01", "L1", 2], ["sub-02", "L1", 3], ["sub-02_ses-2", "L2", 1]]
    write_text_table(root / "grades.csv", rows)
    dataset = open_dataset(root)
    assert [case.grades for case in dataset] == [{Level.L1: 2}, {}, {Level.L2: 1}]
    assert any("sub-02" in note and "several" in note for note in dataset.notes)


def test_a_real_crop_as_tptbox_names_it():
    folder = real_file("tptbox/sub-ct_seg-vert_label-22_msk.nii.gz").parent
    (case,) = open_dataset(folder)
    assert (case.subject, case.ct.name) == ("sub-ct", "sub-ct_label-22_ct.nii.gz")
    assert is_subregion_mask(case.body_mask)
    labels = case.load()
    assert set(labels.levels.values()) == {Level.L2, Level.L3, Level.L4}
    assert labels.body_source == "subregions"


def test_a_mask_as_large_as_life_keeps_its_levels(tmp_path):
    write_spine(tmp_path / "sub-01_seg-vert_msk.nii.gz", lumbar())
    tiny(tmp_path / "sub-02_seg-vert_msk.nii.gz")
    assert open_dataset(tmp_path)[0].load().levels == lumbar().levels
