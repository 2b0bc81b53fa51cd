"""Reading and writing volumes: truth from the formats' own libraries, and a sentence for everything that is no volume."""

import contextlib
import gzip
import logging
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shapekit.core.checks import InputError, OutputError, UsageError
from shapekit.core.grid import Grid
from shapekit.core.values import Image
from shapekit.io.nifti import read_label_names, write_ct
from shapekit.io.volumes import as_labels, read_volume, stem, write_label_map
from tests.io.conftest import SHAPE, affine_of, rotation

ITK_FILES = [
    ("a.mha", False),
    ("a.mha", True),
    ("a.mhd", False),
    ("a.mhd", True),
    ("a.nrrd", False),
    ("a.nrrd", True),
    ("a.nhdr", False),
    ("a.nhdr", True),
]


def itk_image(array: np.ndarray) -> SimpleITK.Image:
    image = SimpleITK.GetImageFromArray(array.transpose())
    image.SetSpacing((0.7, 1.3, 2.9))
    image.SetDirection(rotation((12.0, -7.0, 23.0)).ravel().tolist())
    image.SetOrigin((31.0, -17.5, 240.25))
    return image


def saved(path: Path, array: np.ndarray, affine: np.ndarray | None = None) -> Path:
    nib.Nifti1Image(array, affine_of() if affine is None else affine).to_filename(path)
    return path


def patched(source: Path, target: Path, *fields: tuple[int, str, object]) -> Path:
    """Copy an uncompressed NIfTI file with header bytes replaced: (offset, struct format, value)."""
    content = bytearray(source.read_bytes())
    for offset, form, value in fields:
        struct.pack_into(form, content, offset, *(value if isinstance(value, tuple) else (value,)))
    target.write_bytes(gzip.compress(bytes(content)) if target.name.endswith(".gz") else bytes(content))
    return target


# reading


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9)),
    angles=st.tuples(*[st.floats(-180, 180)] * 3),
    spacing=st.tuples(*[st.floats(0.2, 5)] * 3),
    origin=st.tuples(*[st.floats(-900, 900)] * 3),
    flip=st.sampled_from([-1, 1]),
    top=st.sampled_from([1, 255, 256, 65535]),
)
def test_what_is_written_is_read(tmp_path, shape, angles, spacing, origin, flip, top):
    affine = affine_of(spacing, angles, origin)
    affine[:3, 0] *= flip
    array = np.zeros(shape, np.uint32)
    array.flat[-1] = top
    write_label_map(tmp_path / "a.nii.gz", array, Grid(shape, affine))
    image = read_volume(tmp_path / "a.nii.gz")
    assert image.grid.is_close(Grid(shape, affine), tolerance_mm=2e-3)
    assert image.array.dtype == (np.uint8 if top <= 255 else np.uint16)
    assert np.array_equal(image.array, array)


@pytest.mark.parametrize(("name", "packed"), ITK_FILES)
def test_itk_files_lie_where_itk_says(tmp_path, labels, name, packed):
    image = itk_image(labels)
    SimpleITK.WriteImage(image, str(tmp_path / name), packed)
    read = read_volume(tmp_path / name)
    assert np.array_equal(read.array, labels)
    for index in ((0, 0, 0), (36, 0, 0), (0, 51, 0), (3, 5, 40)):
        left, posterior, superior = image.TransformIndexToPhysicalPoint(index)
        assert np.allclose(read.grid.to_world(index), (-left, -posterior, superior), atol=1e-6)


@pytest.mark.parametrize("codes", [(0, 1), (1, 0), (2, 2)])
def test_either_form_of_the_affine_will_do(tmp_path, labels, codes):
    image = nib.Nifti1Image(labels, affine_of())
    image.set_sform(affine_of() if codes[0] else None, code=codes[0])
    image.set_qform(affine_of() if codes[1] else None, code=codes[1])
    image.to_filename(tmp_path / "a.nii")
    assert np.allclose(read_volume(tmp_path / "a.nii").grid.affine, affine_of(), atol=1e-4)


def test_other_axis_orders_byte_orders_and_single_trailing_axes(tmp_path, labels):
    turned = nib.Nifti1Image(labels, affine_of()).as_reoriented(np.array([[1, -1], [2, 1], [0, -1]]))
    turned.to_filename(tmp_path / "turned.nii.gz")
    straight = Grid(SHAPE, affine_of()).to_world(np.argwhere(labels == 21).mean(axis=0))
    read = read_volume(tmp_path / "turned.nii.gz")
    assert np.allclose(read.grid.to_world(np.argwhere(read.array == 21).mean(axis=0)), straight, atol=1e-4)

    nib.Nifti1Image(labels.astype(">i2")[..., None, None], affine_of(), nib.Nifti1Header(endianness=">")).to_filename(tmp_path / "big.nii")
    big = read_volume(tmp_path / "big.nii").array
    assert big.dtype.isnative
    assert np.array_equal(big, labels)


def test_scaled_integers_and_floats_become_labels(tmp_path, labels):
    saved(tmp_path / "f.nii.gz", labels.astype(np.float64))
    source = saved(tmp_path / "i.nii", labels.astype(np.int16))
    patched(source, tmp_path / "s.nii", (112, "<2f", (1.0, 2.0)))
    for name, more in (("f.nii.gz", 0), ("i.nii", 0), ("s.nii", 2)):
        array = as_labels(read_volume(tmp_path / name), name)
        assert array.dtype == np.uint8
        assert np.array_equal(array, labels + more)


# refusing


def test_files_that_are_no_volume(tmp_path, refuses, capfd):
    for name, content, words in [
        ("empty.nii.gz", b"", "empty"),
        ("text.nii.gz", b"a text file\n" * 99, "gzip"),
        ("text.nii", b"a text file\n" * 99, "NIfTI"),
        ("noise.nii", np.random.default_rng(1).bytes(5000), "NIfTI"),
        ("noise.nii.gz", gzip.compress(np.random.default_rng(1).bytes(5000)), "NIfTI"),
        ("noise.mha", np.random.default_rng(1).bytes(5000), "MetaImage"),
        ("noise.nrrd", np.random.default_rng(1).bytes(5000), "NRRD"),
        ("picture.nii.gz", b"\x89PNG\r\n\x1a\n" + bytes(200), "gzip"),
        ("picture.png", b"\x89PNG\r\n\x1a\n" + bytes(200), "suffix"),
        ("surface.ply", b"ply\n", "mesh"),
    ]:
        (tmp_path / name).write_bytes(content)
        refuses(InputError, name, lambda name=name: read_volume(tmp_path / name), words)
    (tmp_path / "folder.nii.gz").mkdir()
    refuses(InputError, "folder.nii.gz", lambda: read_volume(tmp_path / "folder.nii.gz"), "folder")
    refuses(InputError, "missing.nii.gz", lambda: read_volume(tmp_path / "missing.nii.gz"), "does not exist")
    text = refuses(InputError, "a?b?.nii.gz", lambda: read_volume(tmp_path / "a\nb\x1b.nii.gz"))
    assert text.isprintable()
    assert capfd.readouterr() == ("", "")


def test_files_that_may_not_be_read(tmp_path, refuses, monkeypatch, labels):
    def denied(*_, **__):
        raise PermissionError(13, "Permission denied")

    path = saved(tmp_path / "secret.nii.gz", labels)
    monkeypatch.setattr(Path, "open", denied)  # chmod does not stop root
    refuses(InputError, "secret.nii.gz", lambda: read_volume(path), "permissions")


@pytest.mark.parametrize("kept", [0.01, 0.3, 0.7, 0.999])
@pytest.mark.parametrize(("name", "packed"), [("a.nii", False), ("a.nii.gz", True), *ITK_FILES])
def test_truncated_files(tmp_path, labels, refuses, capfd, name, packed, kept):
    noisy = labels + np.random.default_rng(0).integers(0, 9, SHAPE, np.uint8)
    if ".nii" in name:
        saved(tmp_path / name, noisy)
    else:
        SimpleITK.WriteImage(itk_image(noisy), str(tmp_path / name), packed)
    data = next((file for file in tmp_path.iterdir() if "raw" in file.name), tmp_path / name)
    content = data.read_bytes()
    data.write_bytes(content[: max(1, int(len(content) * kept))])
    refuses(InputError, name, lambda: read_volume(tmp_path / name))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("name", "packed"), [("a.nii.gz", True), *[file for file in ITK_FILES if file[1]]])
def test_damaged_compression(tmp_path, labels, refuses, capfd, name, packed):
    noisy = labels + np.random.default_rng(0).integers(0, 9, SHAPE, np.uint8)
    if ".nii" in name:
        saved(tmp_path / name, noisy)
    else:
        SimpleITK.WriteImage(itk_image(noisy), str(tmp_path / name), packed)
    data = next((file for file in tmp_path.iterdir() if "raw" in file.name), tmp_path / name)
    content = bytearray(data.read_bytes())
    content[-400:-300] = bytes(100)
    data.write_bytes(bytes(content))
    refuses(InputError, name, lambda: read_volume(tmp_path / name))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ([(42, "<h", -5)], "at least 1"),
        ([(42, "<h", 0)], "at least 1"),
        ([(42, "<3h", (32767, 32767, 32767))], "2**32"),
        ([(42, "<3h", (1500, 1500, 1500))], "bytes"),
        ([(40, "<h", 4), (48, "<h", 2)], "axes"),
        ([(40, "<h", 2)], "axes"),
        ([(40, "<h", 99)], "NIfTI"),
        ([(70, "<h", 1234)], "NIfTI"),
        ([(70, "<h", 128), (72, "<h", 24)], "plain numbers"),
        ([(70, "<h", 32), (72, "<h", 64)], "plain numbers"),
        ([(108, "<f", float("nan"))], "NIfTI"),
        ([(108, "<f", 1e30)], ""),
        ([(280, "<f", float("nan"))], "affine"),
        ([(280, "<12f", (0.0,) * 12)], "affine"),
        ([(252, "<2h", (1, 0)), (256, "<f", float("nan"))], ""),
    ],
)
def test_absurd_nifti_headers(tmp_path, labels, refuses, capfd, name, fields, word):
    path = patched(saved(tmp_path / "source.nii", labels), tmp_path / name, *fields)
    refuses(InputError, name, lambda: read_volume(path), word)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["a.mha", "a.nrrd"])
@pytest.mark.parametrize(
    ("sides", "word"),
    [
        ("-37 52 41", "at least 1"),
        ("0 52 41", "at least 1"),
        ("3700 5200 4100", "2**32"),
        ("1500 1500 1500", "bytes"),
        ("9999999999999 1 1", "2**32"),
        ("37 52 41 2", ""),
        ("37 52 many", "whole numbers"),
        ("37 52 41 1 1", "axes"),
    ],
)
def test_absurd_itk_headers(tmp_path, labels, refuses, capfd, name, sides, word):
    SimpleITK.WriteImage(itk_image(labels), str(tmp_path / name), False)
    content = (tmp_path / name).read_bytes()
    assert b"37 52 41" in content
    (tmp_path / name).write_bytes(content.replace(b"37 52 41", sides.encode(), 1))
    refuses(InputError, name, lambda: read_volume(tmp_path / name), word)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["a.mha", "a.nrrd"])
def test_itk_geometry_pixels_and_axes(tmp_path, labels, refuses, capfd, name):
    colours = SimpleITK.GetImageFromArray(np.stack([labels] * 3, axis=-1), isVector=True)
    SimpleITK.WriteImage(colours, str(tmp_path / name))
    refuses(InputError, name, lambda: read_volume(tmp_path / name))
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(labels[:, :, 20]), str(tmp_path / name))
    refuses(InputError, name, lambda: read_volume(tmp_path / name), "axes")
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.stack([labels] * 2), isVector=False), str(tmp_path / name))
    refuses(InputError, name, lambda: read_volume(tmp_path / name), "axes")
    SimpleITK.WriteImage(itk_image(labels), str(tmp_path / name), False)
    content = (tmp_path / name).read_bytes()
    spacing = b"0.69999999999999996" if name.endswith("mha") else content.split(b"space directions: (")[1].split(b",")[0]
    (tmp_path / name).write_bytes(content.replace(spacing, b"nan", 1))
    refuses(InputError, name, lambda: read_volume(tmp_path / name))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["a.mhd", "a.nhdr"])
@pytest.mark.parametrize(
    "reference", ["{outside}", "../outside.raw", "sub/../../outside.raw", "C:\\outside.raw", "LIST", "slice%03d.raw 1 41 1", "gone.raw", "link.raw"]
)
def test_headers_open_nothing_outside_their_folder(tmp_path, labels, refuses, name, reference):
    folder = tmp_path / "case"
    folder.mkdir()
    (tmp_path / "outside.raw").write_bytes(labels.transpose().tobytes())
    (folder / "link.raw").symlink_to(tmp_path / "outside.raw")
    SimpleITK.WriteImage(itk_image(labels), str(folder / name), False)
    content = (folder / name).read_text()
    (folder / name).write_text(content.replace("a.raw", reference.format(outside=tmp_path / "outside.raw")))
    refuses(InputError, name, lambda: read_volume(folder / name), "refers to")


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ([np.nan, 1.0], "NaN"),
        ([np.inf, 1.0], "NaN"),
        ([0.0, 0.37], "fractions"),
        ([0, 0], "every voxel is 0"),
        ([-3, 4], "negative"),
        ([-1024, 1500], "CT"),
        ([-1024.5, 1500.25], "CT"),
        ([0, 70000], "65535"),
        ([0.0, 70000.0], "65535"),
    ],
)
def test_values_that_are_no_labels(values, word, grid, refuses):
    array = np.zeros(SHAPE, np.asarray(values).dtype)
    array[3:5, 7, 9] = values
    refuses(InputError, "mask.nii.gz", lambda: as_labels(Image(array, grid), "mask.nii.gz"), word)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_an_image_without_negative_values_is_seen_through(dtype, grid, refuses):
    array = np.random.default_rng(0).integers(0, 4096, SHAPE).astype(dtype)
    refuses(InputError, "ct.nii.gz", lambda: as_labels(Image(array, grid), "ct.nii.gz"), "CT", "TotalSegmentator", "SPINEPS")


def test_labels_keep_their_array_where_they_can(grid, labels):
    assert as_labels(Image(labels, grid), "a") is labels
    assert as_labels(Image(labels.astype(np.int64), grid), "a").dtype == np.uint8
    assert as_labels(Image(labels.astype(np.float32) * 100, grid), "a").dtype == np.uint16
    assert as_labels(Image(labels > 0, grid), "a").max() == 1


@pytest.mark.parametrize(("name", "old", "new"), [("a.nii", b"", b""), ("a.mha", b"NDims = 3", b"NDims = x"), ("a.mha", b"Offset", b"Offsat")])
def test_nothing_is_printed_for_headers_that_the_libraries_repair_or_refuse(tmp_path, labels, monkeypatch, capfd, name, old, new):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # as in a program: the last resort of logging is the terminal
    if name == "a.nii":
        patched(saved(tmp_path / "source.nii", labels), tmp_path / name, (80, "<f", 0.0), (252, "<h", 77))
        assert read_volume(tmp_path / name).array.shape == SHAPE
    else:
        SimpleITK.WriteImage(itk_image(labels), str(tmp_path / name), False)
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes().replace(old, new, 1))
        with contextlib.suppress(InputError):
            read_volume(tmp_path / name)
    assert capfd.readouterr() == ("", "")


# writing


def test_a_written_header_holds_nothing_but_the_grid(tmp_path, labels, grid):
    write_label_map(tmp_path / "a.nii.gz", labels, grid)
    first = (tmp_path / "a.nii.gz").read_bytes()
    write_label_map(tmp_path / "b.nii.gz", labels.astype(np.uint64), grid)
    assert (tmp_path / "b.nii.gz").read_bytes() == first
    header = nib.load(tmp_path / "a.nii.gz").header
    assert [bytes(header[key]).strip(b"\0") for key in ("descrip", "aux_file", "intent_name", "db_name")] == [b""] * 4
    assert (int(header["sform_code"]), int(header["qform_code"]), header.get_xyzt_units()[0], len(header.extensions)) == (1, 1, "mm", 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.nii.gz", "b.nii.gz"]


def test_a_sheared_grid_is_said_by_the_sform_alone(tmp_path, labels):
    affine = affine_of()
    affine[:3, 0] += 0.2 * affine[:3, 1]
    write_label_map(tmp_path / "a.nii.gz", labels, Grid(SHAPE, affine))
    header = nib.load(tmp_path / "a.nii.gz").header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 0)
    assert np.allclose(read_volume(tmp_path / "a.nii.gz").grid.affine, affine, atol=1e-4)


def test_places_where_nothing_can_be_written(tmp_path, labels, grid, refuses):
    refuses(OutputError, "a.nii.gz", lambda: write_label_map(tmp_path / "none" / "a.nii.gz", labels, grid))
    (tmp_path / "taken.nii.gz").mkdir()
    refuses(OutputError, "taken.nii.gz", lambda: write_label_map(tmp_path / "taken.nii.gz", labels, grid))
    refuses(UsageError, "a.mha", lambda: write_label_map(tmp_path / "a.mha", labels, grid))
    refuses(InputError, "int8", lambda: write_label_map(tmp_path / "a.nii.gz", labels.astype(np.int8), grid))
    assert [path.name for path in tmp_path.iterdir()] == ["taken.nii.gz"]


# names


@given(
    st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=40),
    st.sampled_from(["", ".nii.gz", ".nii", ".MHA", ".nhdr"]),
)
def test_a_stem_can_always_be_a_folder(text, suffix):
    result = stem(text + suffix)
    assert result not in ("", ".", "..")
    assert result.isprintable()
    assert not set(result) & set('/\\:*?"<>|')


def test_stems():
    assert stem("a/sub-verse004_seg-vert_msk.nii.gz") == "sub-verse004_seg-vert_msk"
    assert stem("a/image1.mhd") == "image1"
    assert stem("s0011.old/segmentations/") == "segmentations"
    assert [stem(name) for name in (".nii.gz", "..nii.gz", "...nii.gz", " .nii")] == ["spine"] * 4
    assert stem("a\tb\n.nii") == "a_b_"


TABLE = (
    '<?xml version="1.0" encoding="UTF-8"?>{} <CaretExtension><VolumeInformation Index="0">'
    "<LabelTable>{}</LabelTable></VolumeInformation></CaretExtension>\n  "
)
ROW = '<Label Key="{}" Red="1" Green="0" Blue="0" Alpha="1"><![CDATA[{}]]></Label>'


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (TABLE.format("", ROW.format(31, "vertebrae_L1") + ROW.format(25, "sacrum")), {31: "vertebrae_L1", 25: "sacrum"}),
        (TABLE.format("<!DOCTYPE x [<!ENTITY a 'vertebrae_L1'>]>", '<Label Key="31">&a;</Label>'), {}),
        (TABLE.format("", '<Label Key="31">&undefined;</Label>'), {}),
        (TABLE.format("", ROW.format("x", "vertebrae_L1") + ROW.format(-1, "a") + ROW.format(2, "a\nb")), {}),
        (TABLE.format("", ROW.format(31, "vertebrae_L1")) + " " * (1 << 20), {}),
        (TABLE.format("", "<Label "), {}),
        ("<other/>", {}),
    ],
)
def test_label_names_in_the_file(tmp_path, labels, content, names):
    image = nib.Nifti1Image(labels, affine_of())
    image.header.extensions.append(nib.nifti1.Nifti1Extension(0, content.encode()))
    image.to_filename(tmp_path / "a.nii.gz")
    assert read_label_names(tmp_path / "a.nii.gz") == names


def test_a_ct_is_read_back_as_it_was_written(tmp_path):
    array = np.random.default_rng(0).integers(-1024, 3071, SHAPE, dtype=np.int16)
    image = Image(array, Grid(SHAPE, affine_of()))
    write_ct(tmp_path / "a_ct.nii.gz", image)
    write_ct(tmp_path / "b_ct.nii.gz", image)
    assert (tmp_path / "a_ct.nii.gz").read_bytes() == (tmp_path / "b_ct.nii.gz").read_bytes()
    again = read_volume(tmp_path / "a_ct.nii.gz")
    assert np.array_equal(again.array, array)
    assert again.grid.is_close(image.grid)
    with pytest.raises(InputError, match="int16"):
        write_ct(tmp_path / "c_ct.nii.gz", Image(array.astype(np.float32), image.grid))
    with pytest.raises(UsageError, match="let it end in"):
        write_ct(tmp_path / "c_ct.mha", image)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a_ct.nii.gz", "b_ct.nii.gz"]
