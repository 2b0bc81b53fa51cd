"""Mask → signed distance in mm, with the surface put where the shape's was rather than where its voxels end."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from shapekit.core.checks import InputError, check_array
from shapekit.core.grid import Grid
from shapekit.core.values import Sdf
from shapekit.ops import signed_distance
from shapekit.sdf.separable import along_axes

SMOOTHING_VOXELS = 1.0


def sdf_from_mask(mask: NDArray[np.bool_], grid: Grid) -> Sdf:
    """Signed distance of the shape whose voxelisation is ``mask``.

    The exact transform measures to the nearest opposite voxel *centre*; the surface lies between the two, nearer by half a
    voxel's extent along the surface's normal. What is left are the stairs of the voxels: a Gaussian of one voxel takes them
    off, applied as 2G - G² so that curved surfaces do not shrink (the second-order bias of a Gaussian cancels).

    Parameters
    ----------
    mask : (i, j, k) bool
        Should have a margin of a few empty voxels around the shape; a shape that meets the array's edge is open there.
    grid : Grid
        Of the mask; its axes must be perpendicular.

    Returns
    -------
    Sdf
        On the same grid.

    Raises
    ------
    InputError
        If the mask is empty or full, or the grid is sheared by more than a degree.
    """
    check_array("mask", mask, shape=grid.shape)
    spacing = grid.spacing_mm
    axes = grid.affine[:3, :3] / spacing
    if np.abs(axes.T @ axes - np.eye(3)).max() > np.sin(np.radians(1.0)):
        raise InputError("affine is sheared: its axes are not perpendicular; resample the mask onto a rectangular grid first.")
    raw = signed_distance(mask, spacing.tolist()).astype(np.float64)
    if not np.isfinite(raw).all():
        raise InputError("mask is empty or full; a signed distance needs a surface.")
    smooth = _smoothed(raw)
    squared, reach = np.zeros_like(smooth), np.zeros_like(smooth)
    for axis, step in enumerate(spacing):
        if mask.shape[axis] > 1:
            rise = np.gradient(smooth, axis=axis)  # from voxel to voxel
            rise *= rise
            reach += rise
            rise /= step**2
            squared += rise
    reach /= np.maximum(squared, 1e-12, out=squared)
    np.sqrt(reach, out=reach)
    raw -= np.copysign(0.5 * reach, raw)
    once = _smoothed(raw)
    return Sdf((2 * once - _smoothed(once)).astype(np.float32), grid)


def _smoothed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """SciPy's ``gaussian_filter`` of ``SMOOTHING_VOXELS``, as products of matrices: sooner up to some 180 voxels a side."""
    return along_axes(values, *(_weights(side) for side in values.shape))


@lru_cache(maxsize=64)
def _weights(side: int) -> NDArray[np.float64]:
    """Share of every voxel in every smoothed one along an axis, (side, side)."""
    return np.asarray(ndimage.gaussian_filter1d(np.eye(side), SMOOTHING_VOXELS, axis=0))
