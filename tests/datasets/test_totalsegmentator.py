import tracemalloc

import nibabel as nib
import numpy as np
import pytest

from shapekit.core.checks import InputError
from shapekit.core.grid import Grid
from shapekit.core.levels import Level
from shapekit.datasets import load_each, open_dataset
from shapekit.datasets.totalsegmentator import class_folders, has_named_vertebrae
from shapekit.datasets.tree import list_tree
from shapekit.io.nifti import write_label_map
from tests.datasets.layouts import lumbar, tiny

META = """\ufeffimage_id;age;gender;institute;study_type;split;pathology
s0000;70;m;A;ct thorax;train;none
s0011;61;f;B;x;val;tumor
s9999;1;f;B;x;test;none
"""
LABELS = "<CaretExtension><VolumeInformation><LabelTable>{}</LabelTable></VolumeInformation></CaretExtension>"


def class_folder(folder, spine, *, sacrum=True):
    """A mask a structure as TotalSegmentator writes it: all structures, those that are not in the scan without a voxel."""
    folder.mkdir(parents=True, exist_ok=True)
    values = {level: value for value, level in spine.levels.items()}
    for level in Level:
        if level not in (Level.T13, Level.L6):
            array = (spine.array == values[level]) if level in values else np.zeros(spine.array.shape, bool)
            write_label_map(folder / f"vertebrae_{level}.nii.gz", array.astype(np.uint8), spine.grid)
    for name in ("liver", "rib_left_1", *(["vertebrae_S1"] if sacrum else [])):
        write_label_map(folder / f"{name}.nii.gz", np.ones(spine.array.shape, np.uint8), spine.grid)
    return folder


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    root = tmp_path_factory.mktemp("ts") / "Totalsegmentator_dataset_v201"
    class_folder(root / "s0000" / "segmentations", lumbar())
    class_folder(root / "s0011" / "segmentations", lumbar())
    for name in ("s0000", "s0011"):
        tiny(root / name / "ct.nii.gz")
    (root / "meta.csv").write_text(META, encoding="utf-8")
    return root


def test_the_published_data_set(published):
    dataset = open_dataset(published)
    assert dataset.kind == "totalsegmentator"
    assert [(case.name, case.subject, case.split) for case in dataset] == [("s0000", "s0000", "train"), ("s0011", "s0011", "validation")]
    assert all(case.mask.name == "segmentations" and case.ct.name == "ct.nii.gz" for case in dataset)
    assert any("1 scans of meta.csv are not in the folder" in note for note in dataset.notes)
    assert not any("tumor" in note or "61" in note for note in dataset.notes)


def test_a_folder_of_masks_becomes_one_map(published):
    spine = lumbar()
    labels = open_dataset(published)[1].load()
    assert (labels.name, labels.levels) == ("s0011", spine.levels)
    assert np.array_equal(labels.array, spine.array)
    assert labels.grid.is_close(spine.grid)
    assert any("vertebrae_S1" in note for note in labels.notes)


def test_merging_holds_one_mask_at_a_time(tmp_path):
    grid = Grid((150, 170, 160), np.diag([0.8, 0.9, 1.5, 1.0]))
    (tmp_path / "s1").mkdir()
    for n in range(1, 13):
        array = np.zeros(grid.shape, np.uint8)
        array[50:90, 60:100, 160 - 13 * n : 170 - 13 * n] = 1
        write_label_map(tmp_path / "s1" / f"vertebrae_T{n}.nii.gz", array, grid)
    (case,) = open_dataset(tmp_path)
    tracemalloc.start()
    try:
        labels = case.load()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(labels.levels) == 12
    assert array.size < peak < 8 * array.size


def test_one_patients_output_folder_is_a_data_set_of_one(published):
    for folder in (published / "s0000", published / "s0000" / "segmentations"):
        dataset = open_dataset(folder)
        assert [(case.name, case.mask.name) for case in dataset] == [(folder.name, "segmentations")]


def test_bodies_beside_the_vertebrae_are_taken(tmp_path):
    spine = lumbar()
    class_folder(tmp_path / "out" / "scan", spine)
    write_label_map(tmp_path / "out" / "scan" / "vertebrae_body.nii.gz", (spine.array > 21).astype(np.uint8), spine.grid)
    labels = open_dataset(tmp_path / "out")[0].load()
    assert np.array_equal(labels.body_mask, spine.array > 21)


def test_multi_label_files_are_known_by_the_names_inside_them(tmp_path):
    spine = lumbar()
    values = {Level.L5: 27, Level.L4: 28, Level.L3: 29, Level.L2: 30}
    array = np.zeros(spine.array.shape, np.uint8)
    for value, level in spine.levels.items():
        array[spine.array == value] = values[level]
    image = nib.Nifti1Image(array, spine.grid.affine)
    names = "".join(f'<Label Key="{value}">vertebrae_{level}</Label>' for level, value in values.items())
    image.header.extensions.append(nib.nifti1.Nifti1Extension(0, LABELS.format(names).encode()))
    root = tmp_path / "ml"
    root.mkdir()
    image.to_filename(root / "a.nii.gz")
    tiny(root / "b.nii.gz")
    (root / "c.nii.gz").write_bytes(b"no image")
    assert open_dataset(root)[0].ct is None
    tiny(root / "ct.nii.gz")
    dataset = open_dataset(root)
    assert (dataset.kind, [(case.name, case.ct) for case in dataset]) == ("totalsegmentator", [("a", root / "ct.nii.gz")])
    assert dataset[0].load().levels == {value: level for level, value in values.items()}
    assert any("b.nii.gz, c.nii.gz" in note for note in dataset.notes)
    assert not has_named_vertebrae(root / "c.nii.gz")


def test_a_scan_without_vertebrae_and_one_on_two_grids_are_passed_by_with_a_reason(published, tmp_path):
    spine = lumbar()
    for name in ("s1", "s2"):
        class_folder(tmp_path / name / "segmentations", spine)
    for file in (tmp_path / "s1" / "segmentations").glob("vertebrae_L*"):
        write_label_map(file, np.zeros(spine.array.shape, np.uint8), spine.grid)
    tiny(tmp_path / "s2" / "segmentations" / "vertebrae_L3.nii.gz", 1)
    (tmp_path / "s3").symlink_to(published / "s0000", target_is_directory=True)
    read = {case.name: (labels, reason) for case, labels, reason in load_each(open_dataset(tmp_path))}
    assert "all of them are empty" in read["s1"][1]
    assert "another grid" in read["s2"][1]
    assert read["s1"][0] is read["s2"][0] is None
    assert (read["s3"][0].levels, read["s3"][1]) == (spine.levels, "")


def test_a_damaged_meta_table_costs_the_split_alone(tmp_path):
    tiny(tmp_path / "s1" / "segmentations" / "vertebrae_L1.nii.gz", 1)
    (tmp_path / "meta.csv").write_bytes(b"\xff\xfe\xff")
    dataset = open_dataset(tmp_path)
    assert (dataset[0].split, len(dataset)) == ("", 1)
    assert any("no published split" in note for note in dataset.notes)
    (tmp_path / "meta.csv").write_text("image;fold\ns1;train\n")
    assert any("image_id and split" in note for note in open_dataset(tmp_path).notes)


def test_sacrum_and_body_masks_alone_are_no_folder_of_vertebrae(tmp_path):
    tiny(tmp_path / "a" / "vertebrae_S1.nii.gz", 1)
    tiny(tmp_path / "a" / "vertebrae_body.nii.gz", 1)
    assert class_folders(list_tree(tmp_path)) == []
    with pytest.raises(InputError, match="holds no case of the kind totalsegmentator"):
        open_dataset(tmp_path, "totalsegmentator")
