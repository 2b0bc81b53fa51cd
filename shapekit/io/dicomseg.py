"""DICOM segmentations: read into labels with the levels that their segments name, and written beside the images they belong to."""

from __future__ import annotations

import secrets
import sqlite3
import struct
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapekit.core.checks import InputError, MissingPackageError, OutputError, UsageError, check_array
from shapekit.core.grid import Grid
from shapekit.core.levels import Level
from shapekit.core.values import Image
from shapekit.io.nifti import MAX_VOXELS, named_grid
from shapekit.io.paths import DICOM_SUFFIX, require_file, shown, suffix_of
from shapekit.io.schemes import level_of_name
from shapekit.io.volumes import on_grid

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_MAX_FILES = 20_000
_MAX_SPARSITY = 64
"""Frames without a segment's voxel need not be stored, but a file of a few frames that would fill a thousand times as many is no spine's."""
_ROUNDING_MM = 0.1
"""How far a mask's corners may lie from its images': slices' positions are often rounded to hundredths of a millimetre."""
_NAMELESS = "segment"


def read_segmentation(path: str | Path) -> tuple[Image, dict[int, str]]:
    """Read a DICOM segmentation.

    Parameters
    ----------
    path : path ending in ``.dcm``

    Returns
    -------
    image : Image
        The voxels' segment numbers; (slice, row, column), mm, RAS. Where segments overlap, the higher number counts.
    names : dict of int to str
        Segment number → ``"L1"`` and the like, by its code (SNOMED CT), else by its label; ``"segment"`` where neither names a level.

    Raises
    ------
    InputError
        If it is no DICOM segmentation of whole voxels on a regular grid, or a segment's code and label name different levels.
    MissingPackageError
        If highdicom is not installed.
    """
    highdicom = _highdicom()
    name = shown(path)
    size = require_file(path)
    with _quietly():
        try:
            found = highdicom.seg.segread(str(path))
        except _trouble() as error:
            raise InputError(f"{name} is no DICOM segmentation that can be read; give a SEG object, not the images themselves.") from error
        try:
            return _volume_of(found, name, size), {int(number): _name_of(found, int(number), name) for number in found.segment_numbers}
        except (InputError, MissingPackageError):
            raise
        except _trouble() as error:
            raise InputError(f"{name} is damaged or no volume of evenly spaced slices; export it again, or convert it to NIfTI.") from error


def write_segmentation(
    path: str | Path,
    array: NDArray[np.unsignedinteger],
    grid: Grid,
    levels: Mapping[int, Level],
    images: str | Path,
    *,
    description: str = "shapekit",
) -> None:
    """Write labels as a DICOM segmentation of the images that they were found in.

    A segmentation without its patient is none: the images' patient, study and frame of reference are copied, as DICOM asks, and
    nothing else of them. Do not hand it on where the images may not go. The same labels and images give the same file.

    Parameters
    ----------
    path : path ending in ``.dcm``
    array : (i, j, k) unsigned integer
    grid : Grid
        The images' own, in any order and direction of axes.
    levels : mapping of int to Level
        Which values are written, and as what.
    images : path
        Folder of one series of DICOM images.
    description : str
        Of the series.

    Raises
    ------
    UsageError
        If the name does not end in ``.dcm``.
    InputError
        If the folder is not one series of slices on this grid, or no value of ``levels`` is in the array.
    OutputError
        If the file cannot be written.
    MissingPackageError
        If highdicom is not installed.
    """
    highdicom = _highdicom()
    path = Path(path)
    if suffix_of(path) != DICOM_SUFFIX:
        raise UsageError(f"{shown(path)} cannot be a DICOM file's name; let it end in {DICOM_SUFFIX}.")
    check_array("array", array, shape=grid.shape)
    with _quietly():
        series = _series_in(Path(images))
        target = _grid_of(series, shown(images))
        placed = on_grid(array, grid, target, tolerance_mm=_ROUNDING_MM)
        if placed is None:
            raise InputError(f"the labels lie on another grid than the images in {shown(images)}; resample them to the images' grid.")
        present = {value: level for value, level in sorted(levels.items(), key=lambda item: item[1]) if (placed == value).any()}
        if not present:
            raise InputError("the labels hold no voxel of any level, so there is no segment to write; give the map of a spine.")
        numbered = np.zeros(placed.shape, np.uint8)
        for number, value in enumerate(present, start=1):
            numbered[placed == value] = number
        try:
            content = _segmentation(highdicom, series, numbered, list(present.values()), description)
        except _trouble() as error:
            raise InputError(
                f"the images in {shown(images)} lack what a segmentation takes over from them; give the series as it was acquired."
            ) from error
        beside = path.with_name(f".{secrets.token_hex(8)}.part")
        try:
            content.save_as(str(beside), enforce_file_format=True)
            beside.replace(path)
        except OSError as error:
            raise OutputError(
                f"{shown(path)} cannot be written ({error.strerror or error}); check the folder's permissions and free space."
            ) from error
        finally:
            beside.unlink(missing_ok=True)


def _highdicom() -> ModuleType:
    try:
        import highdicom
        import highdicom.seg
    except ImportError as error:
        raise MissingPackageError("DICOM segmentations need highdicom; install it with pip install 'shapekit[dicom]'.") from error
    return highdicom


def _trouble() -> tuple[type[Exception], ...]:
    """Name what pydicom and highdicom (which sorts frames in SQLite) raise for files that are damaged or not what they say."""
    from pydicom.errors import BytesLengthException, InvalidDicomError

    found = (struct.error, zlib.error, sqlite3.Error, AssertionError, ValueError, TypeError, KeyError, AttributeError, IndexError, ArithmeticError)
    return (*found, RuntimeError, OSError, EOFError, MemoryError, BytesLengthException, InvalidDicomError)


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep pydicom's remarks on files that are not quite as they should be, and their values, from the user's terminal."""
    import logging

    loggers = [logging.getLogger(name) for name in ("pydicom", "highdicom")]
    disabled = [logger.disabled for logger in loggers]
    try:
        for logger in loggers:
            logger.disabled = True
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, before in zip(loggers, disabled, strict=True):
            logger.disabled = before


def _volume_of(found: Any, name: str, size: int) -> Image:
    if found.segmentation_type.value == "FRACTIONAL":
        raise InputError(f"{name} holds fractions of voxels; export it as a binary or label map segmentation.")
    geometry = found.get_volume_geometry(allow_missing_positions=True)
    if geometry is None:
        raise InputError(f"{name} is no volume of evenly spaced slices; export it again, or convert it to NIfTI.")
    shape = tuple(int(side) for side in geometry.spatial_shape)
    voxels, stored = int(np.prod(shape, dtype=object)), int(found.Rows) * int(found.Columns) * int(found.NumberOfFrames)
    if voxels > min(MAX_VOXELS, _MAX_SPARSITY * stored) or (not _packed(found) and stored > 8 * size):
        raise InputError(f"{name} announces {' x '.join(map(str, shape))} voxels but has {size} bytes; export it again.")
    volume = found.get_volume(combine_segments=True, skip_overlap_checks=True)
    return Image(np.asarray(volume.array), named_grid(name, (shape[0], shape[1], shape[2]), _LPS_TO_RAS @ np.asarray(volume.affine)))


def _packed(found: Any) -> bool:
    return bool(found.file_meta.TransferSyntaxUID.is_encapsulated or found.file_meta.TransferSyntaxUID.is_deflated)


def _name_of(found: Any, number: int, name: str) -> str:
    """Return the level a segment's code or label names."""
    segment = found.get_segment_description(number)
    coded = [segment.segmented_property_type, *(segment.anatomic_regions or []), *(segment.primary_anatomic_structures or [])]
    by_code = {level for code in coded if code.scheme_designator == "SCT" and (level := _codes().get(code.value)) is not None}
    words = str(segment.segment_label).replace("vertebra", " ").replace("Vertebra", " ").replace("vertebrae", " ").strip(" _-")
    by_label = level_of_name(str(segment.segment_label)) or level_of_name(words)
    levels = by_code | ({by_label} if by_label else set())
    if len(levels) > 1:
        raise InputError(f"segment {number} of {name} is {' and '.join(map(str, sorted(levels)))} by its codes and its label; correct one of them.")
    return str(levels.pop()) if levels else _NAMELESS


@cache
def _codes() -> dict[str, Level]:
    """SNOMED CT's codes of single vertebrae; it has none for T13 and L6."""
    return {code.value: level for level in Level if (code := _code_of(level)) is not None}


def _code_of(level: Level) -> Any:
    from pydicom.sr.codedict import codes

    return getattr(codes.SCT, f"{level}Vertebra", None)


def _series_in(folder: Path) -> list[Any]:
    """Read the headers of a folder's only series of slices."""
    from pydicom import dcmread

    try:
        files = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
    except OSError as error:
        raise InputError(f"{shown(folder)} is no folder that can be listed; give the folder of the DICOM images.") from error
    if len(files) > _MAX_FILES:
        raise InputError(f"{shown(folder)} holds {len(files)} files, too many for one series; give the folder of the series alone.")
    series: list[Any] = []
    for file in files:
        try:
            image = dcmread(file, stop_before_pixels=True)
            if {"ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns"} <= set(image.dir()):
                series.append(image)
        except _trouble():
            continue
    count = len({str(image.get("SeriesInstanceUID", "")) for image in series})
    if count != 1:
        raise InputError(f"{shown(folder)} holds {count} series of DICOM slices; give a folder with exactly one.")
    return series


def _grid_of(series: list[Any], name: str) -> Grid:
    """Order a series' slices in place and return their grid, (slice, row, column) in patient space (RAS)."""
    try:
        across = np.array(series[0].ImageOrientationPatient, dtype=np.float64).reshape(2, 3)
        spacing = np.array(series[0].PixelSpacing, dtype=np.float64)
        sides = {(int(image.Rows), int(image.Columns)) for image in series}
        turned = max(np.abs(np.array(image.ImageOrientationPatient, dtype=np.float64).reshape(2, 3) - across).max() for image in series)
        normal = np.cross(across[0], across[1])
        series.sort(key=lambda image: float(normal @ np.array(image.ImagePositionPatient, dtype=np.float64)))
        places = np.array([image.ImagePositionPatient for image in series], dtype=np.float64)
    except _trouble() as error:
        raise InputError(f"the images in {name} do not say where they lie; give a series of CT or MR slices.") from error
    steps = np.diff(places, axis=0)
    step = steps.mean(axis=0) if len(steps) else normal
    if len(sides) > 1 or turned > 1e-4 or (len(steps) and np.abs(steps - step).max() > 0.01 * max(float(np.linalg.norm(step)), 1e-6)):
        raise InputError(f"the images in {name} are no volume of evenly spaced, parallel slices; give one series of slices.")
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2], affine[:3, 3] = step, across[1] * spacing[0], across[0] * spacing[1], places[0]
    rows, columns = sides.pop()
    return named_grid(name, (len(series), rows, columns), _LPS_TO_RAS @ affine)


def _segmentation(highdicom: ModuleType, series: list[Any], numbered: NDArray[np.uint8], levels: list[Level], description: str) -> Any:
    import hashlib

    from pydicom.sr.codedict import codes
    from pydicom.uid import generate_uid

    from shapekit.version import __version__

    digest = hashlib.sha256(numbered.tobytes() + repr((numbered.shape, [str(level) for level in levels])).encode()).hexdigest()
    source = [digest, *(str(image.SOPInstanceUID) for image in series), __version__, description]
    algorithm = highdicom.AlgorithmIdentificationSequence("shapekit", codes.DCM.ArtificialIntelligence, __version__)
    segments = [
        highdicom.seg.SegmentDescription(
            number,
            f"vertebrae_{level}",
            codes.SCT.AnatomicalStructure,
            _code_of(level) or codes.SCT.Vertebra,
            highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm,
        )
        for number, level in enumerate(levels, start=1)
    ]
    content = highdicom.seg.Segmentation(
        series,
        numbered,
        highdicom.seg.SegmentationTypeValues.BINARY,
        segments,
        series_instance_uid=generate_uid(entropy_srcs=["series", *source]),
        series_number=9001,
        sop_instance_uid=generate_uid(entropy_srcs=["object", *source]),
        instance_number=1,
        manufacturer="shapekit",
        manufacturer_model_name="shapekit",
        software_versions=__version__,
        device_serial_number="0",
        series_description=description,
    )
    return _without_clock(content, series[0])


def _without_clock(content: Any, image: Any) -> Any:
    """Date a segmentation by its images and name its dimensions by itself, so that the same work gives the same file."""
    from pydicom.uid import generate_uid

    date, time = str(image.get("StudyDate", "")) or "19700101", str(image.get("StudyTime", "")) or "000000"
    organization = generate_uid(entropy_srcs=["dimensions", str(content.SOPInstanceUID)])
    for element in content.iterall():
        if element.keyword == "DimensionOrganizationUID":
            element.value = organization
        elif element.keyword == "ContributionDateTime":
            element.value = f"{date}{time.partition('.')[0]}"
        elif element.keyword in ("ContentDate", "InstanceCreationDate", "SeriesDate"):
            element.value = date
        elif element.keyword in ("ContentTime", "InstanceCreationTime", "SeriesTime"):
            element.value = time
    return content
