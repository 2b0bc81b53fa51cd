"""Where a mask is densest at a scale: a mean shift."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shapekit.core.checks import InputError, check_array
from shapekit.core.grid import Grid, middle_of, voxels_of
from shapekit.ops import _native
from shapekit.ops.backends import backend_for

Float = NDArray[np.float64]


def densest_point(mask: NDArray[np.bool_], grid: Grid, sigmas_mm: ArrayLike, *, backend: str = "auto") -> Float:
    """Find the peak of a mask's density, seen through Gaussians.

    Mean shift (Comaniciu & Meer 2002) from the mask's own middle, a step for each Gaussian; independent of the order and direction of the
    array's axes.

    Parameters
    ----------
    mask : (i, j, k) bool
    grid : Grid
    sigmas_mm : (s,) float
        Standard deviation of each step's Gaussian, mm.
    backend : str
        ``"auto"``, ``"reference"`` or ``"cpu"``; see ``backend_for``.

    Returns
    -------
    (3,) float
        mm, RAS.

    Raises
    ------
    InputError
        If the mask is empty or does not belong on the grid, or a Gaussian is not wider than 0.
    UsageError, MissingPackageError
        See ``backend_for``.

    Examples
    --------
    Of a block about (9.5, 9.5, 9.5) and a rod the block, which the middle of both is beside:

    >>> mask = np.zeros((60, 20, 20), bool)
    >>> mask[4:16] = mask[16:60, 8:12, 8:12] = True
    >>> found = densest_point(mask, Grid(mask.shape, np.eye(4)), np.geomspace(12, 4, 24))
    >>> bool(np.abs(found - 9.5).max() < 0.5 < 2.0 < np.argwhere(mask)[:, 0].mean() - 9.5)
    True
    """
    check_array("mask", mask, shape=grid.shape)
    _native.check_size("mask", (1, *mask.shape))
    sigmas = np.ascontiguousarray(sigmas_mm, dtype=np.float64)
    check_array("sigmas_mm", sigmas, ndim=1, finite=True)
    if not (sigmas > 0).all():
        raise InputError(f"sigmas_mm is {sigmas.tolist()}, but each must be above 0.")
    if not mask.any():
        raise InputError("mask is empty; it has no densest point.")
    if backend_for("cpu", backend=backend).name == "reference":
        return _densest(mask, grid, sigmas)
    voxels, affine, found = np.ascontiguousarray(mask, dtype=np.bool_), np.ascontiguousarray(grid.affine[:3]), np.zeros(3)
    _native.call("shapekit_densest_point", voxels.ctypes.data, *mask.shape, affine.ctypes.data, len(sigmas), sigmas.ctypes.data, found.ctypes.data)
    return found


def _densest(mask: NDArray[np.bool_], grid: Grid, sigmas: Float) -> Float:
    """Return the same by NumPy."""
    points = grid.to_world(voxels_of(mask))
    middle = middle_of(points)
    points -= middle
    squared = np.einsum("ij,ij->i", points, points)
    peak = np.zeros(3)
    for sigma in sigmas:
        weight = points @ peak
        weight -= 0.5 * (squared + peak @ peak)
        weight /= sigma**2
        np.exp(weight, out=weight)
        peak = weight @ points / weight.sum()
    return np.asarray(peak + middle)
