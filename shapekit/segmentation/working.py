"""A CT on the grid that networks work on: cubic voxels along the patient's axes; and what is no CT in Hounsfield units."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shapekit.core.checks import InputError
from shapekit.core.grid import Grid
from shapekit.core.values import Image
from shapekit.ops.sampling import resample_field

Array = NDArray[np.float32]

AIR_HU = -1024.0
OUTSIDE = -1.0
"""Scaled intensity of what lies beyond a scan: that of air."""
CENTRE_HU, SOFT_HU = 100.0, 300.0
"""Intensities are scaled by tanh((HU - centre) / width): soft tissue and spongy bone get most of the range, metal and air little."""
LUNG_HU, DENSE_HU, BONE_HU, FAT_HU = -700, 700, 200, -200
NARROW_HU = 100.0
SOME_AIR = 0.02
LOOKED_AT = 2_000_000
"""Voxels from which a scan's kind is told."""


def scaled(hu: NDArray[np.generic]) -> Array:
    """Scale Hounsfield units to what networks take, -1 to 1.

    Examples
    --------
    >>> scaled(np.array([-1000.0, 100.0, 400.0])).round(2)
    array([-1.  ,  0.  ,  0.76], dtype=float32)
    """
    return np.asarray(np.tanh((np.asarray(hu, dtype=np.float32) - np.float32(CENTRE_HU)) / np.float32(SOFT_HU)))


def check_hounsfield(image: Image, name: str) -> None:
    """Refuse what is no CT in Hounsfield units.

    Parameters
    ----------
    image : Image
    name : str
        What messages call it.

    Raises
    ------
    InputError
        If it holds NaN, no negative values (MRI, masks, unscaled values), a narrow range (normalised values), or looks inverted.
    """
    if image.array.dtype.kind not in "iuf" or min(image.grid.shape) < 2:
        raise InputError(f"{name} is no volume of numbers (shape {image.grid.shape}, {image.array.dtype}); give a CT in Hounsfield units.")
    low, high = image.array.min().item(), image.array.max().item()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputError(f"{name} holds NaN or infinite values; write -1024 where nothing was scanned.")
    said = f"{name} holds values from {low:g} to {high:g}"
    if low >= 0:
        raise InputError(
            f"{said}, none of them negative, so it is an MRI, a mask or not in Hounsfield units; "
            "give a CT to which its rescale slope and intercept were applied."
        )
    if high - low < NARROW_HU:
        raise InputError(f"{said}, too narrow a range for a CT in Hounsfield units; give the CT as it was before it was normalised.")
    step = max(int(np.cbrt(image.array.size / LOOKED_AT)), 1)
    looked = image.array[::step, ::step, ::step].astype(np.float32)
    air, dense = float(np.mean(looked < LUNG_HU)), float(np.mean(looked > DENSE_HU))
    bone, below = float(np.mean((looked > BONE_HU) & (looked <= DENSE_HU))), float(np.mean((looked < FAT_HU) & (looked >= LUNG_HU)))
    # air is told by its share; a crop without air by bone, whose values spread where air's and fat's do not
    if (dense > SOME_AIR and dense > 3 * air) or (max(air, dense) <= SOME_AIR and below > max(0.005, 2 * bone)):
        raise InputError(f"{said} and looks inverted (air bright, bone dark); give it as a CT, where air lies near -1000 and bone above 200.")


def working_grid(grid: Grid, spacing_mm: float) -> Grid:
    """Lay cubic voxels along right, anterior and superior around everything that another grid holds."""
    corners = np.array(np.meshgrid(*[(-0.5, side - 0.5) for side in grid.shape])).reshape(3, -1).T
    world = grid.to_world(corners)
    low, high = world.min(axis=0), world.max(axis=0)
    sides = np.maximum(np.ceil((high - low) / spacing_mm - 1e-6), 1).astype(int)
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = low + 0.5 * spacing_mm
    return Grid((int(sides[0]), int(sides[1]), int(sides[2])), affine)


def to_working(image: Image, spacing_mm: float, *, onto: Grid | None = None) -> Image:
    """Bring a CT onto the working grid; what lies beyond the scan becomes air.

    Voxels finer than the working grid's are averaged first.

    Parameters
    ----------
    image : Image
        Hounsfield units.
    spacing_mm : float
    onto : Grid, optional
        A part of that grid, or another one of the same spacing; by default all of it.

    Returns
    -------
    Image
        float32, Hounsfield units.
    """
    order, steps, grid = image.grid.upright()
    values, source = _averaged(image.array.transpose(order)[steps], grid, spacing_mm)
    onto = working_grid(grid, spacing_mm) if onto is None else onto
    hu = resample_field(np.ascontiguousarray(values), source, onto, adds_way=False)
    last = np.array(grid.shape) - 0.5
    for i in range(onto.shape[0]):  # a slab at a time: points of all voxels would be ten times the volume
        index = grid.to_index(onto.crop((i, 0, 0), (1, *onto.shape[1:])).points()[0])
        hu[i][((index < -0.5 - 1e-6) | (index > last + 1e-6)).any(axis=-1)] = AIR_HU
    return Image(hu, onto)


def _averaged(array: NDArray[np.generic], grid: Grid, spacing_mm: float) -> tuple[Array, Grid]:
    """Average whole blocks of voxels that are finer than the spacing."""
    parts = [max(min(int(spacing_mm / side + 1e-6), length), 1) for side, length in zip(grid.spacing_mm, grid.shape, strict=True)]
    i, j, k = (length // part for length, part in zip(grid.shape, parts, strict=True))
    a, b, c = parts
    values = np.zeros((i, j, k), np.float32)
    for n in range(i):  # a slab at a time, so that no second volume is made
        slab = array[n * a : (n + 1) * a, : j * b, : k * c]
        values[n] = slab.reshape(a, j, b, k, c).mean(axis=(0, 2, 4), dtype=np.float32)
    affine = grid.affine.copy()
    affine[:3, 3] = grid.to_world((np.array(parts) - 1) / 2)
    affine[:3, :3] = affine[:3, :3] * parts
    return values, Grid((i, j, k), affine)
