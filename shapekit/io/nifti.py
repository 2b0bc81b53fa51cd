"""NIfTI files: read with nibabel, after the header's promises were checked against the file; written with a fresh header."""

from __future__ import annotations

import gzip
import math
import secrets
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.parsers import expat

import numpy as np
from numpy.typing import NDArray

from shapekit.core.checks import InputError, OutputError, UsageError, check_array
from shapekit.core.grid import Grid
from shapekit.core.values import Image
from shapekit.io.paths import require_file, shown, suffix_of

MAX_VOXELS = 2**32
MAX_GZIP_RATIO = 1032
"""No deflate stream unpacks to more than 1032 times its length (zlib's technical notes)."""
_MAX_NAMES_BYTES = 1 << 20


def check_announced(name: str, shape: tuple[int, ...], voxel_bytes: int, file_bytes: int, *, packed: bool) -> None:
    """Complain when a header promises more voxels than its file can hold, before anything is allocated.

    Raises
    ------
    InputError
        If a side is not positive, the voxels are more than 2**32, or their bytes cannot come from ``file_bytes``.
    """
    sides = " x ".join(str(side) for side in shape)
    if min(shape, default=0) < 1:
        raise InputError(f"{name} announces {sides} voxels, but every side must be at least 1; write the file again.")
    voxels = 1
    for side in shape:
        voxels *= int(side)
    if voxels > MAX_VOXELS:
        raise InputError(f"{name} announces {sides} voxels, more than the 2**32 that shapekit reads; crop or resample it.")
    if voxels * voxel_bytes > file_bytes * (MAX_GZIP_RATIO if packed else 1):
        raise InputError(
            f"{name} announces {sides} voxels ({voxels * voxel_bytes} bytes) but has {file_bytes} bytes, "
            "so it is cut off or its header is wrong; copy or download it again."
        )


def volume_shape(name: str, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return the three sides of a volume, dropping single trailing axes.

    Raises
    ------
    InputError
        If three axes are not what remains.
    """
    sides = tuple(int(side) for side in shape)
    while len(sides) > 3 and sides[-1] == 1:
        sides = sides[:-1]
    if len(sides) != 3:
        raise InputError(f"{name} has {len(sides)} axes (shape {tuple(shape)}), but a volume has 3; save one volume as a file of its own.")
    return sides[0], sides[1], sides[2]


def named_grid(name: str, shape: tuple[int, int, int], affine: NDArray[np.float64]) -> Grid:
    """Build a grid; a complaint about it begins with the file's name.

    Raises
    ------
    InputError
        If the affine is not finite or singular.
    """
    try:
        return Grid(shape, affine)
    except InputError as error:
        raise InputError(
            f"{name} has a header that places its voxels nowhere: {str(error).rstrip('.')}; write it again with a valid affine."
        ) from error


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep nibabel's log of header repairs, and its warnings, from the user's terminal."""
    from nibabel.imageglobals import logger

    disabled, logger.disabled = logger.disabled, True  # without handlers it would still reach the terminal
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = disabled


def _complaint(path: Path) -> str:
    """Say why a file that nibabel refused is refused: cut off, damaged, or no image."""
    name = shown(path)
    if suffix_of(path) == ".nii.gz":
        try:
            with gzip.open(path) as file:
                while file.read(1 << 24):
                    pass
        except EOFError:
            return f"{name} is cut off: its gzip stream ends early; copy or download it again."
        except gzip.BadGzipFile:
            return f"{name} is not a valid gzip file; if it is an uncompressed NIfTI image rename it to .nii, else copy or download it again."
        except (OSError, zlib.error):
            return f"{name} is damaged: its gzip stream does not unpack; copy or download it again."
    return f"{name} is not a readable NIfTI image; give a segmentation mask as NIfTI (.nii, .nii.gz), MetaImage (.mha, .mhd) or NRRD."


def _open(path: Path) -> Any:
    import nibabel as nib
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    try:
        image = nib.load(path, mmap=False)
    except (ImageFileError, HeaderDataError, OSError, EOFError, zlib.error, ValueError, TypeError, KeyError, OverflowError, MemoryError) as error:
        raise InputError(_complaint(path)) from error
    if not isinstance(image, nib.Nifti1Pair):
        raise InputError(f"{shown(path)} is a {type(image).__name__} behind a NIfTI name; convert it to NIfTI.")
    return image


def image_of(source: Any, name: str, file_bytes: int | None = None, *, packed: bool = False) -> Image:
    """Turn a nibabel image into voxels on a grid.

    Parameters
    ----------
    source : nibabel.spatialimages.SpatialImage
    name : str
        What messages call it.
    file_bytes : int, optional
        Size of its file, to hold the header against.
    packed : bool
        Whether the file is compressed.

    Returns
    -------
    Image
        The stored values (scaled where the header says so); mm, RAS.

    Raises
    ------
    InputError
        If it is not a 3-D volume of plain numbers with a valid affine, or its data end early.
    """
    with _quietly():
        dtype = source.get_data_dtype()
        if dtype.kind not in "iufb":
            raise InputError(f"{name} holds {dtype} voxels, but a volume needs plain numbers; save one channel as integers.")
        shape = volume_shape(name, source.shape)
        if file_bytes is not None:
            check_announced(name, shape, dtype.itemsize, file_bytes, packed=packed)
        grid = named_grid(name, shape, np.asarray(source.affine, dtype=np.float64))
        stored = np.asanyarray(source.dataobj) if file_bytes is None else _voxels(source.dataobj)
        array = stored.reshape(shape, order="A")
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return Image(array, grid)


def _voxels(stored: Any) -> NDArray[np.generic]:
    """Read an image's voxels; those that a file holds as they are go straight into their array, where nibabel clears a buffer of bytes first."""
    from nibabel.arrayproxy import ArrayProxy
    from nibabel.openers import ImageOpener

    if type(stored) is not ArrayProxy or not isinstance(stored.file_like, str) or (stored.slope, stored.inter) != (1.0, 0.0):
        return np.asanyarray(stored)
    flat = np.zeros(math.prod(stored.shape), stored.dtype)
    with ImageOpener(stored.file_like) as file:
        file.seek(stored.offset)
        if file.readinto(flat.view(np.uint8)) < flat.nbytes:
            raise OSError("the file ends early")
    return flat.reshape(stored.shape, order=stored.order)


def read_nifti(path: str | Path) -> Image:
    """Read a ``.nii`` or ``.nii.gz`` file; see ``volumes.read_volume``.

    Raises
    ------
    InputError
        Saying what is wrong with the file.
    """
    path = Path(path)
    size = require_file(path)
    packed = suffix_of(path) == ".nii.gz"
    with _quietly():
        image = _open(path)
        try:
            return image_of(image, shown(path), size, packed=packed)
        except InputError:
            raise
        except MemoryError as error:
            raise InputError(f"{shown(path)} does not fit into this machine's memory; crop or resample it.") from error
        except (OSError, EOFError, zlib.error, ValueError, TypeError, OverflowError) as error:
            raise InputError(_complaint(path) if packed else f"{shown(path)} is cut off or damaged; copy or download it again.") from error


def label_names(image: Any) -> dict[int, str]:
    """Read the label names that TotalSegmentator writes into a NIfTI extension (a Caret ``LabelTable``).

    Parameters
    ----------
    image : nibabel.spatialimages.SpatialImage

    Returns
    -------
    dict
        Value → name; empty where there is no such table, or none that is plain XML of at most 1 MiB without a DOCTYPE.
    """
    for extension in getattr(image.header, "extensions", ()):
        content = extension.content  # the bytes as they are: other kinds of extension are not interpreted
        if b"<LabelTable" in content and len(content) <= _MAX_NAMES_BYTES:
            return _parse_label_table(content.rstrip(b"\0 \n\r\t"))
    return {}


def _parse_label_table(content: bytes) -> dict[int, str]:
    names: dict[int, str] = {}
    key: list[int] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        key[:] = [int(attributes["Key"])] if tag == "Label" and attributes.get("Key", "").isascii() and attributes.get("Key", "").isdigit() else []

    def text(data: str) -> None:
        if key:
            names[key[0]] = names.get(key[0], "") + data

    def end(_tag: str) -> None:
        key.clear()

    def refuse(*_: object) -> None:
        raise ValueError("a label table needs no DOCTYPE")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    parser.StartDoctypeDeclHandler = refuse  # entities can only be declared there
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, ValueError):
        return {}
    return {value: name.strip() for value, name in names.items() if name.strip().isprintable() and 0 < len(name.strip()) <= 100}


def read_label_names(path: str | Path) -> dict[int, str]:
    """Read the label names embedded in a NIfTI file; empty for any other file."""
    if suffix_of(path) not in (".nii", ".nii.gz"):
        return {}
    with _quietly():
        return label_names(_open(Path(path)))


def write_label_map(path: str | Path, array: NDArray[np.unsignedinteger], grid: Grid) -> None:
    """Write labels as ``.nii.gz`` with a header that holds nothing but the grid.

    The same labels give the same bytes, and a file appears under its name only once it is complete.

    Parameters
    ----------
    path : path ending in ``.nii.gz``
    array : (i, j, k) unsigned integer
    grid : Grid

    Raises
    ------
    InputError
        If the array is not unsigned or not the grid's shape.
    UsageError
        If the name does not end in ``.nii.gz``.
    OutputError
        If the file cannot be written.
    """
    check_array("array", array, shape=grid.shape)
    if array.dtype.kind != "u":
        raise InputError(f"array has dtype {array.dtype}, but a label map holds unsigned integers.")
    kinds = (np.uint8, np.uint16, np.uint32, np.uint64)
    dtype = next(kind for kind in kinds if int(array.max()) <= np.iinfo(kind).max)
    _write_volume(Path(path), array.astype(dtype, copy=False), grid, level=4)


def write_ct(path: str | Path, image: Image) -> None:
    """Write a CT as ``.nii.gz`` with a header that holds nothing but the grid; see :func:`write_label_map`.

    Parameters
    ----------
    path : path ending in ``.nii.gz``
    image : Image
        int16, Hounsfield units.

    Raises
    ------
    InputError
        If the voxels are not int16.
    UsageError
        If the name does not end in ``.nii.gz``.
    OutputError
        If the file cannot be written.
    """
    if image.array.dtype != np.int16:
        raise InputError(f"the image has dtype {image.array.dtype}, but a CT holds int16 Hounsfield units.")
    _write_volume(Path(path), image.array, image.grid, level=1)  # noise does not pack; more effort takes thrice the time for 5 %


def write_distances(path: str | Path, image: Image) -> None:
    """Write millimetres as ``.nii.gz`` with a header that holds nothing but the grid; see :func:`write_label_map`.

    Parameters
    ----------
    path : path ending in ``.nii.gz``
    image : Image
        float32, mm.

    Raises
    ------
    InputError
        If the voxels are not float32.
    UsageError
        If the name does not end in ``.nii.gz``.
    OutputError
        If the file cannot be written.
    """
    if image.array.dtype != np.float32:
        raise InputError(f"the image has dtype {image.array.dtype}, but distances hold float32 millimetres.")
    _write_volume(Path(path), image.array, image.grid, level=1)


def _write_volume(path: Path, array: NDArray[np.generic], grid: Grid, *, level: int) -> None:
    import nibabel as nib

    if suffix_of(path) != ".nii.gz":
        raise UsageError(f"{shown(path)} cannot be a volume's name; let it end in .nii.gz.")
    kind = nib.Nifti1Image if max(grid.shape) <= np.iinfo(np.int16).max else nib.Nifti2Image
    image = kind(array, grid.affine)
    axes = grid.affine[:3, :3] / grid.spacing_mm
    image.set_sform(grid.affine, code=1)
    if np.abs(axes.T @ axes - np.eye(3)).max() < 1e-5:
        image.set_qform(grid.affine, code=1)
    else:  # a quaternion cannot say a shear
        image.header["qform_code"] = 0
    image.header.set_xyzt_units("mm")
    beside = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with beside.open("xb") as raw, gzip.GzipFile(filename="", mode="wb", compresslevel=level, fileobj=raw, mtime=0) as file:
            image.to_stream(file)
        beside.replace(path)
    except OSError as error:
        raise OutputError(
            f"{shown(path)} cannot be written ({error.strerror or 'unknown reason'}); check the folder's permissions and free space."
        ) from error
    finally:
        beside.unlink(missing_ok=True)
