"""Volumes in patient space, whatever file they come in, and label arrays out of them."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapekit.core.checks import InputError
from shapekit.core.grid import Grid
from shapekit.core.values import Image
from shapekit.io.nifti import read_nifti, write_label_map
from shapekit.io.paths import DICOM_SUFFIX, MESH_SUFFIXES, VOLUME_SUFFIXES, require_file, shown, stem, suffix_of

__all__ = ["as_labels", "on_grid", "read_volume", "stem", "write_label_map"]

MAX_LABEL = 65535
MAX_DISTINCT = 512
CT_FLOOR = -200
"""A mask has no negative values; air and fat of a CT lie below this (HU)."""


def read_volume(path: str | Path) -> Image:
    """Read a volume into patient space.

    Parameters
    ----------
    path : path to a ``.nii``, ``.nii.gz``, ``.mha``, ``.mhd``, ``.nrrd`` or ``.nhdr`` file, or to a DICOM segmentation (``.dcm``)

    Returns
    -------
    Image
        Array (i, j, k) as stored, first index fastest along the file's first axis; affine to mm, RAS.

    Raises
    ------
    InputError
        One sentence: what was found in which file, and what to do. Nothing is allocated for a header that promises more than its file holds.
    MissingPackageError
        If it is a DICOM segmentation and highdicom is not installed.
    """
    suffix = suffix_of(path)
    require_file(path)
    if suffix in (".nii", ".nii.gz"):
        return read_nifti(path)
    if suffix in VOLUME_SUFFIXES:
        from shapekit.io.itkfiles import read_itk

        return read_itk(path)
    if suffix == DICOM_SUFFIX:
        from shapekit.io.dicomseg import read_segmentation

        return read_segmentation(path)[0]
    if suffix in MESH_SUFFIXES:
        raise InputError(f"{shown(path)} is a mesh, not a mask; give meshes as a mapping from level to file.")
    raise InputError(f"{shown(path)} has a suffix that shapekit does not read; give one of {', '.join(VOLUME_SUFFIXES)}.")


def as_labels(image: Image, name: str) -> NDArray[np.unsignedinteger]:
    """Return an image's values as labels.

    Parameters
    ----------
    image : Image
        Integers, or floats that are whole numbers.
    name : str
        What messages call it.

    Returns
    -------
    (i, j, k) uint8 or uint16
        The smallest that holds the largest value; the image's own array where it already is that.

    Raises
    ------
    InputError
        If it is all zero, holds NaN, fractions, negative or very many values, or looks like a CT.
    """
    array: NDArray[Any] = image.array
    if array.dtype.kind == "b":
        array = array.view(np.uint8)
    low, high = array.min().item(), array.max().item()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputError(f"{name} holds NaN or infinite values; give a segmentation mask of whole numbers.")
    if low <= CT_FLOOR:
        raise InputError(_looks_like_ct(name, low, high))
    if low < 0:
        raise InputError(f"{name} holds negative values (down to {low:g}); give a segmentation mask, where 0 is background and labels are positive.")
    if high == 0:
        raise InputError(f"{name} holds no label, every voxel is 0; give a mask in which vertebrae are marked.")
    if array.dtype.kind == "f":
        array = _whole_numbers(array, name, high)
    if high > MAX_DISTINCT and _distinct(array, int(high)) > MAX_DISTINCT:
        raise InputError(_looks_like_ct(name, low, high))
    if high > MAX_LABEL:
        raise InputError(f"{name} holds the value {int(high)}, but labels end at {MAX_LABEL}; renumber them.")
    return array.astype(np.uint8 if high <= 255 else np.uint16, copy=False)


def _looks_like_ct(name: str, low: float, high: float) -> str:
    return (
        f"{name} looks like a CT or another intensity image (values from {low:g} to {high:g}), but shapekit scores segmentation masks; "
        "segment it first, for example with TotalSegmentator or SPINEPS."
    )


def _whole_numbers(array: NDArray[Any], name: str, high: float) -> NDArray[Any]:
    """Cast slab by slab, so that no second float volume is made."""
    whole = np.zeros_like(array, dtype=np.uint8 if high <= 255 else np.uint16 if high <= MAX_LABEL else np.uint64)
    axis = int(np.argmax(np.abs(array.strides)))
    for source, target in zip(np.moveaxis(array, axis, 0), np.moveaxis(whole, axis, 0), strict=True):
        target[...] = source
        if not np.array_equal(target, source):
            value = source[target != source].flat[0]
            raise InputError(f"{name} holds fractions such as {value:g}, so it is no label map; threshold it or resample with nearest neighbours.")
    return whole


def _distinct(array: NDArray[Any], high: int) -> int:
    if high > MAX_LABEL:
        return len(np.unique(array))
    seen = np.zeros(high + 1, dtype=bool)
    for slab in np.moveaxis(array, int(np.argmax(np.abs(array.strides))), 0):  # an index array for all of it would be eight times its size
        seen[slab] = True
    return int(seen.sum())


def on_grid(array: NDArray[np.unsignedinteger], grid: Grid, target: Grid, *, tolerance_mm: float = 1e-3) -> NDArray[np.unsignedinteger] | None:
    """Permute and flip an array's axes so that it lies on another grid.

    Parameters
    ----------
    array : (i, j, k) unsigned integer
    grid : Grid
        The array's own.
    target : Grid
    tolerance_mm : float
        How far corners may lie from each other.

    Returns
    -------
    (i, j, k) unsigned integer or None
        A view; None where the grids differ in more than their axes' order and direction.
    """
    turned = np.linalg.inv(target.affine[:3, :3]) @ grid.affine[:3, :3]
    order = [int(np.argmax(np.abs(turned[axis]))) for axis in range(3)]
    if sorted(order) != [0, 1, 2]:
        return None
    affine = grid.affine.copy()
    for axis, source in itertools.product(range(3), range(3)):
        if order[axis] == source and turned[axis, source] < 0:
            affine[:3, 3] += affine[:3, source] * (grid.shape[source] - 1)
            affine[:3, source] *= -1
            array = np.flip(array, source)
    affine[:, :3] = affine[:, order]
    array = array.transpose(order)
    return array if Grid((array.shape[0], array.shape[1], array.shape[2]), affine).is_close(target, tolerance_mm) else None
