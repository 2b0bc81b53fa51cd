"""A field at points in patient space, or on another grid: trilinear; beyond its grid the way back is added."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from shapekit.core.checks import InputError, check_array
from shapekit.core.grid import Grid
from shapekit.ops import _native
from shapekit.ops.backends import backend_for

Float = NDArray[np.float64]
Field = NDArray[np.float32]


def sample_field(values: Field, grid: Grid, points: ArrayLike, *, backend: str = "auto") -> Field:
    """Interpolate a signed distance at points.

    Parameters
    ----------
    values : (i, j, k) float32, mm
    grid : Grid
    points : (..., 3) float, mm, RAS
    backend : str
        ``"auto"``, ``"reference"`` or ``"cpu"``; see ``backend_for``.

    Returns
    -------
    (...) float32
        Trilinear; beyond the grid the value of its edge plus the way back to it, mm.

    Raises
    ------
    InputError
        If ``values`` does not belong on the grid or is not float32, or if the last axis of the points is not 3.
    UsageError, MissingPackageError
        See ``backend_for``.

    Examples
    --------
    >>> grid = Grid((4, 1, 1), np.eye(4))
    >>> sample_field(np.arange(4, dtype=np.float32).reshape(4, 1, 1), grid, [[1.5, 0, 0], [5, 0, 0]])
    array([1.5, 5. ], dtype=float32)
    """
    check_field(values, grid)
    where = np.ascontiguousarray(points, dtype=np.float64)
    if where.shape[-1:] != (3,):
        raise InputError(f"points has shape {where.shape}, but its last axis must hold three coordinates.")
    if backend_for("cpu", backend=backend).name == "reference":
        return _sampled(values, grid, where)
    found = np.zeros(where.shape[:-1], dtype=np.float32)
    indexed = into_index(grid, np.eye(3, 4))
    _run("shapekit_look_up_points", values, grid, True, indexed.ctypes.data, where.ctypes.data, found.size, found)
    return found


def resample_field(values: Field, grid: Grid, onto: Grid, *, adds_way: bool = True, backend: str = "auto") -> Field:
    """Interpolate a field at the voxels of another grid.

    Parameters
    ----------
    values : (i, j, k) float32
    grid, onto : Grid
    adds_way : bool
        Whether the distance to the grid (mm) is added beyond it, as a signed distance wants it; else its edge's value goes on.
    backend : str
        See ``sample_field``.

    Returns
    -------
    (*onto.shape) float32

    Raises
    ------
    InputError, UsageError, MissingPackageError
        See ``sample_field``.

    Examples
    --------
    >>> grid, onto = Grid((4, 1, 1), np.eye(4)), Grid((2, 1, 1), np.diag([2.5, 1, 1, 1]))
    >>> resample_field(np.arange(4, dtype=np.float32).reshape(4, 1, 1), grid, onto).ravel()
    array([0. , 2.5], dtype=float32)
    """
    check_field(values, grid)
    if backend_for("cpu", backend=backend).name == "reference":
        return _sampled(values, grid, onto.points(), adds_way=adds_way)
    found = np.zeros(onto.shape, dtype=np.float32)
    indexed = into_index(grid, onto.affine[:3])
    _run("shapekit_sample_lattice", values, grid, adds_way, indexed.ctypes.data, *onto.shape, found)
    return found


def check_field(values: Field, grid: Grid, *, name: str = "values") -> None:
    """Refuse what is no float32 field on a grid, or too large for the library.

    Raises
    ------
    InputError
        If it is.
    """
    check_array(name, values, shape=grid.shape)
    if values.dtype != np.float32:
        raise InputError(f"{name} has dtype {values.dtype}, but must be float32.")
    _native.check_size(name, (1, *values.shape))


def into_index(grid: Grid, move: Float) -> Float:
    """Continue an affine map into patient space to the grid's voxel index, (3, 4), contiguous."""
    moved = move.copy()
    moved[:, 3] -= grid.affine[:3, 3]
    return np.ascontiguousarray(np.linalg.inv(grid.affine[:3, :3]) @ moved)


def _run(function: str, values: Field, grid: Grid, adds_way: bool, *arguments: Any) -> None:
    *sizes, found = arguments
    field = np.ascontiguousarray(values)  # under a name: an address does not keep a copy alive
    metric = np.ascontiguousarray(grid.affine[:3, :3])
    _native.call(
        function, field.ctypes.data, metric.ctypes.data if adds_way else None, *grid.shape, *sizes, torch.get_num_threads(), found.ctypes.data
    )


def _sampled(values: Field, grid: Grid, points: Float, *, adds_way: bool = True) -> Field:
    """Return the same by ``Grid.sample``."""
    found, way = grid.sample(values, points)
    return found + way if adds_way else found
