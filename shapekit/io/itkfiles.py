"""MetaImage and NRRD files: the text header is checked first, then SimpleITK reads, then LPS becomes RAS.

The readers of both formats allocate what the header says, follow the file names it holds, and complain on the terminal;
so sizes, names and the compressed stream are checked here before they see the file.
"""

from __future__ import annotations

import math
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from shapekit.core.checks import InputError
from shapekit.core.values import Image
from shapekit.io.nifti import check_announced, named_grid, volume_shape
from shapekit.io.paths import require_file, shown, suffix_of

_MAX_HEADER = 1 << 16
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_META_BYTES = {"CHAR": 1, "SHORT": 2, "INT": 4, "LONG": 4, "LONG_LONG": 8, "FLOAT": 4, "DOUBLE": 8}
_NRRD_BYTES = {"char": 1, "int8": 1, "short": 2, "int16": 2, "int": 4, "int32": 4, "long long": 8, "longlong": 8, "int64": 8, "float": 4, "double": 8}


@dataclass(frozen=True)
class _Header:
    """What a text header promises: sides, bytes of a voxel, how it is packed, where the data are and begin."""

    sides: tuple[int, ...]
    voxel_bytes: int
    encoding: str
    data: Path
    offset: int


def read_itk(path: str | Path) -> Image:
    """Read a ``.mha``, ``.mhd``, ``.nrrd`` or ``.nhdr`` file; see ``volumes.read_volume``.

    Raises
    ------
    InputError
        Saying what is wrong with the file.
    """
    import SimpleITK

    path = Path(path)
    name = shown(path)
    require_file(path)
    header = _read_header(path)
    _check_data(name, header)
    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO("MetaImageIO" if suffix_of(path) in (".mha", ".mhd") else "NrrdImageIO")
    reader.SetFileName(str(path))
    warned = SimpleITK.ProcessObject.GetGlobalWarningDisplay()
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        with _silent_terminal():
            reader.ReadImageInformation()
            shape = _checked_shape(name, reader, header)
            image = reader.Execute()
    except (RuntimeError, OverflowError, MemoryError) as error:
        raise InputError(f"{name} is damaged, or no {path.suffix[1:]} image that SimpleITK reads; copy or download it again.") from error
    finally:
        SimpleITK.ProcessObject.SetGlobalWarningDisplay(warned)
    array = SimpleITK.GetArrayFromImage(image).transpose()
    affine = np.eye(4)
    dimension = image.GetDimension()
    affine[:3, :3] = (np.array(image.GetDirection()).reshape(dimension, dimension) * np.array(image.GetSpacing()))[:3, :3]
    affine[:3, 3] = image.GetOrigin()[:3]
    return Image(array.reshape(shape, order="A"), named_grid(name, shape, _LPS_TO_RAS @ affine))


def data_file(path: str | Path) -> Path:
    """Return the file that holds an image's voxels: the one that a ``.mhd`` or ``.nhdr`` header names, or the image itself.

    Raises
    ------
    InputError
        If the header cannot be read, or names a file that cannot be used.
    """
    require_file(path)
    return _read_header(Path(path)).data


@contextmanager
def _silent_terminal() -> Iterator[None]:
    """Send file descriptor 2 nowhere: MetaIO writes its complaints there itself, past Python and past ITK's own switch."""
    try:
        kept = os.dup(2)
    except OSError:  # no standard error to protect, as under a service or a windowed Python
        yield
        return
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _checked_shape(name: str, reader: Any, header: _Header) -> tuple[int, int, int]:
    """Hold what the library understood against what the header was checked for."""
    if reader.GetNumberOfComponents() != 1 or header.voxel_bytes not in (1, 2, 4, 8):
        raise InputError(f"{name} holds vectors or colours, but a volume needs one number a voxel; save one channel as integers.")
    if math.prod(reader.GetSize()) != math.prod(header.sides):
        raise InputError(f"{name} has a header that can be read in two ways; write it again with one size.")
    return volume_shape(name, reader.GetSize())


def _read_header(path: Path) -> _Header:
    name = shown(path)
    with path.open("rb") as file:
        start = file.read(_MAX_HEADER)
    return _meta_header(path, name, start) if suffix_of(path) in (".mha", ".mhd") else _nrrd_header(path, name, start)


def _broken(name: str, kind: str) -> InputError:
    return InputError(f"{name} is not a readable {kind} image; copy or download it again, or save the mask as NIfTI.")


def _numbers(name: str, text: str) -> tuple[int, ...]:
    try:
        sides = tuple(int(word) for word in text.split())
    except ValueError as error:
        raise InputError(f"{name} has a header whose size is no list of whole numbers; write it again.") from error
    if len(sides) > 4:
        raise InputError(f"{name} has {len(sides)} axes, but a volume has 3; save one volume as a file of its own.")
    return sides


def _meta_header(path: Path, name: str, start: bytes) -> _Header:
    match = re.search(rb"^[ \t]*ElementDataFile[ \t]*[=:][ \t]*([^\r\n]+)\r?\n?", start, re.MULTILINE)
    if match is None:
        raise _broken(name, "MetaImage")
    lines = start[: match.start()].decode("latin-1").splitlines()
    fields = {key.strip().lower(): value.strip() for key, _, value in (line.partition("=" if "=" in line else ":") for line in lines)}
    sides = _numbers(name, fields.get("dimsize", ""))
    kind = fields.get("elementtype", "").removesuffix("_ARRAY").removeprefix("MET_")
    size = _META_BYTES.get(kind if kind in _META_BYTES else kind.removeprefix("U"))
    if size is None or not sides or fields.get("binarydata", "true").lower() not in ("true", "t", "1"):
        raise _broken(name, "MetaImage of plain binary numbers, which shapekit reads:" if sides else "MetaImage")
    channels = _numbers(name, fields.get("elementnumberofchannels", "1"))
    encoding = "zlib" if fields.get("compresseddata", "false").lower() in ("true", "t", "1") else "raw"
    reference = match.group(1).decode("latin-1").strip()
    if reference.upper() == "LOCAL":
        return _Header(sides, size * max(channels, default=1), encoding, path, match.end())
    skipped = _numbers(name, fields.get("headersize", "0"))
    return _Header(sides, size * max(channels, default=1), encoding, _beside(path, name, reference), max(*skipped, 0))


def _nrrd_header(path: Path, name: str, start: bytes) -> _Header:
    end = re.search(rb"\r?\n\r?\n", start)
    if not start.startswith(b"NRRD") or (end is None and len(start) == _MAX_HEADER):
        raise _broken(name, "NRRD")
    text = start[: end.start() if end else len(start)].decode("latin-1")
    lines = (line for line in text.splitlines()[1:] if not line.startswith("#") and ":" in line)
    fields = {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    sides = _numbers(name, fields.get("sizes", ""))
    kind = re.sub(r"^(unsigned |signed |u(?=char|short|int|long))|( int)?(_t)?$", "", fields.get("type", "").lower())
    size = _NRRD_BYTES.get(kind)
    encoding = {"raw": "raw", "gz": "gzip", "gzip": "gzip"}.get(fields.get("encoding", "").lower())
    if size is None or not sides or encoding is None:
        raise _broken(name, "NRRD")
    reference = fields.get("data file", fields.get("datafile"))
    if reference is not None:
        return _Header(sides, size, encoding, _beside(path, name, reference), 0)
    if end is None:
        raise InputError(f"{name} has a header and no data; copy or download it again.")
    return _Header(sides, size, encoding, path, end.end())


def _beside(path: Path, name: str, reference: str) -> Path:
    """Return the data file a header names, if it lies in the header's own folder: nothing else is opened on a file's word."""
    windows = PureWindowsPath(reference)
    data = path.parent / reference
    outside = windows.anchor or ".." in windows.parts or "%" in reference or reference.upper().startswith("LIST")
    try:
        outside = outside or not data.resolve().is_relative_to(path.parent.resolve())
    except (OSError, ValueError):
        outside = True
    if outside:
        raise InputError(
            f"{name} refers to data outside its folder or in several files; keep header and data side by side, or convert it to one file."
        )
    try:
        require_file(data)
    except InputError as error:
        raise InputError(f"{name} refers to a data file that cannot be used: {str(error).rstrip('.')}.") from error
    return data


def _check_data(name: str, header: _Header) -> None:
    """Make sure that the data are all there, so that the library has nothing to print."""
    stored = header.data.stat().st_size - header.offset
    check_announced(name, header.sides, header.voxel_bytes, stored, packed=header.encoding != "raw")
    if header.encoding == "raw":
        return
    unpack = zlib.decompressobj(wbits=47)  # a zlib or a gzip wrapper
    wanted, got = math.prod(header.sides) * header.voxel_bytes, 0
    try:
        with header.data.open("rb") as file:
            file.seek(header.offset)
            while got <= wanted and not unpack.eof and (piece := file.read(1 << 16)):
                got += len(unpack.decompress(piece))
    except (OSError, zlib.error) as error:
        raise InputError(f"{name} is damaged: its compressed data do not unpack; copy or download it again.") from error
    if got != wanted or not unpack.eof:
        raise InputError(f"{name} is cut off: {got} of {wanted} bytes could be unpacked; copy or download it again.")
