"""``load``: every kind of source, with the truth that went in."""

import nibabel as nib
import numpy as np
import pytest
import trimesh

from shapekit import io
from shapekit.core.checks import InputError, SchemeError, UsageError
from shapekit.core.grid import Grid
from shapekit.core.levels import Level
from shapekit.core.values import LabelMap, MeshSet
from shapekit.io import load
from shapekit.io.volumes import write_label_map
from tests.io.conftest import SHAPE, affine_of

LUMBAR = {20: Level.L1, 21: Level.L2, 22: Level.L3}


@pytest.fixture
def lumbar(grid) -> np.ndarray:
    """L1 to L3 as ellipsoids of 23 000 to 27 000 mm³, 35 mm apart: bodies, in a volume 26 x 68 x 119 mm."""
    array = np.zeros(SHAPE, np.uint8)
    i, j, k = np.indices(SHAPE)
    for n, value in enumerate((22, 21, 20)):
        array[((i - 18) * 0.7 / 12.9) ** 2 + ((j - 26) * 1.3 / 33) ** 2 + ((k - 8 - 12 * n) * 2.9 / 15) ** 2 < 1] = value
    return array


@pytest.fixture
def mask(tmp_path, lumbar, grid):
    path = tmp_path / "sub-1_seg-vert_msk.nii.gz"
    write_label_map(path, lumbar, grid)
    return path


@pytest.fixture
def body(lumbar) -> np.ndarray:
    array = np.zeros(SHAPE, np.uint8)
    array[:, 20:] = np.where(lumbar[:, 20:] > 0, 50, 0)
    return array


def folder_of(path, lumbar, grid, **more):
    path.mkdir()
    for value, level in LUMBAR.items():
        write_label_map(path / f"vertebrae_{level}.nii.gz", (lumbar == value).astype(np.uint8), grid)
    for name, array in more.items():
        write_label_map(path / f"{name}.nii.gz", array, grid)
    return path


def test_a_mask(mask, lumbar, grid):
    labels = load(mask)
    assert isinstance(labels, LabelMap)
    assert (labels.name, labels.scheme, dict(labels.levels)) == ("sub-1_seg-vert_msk", "verse", LUMBAR)
    assert np.array_equal(labels.array, lumbar)
    assert labels.grid.is_close(grid)
    assert labels.notes
    assert load(str(mask), name="case").name == "case"
    assert io.load is load


def test_a_scheme_that_is_asked_for(mask, refuses):
    assert load(mask, scheme="totalsegmentator-v1").levels[20] is Level.L3
    refuses(UsageError, "nonsense", lambda: load(mask, scheme="nonsense"))
    refuses(SchemeError, mask.name, lambda: load(mask, scheme="xvertseg"))


def test_files_name_themselves_in_every_complaint(tmp_path, lumbar, grid, refuses):
    write_label_map(tmp_path / "odd.nii.gz", np.where(lumbar == 21, 77, lumbar).astype(np.uint8), grid)
    refuses(SchemeError, "odd.nii.gz", lambda: load(tmp_path / "odd.nii.gz"), "77")
    write_label_map(tmp_path / "none.nii.gz", np.zeros(SHAPE, np.uint8), grid)
    refuses(InputError, "none.nii.gz", lambda: load(tmp_path / "none.nii.gz"))
    nib.Nifti1Image(np.random.default_rng(0).integers(-1000, 2000, SHAPE, np.int16), grid.affine).to_filename(tmp_path / "ct.nii.gz")
    refuses(InputError, "ct.nii.gz", lambda: load(tmp_path / "ct.nii.gz"), "TotalSegmentator")
    refuses(UsageError, "list", lambda: load([1, 2]))
    refuses(InputError, "L1.ply", lambda: load(tmp_path / "L1.ply"))


def test_a_nibabel_image_with_names(lumbar, grid):
    image = nib.Nifti1Image(lumbar // 20 * 3 + lumbar % 20, grid.affine)  # 3, 4, 5: known only by their names
    rows = "".join(f'<Label Key="{3 + n}"><![CDATA[vertebrae_L{n + 1}]]></Label>' for n in range(3))
    image.header.extensions.append(nib.nifti1.Nifti1Extension(0, f"<CaretExtension><LabelTable>{rows}</LabelTable></CaretExtension>".encode()))
    labels = load(image, name="case")
    assert (labels.name, dict(labels.levels)) == ("case", {3: Level.L1, 4: Level.L2, 5: Level.L3})


# folders


def test_a_folder_of_classes(tmp_path, lumbar, grid):
    empty, sacrum = np.zeros(SHAPE, np.uint8), (lumbar == 22).astype(np.uint8)
    labels = load(folder_of(tmp_path / "segmentations", lumbar, grid, vertebrae_T12=empty, vertebrae_S1=sacrum, liver=sacrum))
    assert (labels.name, dict(labels.levels)) == ("segmentations", LUMBAR)
    assert np.array_equal(labels.array, lumbar)
    assert any("vertebrae_S1" in note for note in labels.notes)


def test_overlapping_classes_go_to_the_lower_one(tmp_path, lumbar, grid):
    grown = (lumbar == 20) | (lumbar == 21)
    labels = load(folder_of(tmp_path / "a", lumbar, grid, vertebrae_L1=grown.astype(np.uint8)))
    assert np.array_equal(labels.array, lumbar)
    assert any(str(int((lumbar == 21).sum())) in note and "L2" in note for note in labels.notes)


def test_folders_that_hold_no_case(tmp_path, lumbar, grid, refuses):
    other = folder_of(tmp_path / "other", lumbar, grid)
    write_label_map(other / "vertebrae_L4.nii.gz", lumbar, Grid(SHAPE, affine_of(origin_mm=(0.0, 0.0, 1.0))))
    refuses(InputError, "vertebrae_L4.nii.gz", lambda: load(other), "grid")
    refuses(UsageError, "verse", lambda: load(folder_of(tmp_path / "named", lumbar, grid), scheme="verse"))
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "notes.txt").write_text("no mask")
    refuses(InputError, "bare", lambda: load(tmp_path / "bare"), "no masks")
    empty = np.zeros(SHAPE, np.uint8)
    (tmp_path / "empty").mkdir()
    write_label_map(tmp_path / "empty" / "vertebrae_L1.nii.gz", empty, grid)
    refuses(InputError, "empty", lambda: load(tmp_path / "empty"), "all of them are empty")
    (tmp_path / "two").mkdir()
    for name in ("a.nii.gz", "b.nii.gz"):
        write_label_map(tmp_path / "two" / name, lumbar, grid)
    refuses(InputError, "two", lambda: load(tmp_path / "two"), "2 masks")
    (tmp_path / "two" / "b.nii.gz").unlink()
    assert load(tmp_path / "two").name == "a"


# body masks


@pytest.mark.parametrize(("values", "source"), [((49, 50), "subregions"), ((1, 2), "given")])
@pytest.mark.parametrize("turned", [[[0, 1], [1, 1], [2, 1]], [[1, -1], [2, 1], [0, -1]], [[2, -1], [0, -1], [1, 1]]])
def test_a_body_mask_in_any_axis_order(tmp_path, mask, body, grid, values, source, turned):
    marked = np.where(body > 0, values[0], 0).astype(np.uint8)
    marked[:, 30:][body[:, 30:] > 0] = values[1]
    if source == "subregions":
        marked[:, :10] = 41  # the arch
    nib.Nifti1Image(marked, grid.affine).as_reoriented(np.array(turned)).to_filename(tmp_path / "body.nii.gz")
    labels = load(mask, body_mask=tmp_path / "body.nii.gz")
    assert labels.body_source == source
    assert np.array_equal(labels.body_mask, body > 0)
    assert any("body.nii.gz" in note for note in labels.notes)


def test_body_masks_that_do_not_belong(tmp_path, mask, body, lumbar, grid, refuses):
    write_label_map(tmp_path / "shifted.nii.gz", body, Grid(SHAPE, affine_of(origin_mm=(-31.0, 17.5, 241.0))))
    refuses(InputError, "shifted.nii.gz", lambda: load(mask, body_mask=tmp_path / "shifted.nii.gz"), "grid")
    write_label_map(tmp_path / "coarse.nii.gz", body[::2], Grid(body[::2].shape, grid.affine))
    refuses(InputError, "coarse.nii.gz", lambda: load(mask, body_mask=tmp_path / "coarse.nii.gz"), "grid")
    write_label_map(tmp_path / "apart.nii.gz", (lumbar == 0).astype(np.uint8), grid)
    refuses(InputError, "apart.nii.gz", lambda: load(mask, body_mask=tmp_path / "apart.nii.gz"), "no voxel")


# meshes


def test_a_mapping_of_meshes(tmp_path, refuses):
    for level, height in (("L1", 26.0), ("L2", 27.0)):
        trimesh.creation.box((45.0, 33.0, height)).export(tmp_path / f"{level}.ply")
    meshes = load({"L1": tmp_path / "L1.ply", Level.L2: str(tmp_path / "L2.ply")}, name="case")
    assert isinstance(meshes, MeshSet)
    assert (meshes.name, list(meshes.meshes)) == ("case", [Level.L1, Level.L2])
    assert np.ptp(meshes.meshes[Level.L2].vertices[:, 2]) == pytest.approx(27.0)
    refuses(UsageError, "S1", lambda: load({"S1": tmp_path / "L1.ply"}))
    refuses(UsageError, "empty", lambda: load({}))
    refuses(UsageError, "body_mask", lambda: load({"L1": tmp_path / "L1.ply"}, body_mask=tmp_path / "a.nii.gz"))
    refuses(InputError, "L9.ply", lambda: load({"L1": tmp_path / "L9.ply"}))


# real cases


def test_a_real_vertebra_with_its_subregions(real_data):
    labels = load(real_data / "tptbox/sub-ct_seg-vert_label-22_msk.nii.gz", body_mask=real_data / "tptbox/sub-ct_seg-subreg_label-22_msk.nii.gz")
    assert labels.levels[22] is Level.L3
    assert labels.body_source == "subregions"
    share = float((labels.body_mask & (labels.array == 22)).sum() / (labels.array == 22).sum())
    assert 0.4 < share < 0.75


def test_a_real_body_mask_with_discs(real_data):
    folder = real_data / "totalsegmentator"
    labels = load(folder / "example_vertebrae_verse-labels_v1.nii.gz", body_mask=folder / "spine_report_vertebrae_body.nii.gz")
    assert (labels.body_source, int(labels.body_mask.sum())) == ("given", 11005)
