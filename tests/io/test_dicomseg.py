"""DICOM segmentations, there and back, on an oblique anisotropic series; other makers' files are written with highdicom itself."""

import sys

import numpy as np
import pytest

import shapekit as sk
from shapekit.core.checks import InputError, MissingPackageError, OutputError, SchemeError, UsageError
from shapekit.core.grid import Grid
from shapekit.core.levels import Level
from shapekit.io import load
from shapekit.io.dicomseg import read_segmentation, write_segmentation
from shapekit.io.volumes import read_volume
from tests.io.conftest import affine_of

highdicom = pytest.importorskip("highdicom")
pydicom = pytest.importorskip("pydicom")

SHAPE = (26, 31, 17)
"""Columns, rows, slices: the array's first axis runs along an image's rows of pixels."""
SPACING_MM = (0.7, 1.3, 2.9)
LEVELS = {20: Level.L1, 21: Level.L2, 28: Level.T13}
PERSON = "DOE^JANE"


def write_series(folder, grid, *, series="1.2.3.4", slices=None, decimals=8):
    """CT slices on a grid, in an order that neither file names nor numbers give away."""
    folder.mkdir(parents=True, exist_ok=True)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ grid.affine
    across, down = (affine[:3, axis] / grid.spacing_mm[axis] for axis in (0, 1))
    columns, rows, count = grid.shape
    for n in range(count) if slices is None else slices:
        image = pydicom.Dataset()
        image.file_meta = pydicom.dataset.FileMetaDataset()
        image.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = pydicom.uid.CTImageStorage
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"{series}.{n + 1}"
        image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = "1.2.3", series, "1.2.9"
        image.PatientName, image.PatientID, image.PatientBirthDate, image.PatientSex = PERSON, "42", "19490101", "F"
        image.StudyDate, image.StudyTime, image.StudyID, image.AccessionNumber, image.Modality = "20200102", "101112", "1", "7", "CT"
        image.InstanceNumber, image.SeriesNumber, image.ReferringPhysicianName = (7 * n) % 997, 1, ""
        image.Rows, image.Columns, image.SliceThickness = rows, columns, float(grid.spacing_mm[2])
        image.PixelSpacing = [float(grid.spacing_mm[1]), float(grid.spacing_mm[0])]
        image.ImageOrientationPatient = [float(f"{value:.10f}") for value in (*across, *down)]
        image.ImagePositionPatient = [float(f"{value:.{decimals}f}") for value in affine[:3, 3] + n * affine[:3, 2]]
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
        image.BitsAllocated = image.BitsStored = 16
        image.HighBit, image.PixelRepresentation, image.RescaleIntercept, image.RescaleSlope = 15, 1, 0, 1
        image.PixelData = np.zeros((rows, columns), np.int16).tobytes()
        image.save_as(folder / f"{(7 * n) % 997:03d}.dcm", enforce_file_format=True)


@pytest.fixture
def series(tmp_path):
    grid = Grid(SHAPE, affine_of(SPACING_MM))
    write_series(tmp_path / "ct", grid)
    return tmp_path / "ct", grid


@pytest.fixture
def labels():
    array = np.zeros(SHAPE, np.uint8)
    array[3:20, 4:27, 2:5] = 28
    array[5:23, 3:20, 6:10] = 20
    array[2:25, 6:24, 11:15] = 21
    array[0, 0, 0] = 26
    return array


def world(array, grid, value):
    return np.array(sorted(np.round(grid.to_world(np.argwhere(array == value)), 3).tolist()))


def test_there_and_back(series, labels, tmp_path):
    folder, grid = series
    write_segmentation(tmp_path / "spine.dcm", labels, grid, LEVELS, folder)
    found = load(tmp_path / "spine.dcm")
    assert (found.name, found.levels) == ("spine", {1: Level.T13, 2: Level.L1, 3: Level.L2})
    for number, level in found.levels.items():
        value = next(value for value, own in LEVELS.items() if own is level)
        assert np.allclose(world(found.array, found.grid, number), world(labels, grid, value), atol=2e-3)
    assert not any(PERSON in note for note in found.notes)


def test_any_order_and_direction_of_axes_gives_the_same_file(series, labels, tmp_path):
    folder, grid = series
    write_segmentation(tmp_path / "a.dcm", labels, grid, LEVELS, folder)
    affine = grid.affine.copy()
    affine[:3, 3] = grid.to_world((SHAPE[0] - 1, 0, 0))
    affine[:3, 0] *= -1
    turned = Grid((SHAPE[2], SHAPE[0], SHAPE[1]), affine[:, [2, 0, 1, 3]])
    write_segmentation(tmp_path / "b.dcm", labels[::-1].transpose(2, 0, 1), turned, LEVELS, folder)
    assert (tmp_path / "a.dcm").read_bytes() == (tmp_path / "b.dcm").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"ct", "a.dcm", "b.dcm"}


def test_positions_rounded_by_a_scanner_are_the_same_grid(labels, tmp_path):
    grid = Grid(SHAPE, affine_of(SPACING_MM))
    write_series(tmp_path / "ct", grid, decimals=2)
    write_segmentation(tmp_path / "spine.dcm", labels, grid, LEVELS, tmp_path / "ct")
    assert set(load(tmp_path / "spine.dcm").levels.values()) == set(LEVELS.values())


def test_the_object_belongs_to_its_study_and_is_coded(series, labels, tmp_path):
    folder, grid = series
    write_segmentation(tmp_path / "spine.dcm", labels, grid, LEVELS, folder, description="expected bodies")
    content = highdicom.seg.segread(tmp_path / "spine.dcm")
    assert (content.PatientID, content.StudyInstanceUID, content.FrameOfReferenceUID) == ("42", "1.2.3", "1.2.9")
    assert (content.SeriesDescription, content.Modality) == ("expected bodies", "SEG")
    assert content.SeriesInstanceUID != "1.2.3.4"
    described = {number: content.get_segment_description(number) for number in content.segment_numbers}
    assert [str(one.segment_label) for one in described.values()] == ["vertebrae_T13", "vertebrae_L1", "vertebrae_L2"]
    assert described[2].segmented_property_type.value == "66794005"  # SNOMED CT: L1 vertebra
    assert content.ContentDate == "20200102"


def test_the_expected_bodies_of_a_scored_spine(crushed_spine, tmp_path):
    result = sk.score(crushed_spine, predictor="neighbours")
    write_series(tmp_path / "ct", result.grid)
    result.save_segmentation(tmp_path / "expected.dcm", tmp_path / "ct")
    found, expected = load(tmp_path / "expected.dcm"), result.expected_labels()
    assert [str(level) for level in found.levels.values()] == ["L2", "L3", "L4", "L5"]
    for number, level in found.levels.items():
        label = result[str(level)].measures.label
        assert np.allclose(world(found.array, found.grid, number), world(expected, result.grid, label), atol=2e-3)


def other_makers_file(path, folder, array, segments, kind="BINARY"):
    images = sorted((pydicom.dcmread(file) for file in folder.iterdir()), key=lambda image: int(str(image.SOPInstanceUID).rpartition(".")[2]))
    codes = pydicom.sr.codedict.codes
    algorithm = highdicom.AlgorithmIdentificationSequence("other", codes.DCM.ArtificialIntelligence, "1")
    described = [
        highdicom.seg.SegmentDescription(n, label, codes.SCT.AnatomicalStructure, code, "AUTOMATIC", algorithm, anatomic_regions=regions)
        for n, (label, code, regions) in enumerate(segments, start=1)
    ]
    uid = highdicom.UID
    content = highdicom.seg.Segmentation(images, array, kind, described, uid(), 2, uid(), 1, "other", "other", "1", "1", content_creator_name=PERSON)
    content.save_as(path)
    return path


def stacked(labels, values=(20, 21, 28)):
    """(slice, row, column, segment), as other makers give segments that may overlap."""
    return np.stack([(labels == value).transpose(2, 1, 0) for value in values], axis=-1).astype(np.uint8)


def test_levels_come_from_codes_or_labels_of_any_writing(series, labels, tmp_path):
    folder, _ = series
    codes = pydicom.sr.codedict.codes
    segments = [
        ("segment one", codes.SCT.L1Vertebra, None),
        ("Vertebra L2", codes.SCT.Vertebra, None),
        ("Bone", codes.SCT.Bone, [codes.SCT.T12Vertebra]),
    ]
    path = other_makers_file(tmp_path / "other.dcm", folder, stacked(labels), segments)
    assert load(path).levels == {1: Level.L1, 2: Level.L2, 3: Level.T12}
    assert read_segmentation(path)[1] == {1: "L1", 2: "L2", 3: "T12"}
    assert np.array_equal(np.unique(read_volume(path).array), [0, 1, 2, 3])


def test_segments_without_a_level_are_left_out_and_none_is_refused(series, labels, tmp_path):
    folder, _ = series
    codes = pydicom.sr.codedict.codes
    bone = ("a bone of JANE", codes.SCT.Bone, None)
    some = other_makers_file(tmp_path / "some.dcm", folder, stacked(labels), [bone, ("L2", codes.SCT.Bone, None), bone])
    found = load(some)
    assert found.levels == {2: Level.L2}
    assert any("left out: 1, 3" in note for note in found.notes)
    assert not any("JANE" in note for note in found.notes)
    none = other_makers_file(tmp_path / "none.dcm", folder, stacked(labels), [bone] * 3)
    with pytest.raises(SchemeError, match=r"none\.dcm"):
        load(none)


def test_a_code_and_a_label_that_contradict_each_other_are_refused(series, labels, tmp_path):
    codes = pydicom.sr.codedict.codes
    segments = [("L2", codes.SCT.L1Vertebra, None), ("L3", codes.SCT.Bone, None), ("L4", codes.SCT.Bone, None)]
    path = other_makers_file(tmp_path / "odd.dcm", series[0], stacked(labels), segments)
    with pytest.raises(InputError, match=r"segment 1 of odd\.dcm is L1 and L2"):
        load(path)


def test_where_segments_overlap_the_higher_number_counts(series, labels, tmp_path):
    codes = pydicom.sr.codedict.codes
    both = stacked(labels, (20, 21))
    both[8, 10:12, 8:10, 1] = 1
    path = other_makers_file(tmp_path / "two.dcm", series[0], both, [("L1", codes.SCT.Bone, None), ("L2", codes.SCT.Bone, None)])
    found = load(path)
    assert (found.array == 2).sum() == both[..., 1].sum()
    assert (found.array == 1).sum() == (both[..., 0] & ~both[..., 1] & 1).sum()


def test_what_is_no_segmentation_is_refused_in_one_sentence(series, labels, tmp_path, refuses):
    folder, _ = series
    codes = pydicom.sr.codedict.codes
    image = next(folder.iterdir())
    refuses(InputError, image.name, lambda: load(image), "no DICOM segmentation")
    (tmp_path / "text.dcm").write_text("no DICOM at all")
    refuses(InputError, "text.dcm", lambda: load(tmp_path / "text.dcm"))
    segments = [("L1", codes.SCT.Bone, None)]
    soft = other_makers_file(tmp_path / "soft.dcm", folder, 0.5 * stacked(labels, (20,)).astype(np.float32), segments, "FRACTIONAL")
    refuses(InputError, "soft.dcm", lambda: load(soft), "fractions")
    whole = other_makers_file(tmp_path / "whole.dcm", folder, stacked(labels, (20,)), segments)
    cut = tmp_path / "cut.dcm"
    for share in (0.3, 0.7, 0.95):
        cut.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])
        refuses(InputError, "cut.dcm", lambda: load(cut))


def test_a_damaged_file_is_an_input_error_or_still_a_volume(series, labels, tmp_path):
    folder, grid = series
    write_segmentation(tmp_path / "whole.dcm", labels, grid, LEVELS, folder)
    whole, generator = np.frombuffer((tmp_path / "whole.dcm").read_bytes(), np.uint8), np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        damaged = whole.copy()
        damaged[generator.integers(132, whole.size, 12)] = generator.integers(0, 256, 12)
        (tmp_path / "damaged.dcm").write_bytes(damaged.tobytes())
        try:
            load(tmp_path / "damaged.dcm")
        except InputError as error:
            refused += "damaged.dcm" in str(error)
    assert refused > 30


def test_images_that_lack_what_is_copied_are_refused(series, labels, tmp_path, refuses):
    folder, grid = series
    for file in folder.iterdir():
        image = pydicom.dcmread(file)
        del image.StudyInstanceUID
        image.save_as(file)
    refuses(InputError, "ct", lambda: write_segmentation(tmp_path / "o.dcm", labels, grid, LEVELS, folder), "lack")


def test_slices_far_apart_do_not_fill_the_memory(series, labels, tmp_path, refuses):
    codes = pydicom.sr.codedict.codes
    path = other_makers_file(tmp_path / "far.dcm", series[0], stacked(labels, (20,)), [("L1", codes.SCT.Bone, None)])
    content = pydicom.dcmread(path)
    frames = content.PerFrameFunctionalGroupsSequence
    place = frames[-1].PlanePositionSequence[0]
    first = np.array(frames[0].PlanePositionSequence[0].ImagePositionPatient, dtype=float)
    step = np.array(frames[1].PlanePositionSequence[0].ImagePositionPatient, dtype=float) - first
    place.ImagePositionPatient = [float(f"{value:.6f}") for value in first + 100_000 * step]
    content.save_as(path)
    refuses(InputError, "far.dcm", lambda: load(path))


def test_a_folder_that_is_not_one_series_on_the_grid_is_refused(series, labels, tmp_path, refuses):
    folder, grid = series
    out = tmp_path / "o.dcm"
    shift = np.zeros((4, 4))
    shift[:3, 3] = 5.0
    moved = Grid(SHAPE, grid.affine + shift)
    refuses(InputError, "ct", lambda: write_segmentation(out, labels, moved, LEVELS, folder), "another grid")
    refuses(InputError, "no voxel", lambda: write_segmentation(out, labels, grid, {24: Level.L5}, folder))
    refuses(UsageError, "o.nii.gz", lambda: write_segmentation(tmp_path / "o.nii.gz", labels, grid, LEVELS, folder))
    (tmp_path / "empty").mkdir()
    refuses(InputError, "empty", lambda: write_segmentation(out, labels, grid, LEVELS, tmp_path / "empty"), "0 series")
    refuses(InputError, "gone", lambda: write_segmentation(out, labels, grid, LEVELS, tmp_path / "gone"))
    write_series(tmp_path / "gap", grid, slices=[n for n in range(SHAPE[2]) if n != 5])
    refuses(InputError, "gap", lambda: write_segmentation(out, labels, grid, LEVELS, tmp_path / "gap"), "evenly spaced")
    (folder / "second.dcm").write_bytes(_another(grid, tmp_path))
    refuses(InputError, "ct", lambda: write_segmentation(out, labels, grid, LEVELS, folder), "2 series")
    assert not out.exists()


def _another(grid, tmp_path):
    write_series(tmp_path / "other", grid, series="1.2.3.5", slices=[0])
    return next((tmp_path / "other").iterdir()).read_bytes()


def test_a_place_that_cannot_be_written(series, labels, tmp_path):
    folder, grid = series
    with pytest.raises(OutputError, match=r"o\.dcm cannot be written"):
        write_segmentation(tmp_path / "gone" / "o.dcm", labels, grid, LEVELS, folder)


def test_without_highdicom_the_message_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "spine.dcm").write_bytes(b"any")
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(MissingPackageError, match=r"shapekit\[dicom\]"):
        load(tmp_path / "spine.dcm")
    with pytest.raises(MissingPackageError, match=r"shapekit\[dicom\]"):
        write_segmentation(tmp_path / "o.dcm", np.zeros((1, 1, 1), np.uint8), Grid((1, 1, 1), np.eye(4)), {}, tmp_path)
