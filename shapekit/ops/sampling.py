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


def sample_field(values: Field, grid: Grid, points: ArrayLike, *, moves: Float | None = None, backend: str = "auto") -> Field:
    """Interpolate a signed distance at points, or at the same points moved in many ways.

    Parameters
    ----------
    values : (i, j, k) float32, mm
    grid : Grid
    points : (..., 3) float, mm, RAS
    moves : (m, 3, 4) float, optional
        Affine maps into patient space; the points are then in whatever space these map from.
    backend : str
        ``"auto"``, ``"reference"`` or ``"cpu"``; see ``backend_for``.

    Returns
    -------
    (...) float32, or (m, ...) where there are moves
        Trilinear; beyond the grid the value of its edge plus the way back to it, mm.

    Raises
    ------
    InputError
        If ``values`` does not belong on the grid or is not float32, if the last axis of the points is not 3, or if ``moves`` has another shape.
    UsageError, MissingPackageError
        See ``backend_for``.

    Examples
    --------
    >>> grid = Grid((4, 1, 1), np.eye(4))
    >>> sample_field(np.arange(4, dtype=np.float32).reshape(4, 1, 1), grid, [[1.5, 0, 0], [5, 0, 0]])
    array([1.5, 5. ], dtype=float32)
    """
    _check(values, grid)
    where = np.ascontiguousarray(points, dtype=np.float64)
    if where.shape[-1:] != (3,):
        raise InputError(f"points has shape {where.shape}, but its last axis must hold three coordinates.")
    maps = np.eye(3, 4)[None] if moves is None else np.asarray(moves, dtype=np.float64)
    check_array("moves", maps, ndim=3)
    if maps.shape[1:] != (3, 4):
        raise InputError(f"moves has shape {maps.shape}, but must be (m, 3, 4).")
    if backend_for("cpu", backend=backend).name == "reference":
        found = np.stack([_sampled(values, grid, where @ one[:, :3].T + one[:, 3]) for one in maps])
    else:
        found = np.zeros((len(maps), *where.shape[:-1]), dtype=np.float32)
        indexed = np.ascontiguousarray(_into_index(grid, maps))
        flat = where.reshape(-1, 3)
        _run("shapekit_sample_points", values, grid, True, indexed.ctypes.data, len(maps), flat.ctypes.data, len(flat), found)
    return found[0] if moves is None else found


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
    _check(values, grid)
    if backend_for("cpu", backend=backend).name == "reference":
        return _sampled(values, grid, onto.points(), adds_way=adds_way)
    found = np.zeros(onto.shape, dtype=np.float32)
    indexed = np.ascontiguousarray(_into_index(grid, onto.affine[None, :3]))
    _run("shapekit_sample_lattice", values, grid, adds_way, indexed.ctypes.data, *onto.shape, found)
    return found


def _check(values: Field, grid: Grid) -> None:
    check_array("values", values, shape=grid.shape)
    if values.dtype != np.float32:
        raise InputError(f"values has dtype {values.dtype}, but must be float32.")
    _native.check_size("values", (1, *values.shape))


def _into_index(grid: Grid, maps: Float) -> Float:
    """Continue maps into patient space to the grid's voxel index, (m, 3, 4)."""
    inverse = np.linalg.inv(grid.affine[:3, :3])
    moved = maps.copy()
    moved[:, :, 3] -= grid.affine[:3, 3]
    return np.asarray(inverse @ moved)


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
