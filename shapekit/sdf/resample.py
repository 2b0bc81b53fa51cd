"""Signed distance on one grid → on another: the distance is interpolated, never the mask."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from shapekit.core.grid import Grid
from shapekit.core.values import Sdf
from shapekit.ops import resample_field
from shapekit.sdf.separable import along_axes

FINE_MM = 1.6
"""Spacing that trilinear interpolation and marching cubes can follow a body's curvature on."""


def resample_sdf(sdf: Sdf, grid: Grid) -> Sdf:
    """Sample a signed distance field (mm) at the voxels of another grid, trilinear."""
    return Sdf(resample_field(sdf.values, sdf.grid, grid), grid)


def halve_patch(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Patch of 1 mm voxels → patch of 2 mm voxels, each the mean of eight; all sides must be even."""
    for axis in range(3):  # sums of slices: a mean over axes of two is far slower
        first, second = (values[(slice(None),) * axis + (slice(start, None, 2),)] for start in (0, 1))
        values = first + second
    return np.asarray(values * np.float32(0.125))


def double_patch(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Undo ``halve_patch`` for a smooth field: trilinear, the edges' values beyond the outermost centres."""
    return along_axes(np.asarray(values, dtype=np.float32), *(_doubling(side) for side in values.shape))


@lru_cache(maxsize=16)
def _doubling(side: int) -> NDArray[np.float32]:
    """Share of every value in each of twice as many along an axis, (2 side, side)."""
    own = np.eye(side, dtype=np.float32)
    before, after = own[np.maximum(np.arange(side) - 1, 0)], own[np.minimum(np.arange(side) + 1, side - 1)]
    return np.asarray(0.75 * np.repeat(own, 2, axis=0) + 0.25 * np.stack([before, after], axis=1).reshape(2 * side, side))


def refine_sdf(sdf: Sdf) -> Sdf:
    """Divide axes coarser than 1.6 mm by whole numbers, with cubic splines.

    Between slices 2.5 mm apart straight lines cut the corners of a curved surface: a body would lose 1 % of its volume.

    Parameters
    ----------
    sdf : Sdf

    Returns
    -------
    Sdf
        On a grid that holds every voxel of the given one; the same object where it is fine already.
    """
    parts = np.maximum(1, np.ceil(sdf.grid.spacing_mm / FINE_MM - 1e-6).astype(int))
    if parts.max() == 1:
        return sdf
    values = np.asarray(sdf.values, dtype=np.float64)
    for axis, part in enumerate(parts):
        values = _divide(values, axis, int(part))
    affine = sdf.grid.affine.copy()
    affine[:3, :3] /= parts
    return Sdf(values.astype(np.float32), Grid((values.shape[0], values.shape[1], values.shape[2]), affine))


def thin_sdf(sdf: Sdf, spacing_mm: float) -> Sdf:
    """Keep every so-manieth voxel along axes finer than a spacing, so that none gets coarser than it.

    Parameters
    ----------
    sdf : Sdf
    spacing_mm : float

    Returns
    -------
    Sdf
        A distance is the same on fewer voxels; the same object where no axis is finer than half the spacing.
    """
    steps = np.maximum(1, np.floor(spacing_mm / sdf.grid.spacing_mm + 1e-6).astype(int))
    if steps.max() == 1:
        return sdf
    values = np.ascontiguousarray(sdf.values[:: steps[0], :: steps[1], :: steps[2]])
    affine = sdf.grid.affine.copy()
    affine[:3, :3] *= steps
    return Sdf(values, Grid((values.shape[0], values.shape[1], values.shape[2]), affine))


def _divide(values: NDArray[np.float64], axis: int, parts: int) -> NDArray[np.float64]:
    """Put ``parts`` - 1 values between any two along an axis: the interpolating cubic B-spline, mirrored at the ends (Unser 1999)."""
    if parts == 1 or values.shape[axis] < 2:
        return values
    knots = np.moveaxis(ndimage.spline_filter1d(values, 3, axis=axis, mode="mirror"), axis, 0)
    knots = np.concatenate([knots[1:2], knots, knots[-2:-1], knots[-2:-1]])  # the last one is met by weight 0 only
    steps = len(knots) - 3
    fine = np.zeros((steps * parts, *knots.shape[1:]))
    for phase in range(parts):
        t = phase / parts
        weights = ((1 - t) ** 3, 4 - 6 * t**2 + 3 * t**3, 1 + 3 * t + 3 * t**2 - 3 * t**3, t**3)
        fine[phase::parts] = sum(weight / 6 * knots[n : n + steps] for n, weight in enumerate(weights))
    return np.moveaxis(fine[: (steps - 1) * parts + 1], 0, axis)
