"""Files of every format that are no mask: exit code 2, one line, the sentence of Python, no allocation, no file written."""

import gzip
import re
import resource
import struct
import tracemalloc

import nibabel as nib
import numpy as np
import pytest

import shapekit as sk
import shapekit.results
from tests.cli.conftest import files_in

MIB = 1 << 20


def text(folder, suffix):
    path = folder / f"text{suffix}"
    path.write_text("this is no image\n")
    return path


def empty(folder, suffix):
    path = folder / f"empty{suffix}"
    path.write_bytes(b"")
    return path


def absurd_nifti(folder, suffix):
    header = nib.Nifti2Header()
    header["dim"] = [3, 40_000, 40_000, 40_000, 1, 1, 1, 1]
    header["sform_code"], header["vox_offset"] = 1, 544
    header["datatype"], header["bitpix"] = 2, 8
    header["srow_x"], header["srow_y"], header["srow_z"] = (0.7, 0, 0, 1), (0, 1.3, 0, 2), (0, 0, 2.9, 3)
    path = folder / "huge.nii.gz"
    path.write_bytes(gzip.compress(header.binaryblock + bytes(100_000)))
    return path


def absurd_meta(folder, suffix):
    path = folder / "huge.mha"
    lines = ("ObjectType = Image", "NDims = 3", "BinaryData = True", "CompressedData = False", "ElementSpacing = 0.7 1.3 2.9")
    path.write_bytes(
        "\n".join([*lines, "DimSize = 40000 40000 40000", "ElementType = MET_UCHAR", "ElementDataFile = LOCAL", ""]).encode() + bytes(99)
    )
    return path


def absurd_nrrd(folder, suffix):
    path = folder / "huge.nrrd"
    lines = ("NRRD0004", "type: uchar", "dimension: 3", "sizes: 40000 40000 40000", "encoding: gzip", "space: left-posterior-superior")
    path.write_bytes("\n".join([*lines, "space directions: (0.7,0,0) (0,1.3,0) (0,0,2.9)", "", ""]).encode() + gzip.compress(bytes(9999)))
    return path


def plane(folder, suffix):
    path = folder / "plane.nii.gz"
    nib.Nifti1Image(np.full((37, 52), 20, np.uint8), np.diag([0.7, 1.3, 2.9, 1.0])).to_filename(path)
    return path


def values(number, kind):
    def make(folder, suffix):
        array = np.zeros((7, 9, 11), kind)
        array[2:5, 3:7, 2:9] = number
        path = folder / "values.nii"
        nib.Nifti1Image(array, np.diag([0.7, 1.3, 2.9, 1.0])).to_filename(path)
        return path

    return make


def fourth_axis(folder, suffix):
    path = folder / "four.nrrd"
    lines = ("NRRD0004", "type: uchar", "dimension: 4", "sizes: 3 4 5 2", "encoding: raw")
    path.write_bytes("\n".join([*lines, "", ""]).encode() + bytes(range(120)))
    return path


def undone_gzip(folder, suffix):
    path = folder / "plain.nii.gz"
    nib.Nifti1Image(np.full((3, 4, 5), 20, np.uint8), np.diag([0.7, 1.3, 2.9, 1.0])).to_filename(folder / "plain.nii")
    (folder / "plain.nii").rename(path)
    return path


def damaged_gzip(folder, suffix):
    path = folder / "damaged.nii.gz"
    array = np.random.default_rng(3).integers(0, 200, (17, 19, 23)).astype(np.uint8)
    nib.Nifti1Image(array, np.diag([0.7, 1.3, 2.9, 1.0])).to_filename(path)
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2 : len(raw) // 2 + 40] = bytes(range(40))
    path.write_bytes(bytes(raw))
    return path


BAD = [
    *((text, suffix, "") for suffix in (".nii", ".nii.gz", ".mha", ".mhd", ".nrrd")),
    *((text, suffix, "suffix") for suffix in (".png", "")),
    (text, ".dcm", "no DICOM segmentation"),
    (text, ".ply", "mesh"),
    *((empty, suffix, "empty") for suffix in (".nii.gz", ".mha", ".nrrd")),
    *((make, "", "40000 x 40000 x 40000") for make in (absurd_nifti, absurd_meta, absurd_nrrd)),
    (plane, "", "2 axes"),
    (fourth_axis, "", "4 axes"),
    (values(np.nan, np.float32), "nan", "NaN"),
    (values(np.inf, np.float32), "inf", "infinite"),
    (values(-3, np.int16), "negative", "negative"),
    (values(20.25, np.float64), "fraction", "20.25"),
    (values(70_000, np.int32), "large", "70000"),
    (undone_gzip, "", "rename it to .nii"),
    (damaged_gzip, "", "gzip"),
]


@pytest.mark.parametrize(("make", "suffix", "word"), BAD, ids=lambda value: getattr(value, "__name__", str(value)))
def test_a_file_that_is_no_mask_is_refused_in_one_line(command, tmp_path, make, suffix, word):
    path = make(tmp_path, suffix)
    with pytest.raises(sk.InputError) as complaint:
        sk.load(path)
    sentence = str(complaint.value)
    assert sentence.startswith(path.name)
    assert word in sentence
    assert re.fullmatch(r"[^\n]+\.", sentence)
    assert str(tmp_path) not in sentence
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tracemalloc.start()
    try:
        ended = command("score", path, "-o", tmp_path / "out")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert ended == (2, "", f"shapekit: {sentence}\n")
    assert peak < 64 * MIB
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - highest < 256 * 1024  # KiB on Linux
    assert files_in(tmp_path / "out") == []


def test_an_absurd_header_of_the_first_nifti_version_is_refused_uncompressed(command, tmp_path):
    path = tmp_path / "huge.nii"
    nib.Nifti1Image(np.ones((3, 4, 5), np.uint8), np.diag([0.7, 1.3, 2.9, 1.0])).to_filename(path)
    raw = bytearray(path.read_bytes())
    raw[40:48] = struct.pack("<4h", 3, 32_000, 31_000, 30_000)
    path.write_bytes(bytes(raw))
    ended = command("score", path, "-o", tmp_path / "out")
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert "32000 x 31000 x 30000" in ended.err


def test_a_ct_is_told_apart_from_a_mask(command, tmp_path):
    array = np.random.default_rng(0).integers(-1000, 1500, (31, 29, 23)).astype(np.int16)
    nib.Nifti1Image(array, np.diag([0.7, 1.3, 2.9, 1.0])).to_filename(tmp_path / "scan.nii.gz")
    ended = command("score", tmp_path / "scan.nii.gz", "-o", tmp_path / "out")
    assert ended.err.startswith("shapekit: scan.nii.gz looks like a CT")
    assert "segment it first" in ended.err


def test_an_ambiguous_scheme_says_what_fits_and_how_to_choose(command, only, tmp_path):
    ended = command("score", only("lone.nii.gz", 22), "-o", tmp_path / "out")
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert ended.err.startswith("shapekit: lone.nii.gz: label values 22 mean different levels in schemes that all fit (")
    assert re.search(r"verse[^:;]*: 22 = L3", ended.err)
    assert "--scheme" in ended.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["slice.nii.gz", "sheared.nii.gz"])
def test_a_mask_that_can_be_read_but_not_scored_is_named(command, crushed_spine, tmp_path, name):
    array, affine = crushed_spine.array, crushed_spine.grid.affine.copy()
    if name == "slice.nii.gz":
        affine[:3, 3] = crushed_spine.grid.to_world((0, 0, 60))
        array = array[:, :, 60:61]
    else:
        affine[:3, 0] += 0.2 * affine[:3, 1]
    nib.Nifti1Image(array, affine).to_filename(tmp_path / name)
    with pytest.raises(sk.InputError) as complaint:
        sk.score(sk.load(tmp_path / name, scheme="verse"))
    assert str(complaint.value).startswith(name.removesuffix(".nii.gz"))
    ended = command("score", tmp_path / name, "-o", tmp_path / "out", "--scheme", "verse")
    assert ended == (2, "", f"shapekit: {complaint.value}\n")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["scheme", "bodies", "predictor", "preset", "device"])
def test_an_options_unknown_value_is_refused_in_the_words_of_python(command, crushed_mask, tmp_path, option):
    with pytest.raises(sk.UsageError) as complaint:
        sk.load(crushed_mask, scheme="nosuch") if option == "scheme" else sk.score(sk.load(crushed_mask), **{option: "nosuch"})
    ended = command("score", crushed_mask, "-o", tmp_path / "out", f"--{option}", "nosuch")
    assert ended == (2, "", f"shapekit: {complaint.value}\n")
    assert str(complaint.value).startswith(f"{option} is 'nosuch', but must be one of: ")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("blocked", ["out", "out/lumbar"])
def test_a_file_where_a_folder_should_be_is_left_alone(command, crushed_mask, crushed_result, tmp_path, scored_before, blocked):
    (tmp_path / blocked).parent.mkdir(exist_ok=True)
    (tmp_path / blocked).write_text("mine")
    ended = command("score", crushed_mask, "-o", tmp_path / "out")
    assert (ended.code, ended.out) == (2, "")
    with pytest.raises(sk.OutputError) as complaint:
        crushed_result.save(tmp_path / "out" / "deeper") if blocked == "out" else crushed_result.__class__(
            "lumbar", crushed_result.vertebrae, crushed_result.grid, (), {}
        ).save(tmp_path / "out")
    assert re.fullmatch(r"shapekit: lumbar cannot be written in out \(.+\); choose a folder that you may write\.\n", ended.err)
    assert str(complaint.value).endswith("choose a folder that you may write.")
    assert files_in(tmp_path) == [blocked]
    assert (tmp_path / blocked).read_text() == "mine"


@pytest.mark.parametrize("name", ["x" * 300 + ".nii.gz", "new\nline.nii.gz", "tab\tand\x1b[31mred.nii.gz"], ids=["overlong", "line break", "colours"])
def test_odd_names_stay_on_one_line(command, tmp_path, name):
    ended = command("score", tmp_path / name, "-o", tmp_path / "out")
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert "\x1b" not in ended.err
    assert not (tmp_path / "out").exists()
