"""The mean distance that one field has on the surface of another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shapekit.core.checks import InputError
from shapekit.core.grid import Grid, box_of, cut_box
from shapekit.ops import _native
from shapekit.ops.backends import backend_for
from shapekit.ops.sampling import check_field, into_index, sample_field

Float = NDArray[np.float64]
Field = NDArray[np.float32]


def distance_at_surface(surface: Field, onto: Grid, values: Field, grid: Grid, *, backend: str = "auto") -> float:
    """Average a field's distance over the zero level of another.

    Parameters
    ----------
    surface : (i, j, k) float32, mm
        Signed distance whose zero level is looked at; beyond its grid all is outside.
    onto : Grid
    values : (i', j', k') float32, mm
        Signed distance that is looked up there.
    grid : Grid
    backend : str
        ``"auto"``, ``"reference"`` or ``"cpu"``; see ``backend_for``.

    Returns
    -------
    float
        Mean of its absolute value, mm, weighted by area.

    Raises
    ------
    InputError
        If one of the fields does not belong on its grid or is not float32, or if the first has no zero crossing.
    UsageError, MissingPackageError
        See ``backend_for``.

    Notes
    -----
    Places are those at which the edges between voxels cross the zero level. Of a surface whose normal has the component c along an axis, edges
    along it cross c / (a face of a voxel) times a unit of area; weighted by c times that face, all three axes' crossings together count
    every piece of surface once (c² + d² + e² = 1).

    Examples
    --------
    >>> grid = Grid((24, 24, 24), np.diag([1, 1, 1, 1.0]))
    >>> away = np.linalg.norm(grid.points() - 11.5, axis=-1).astype(np.float32)
    >>> round(distance_at_surface(away - 6, grid, away - 8, grid), 2)
    2.0
    """
    check_field(surface, onto, name="surface")
    check_field(values, grid)
    boxed, start = box_of_shape(surface, 2)
    box = onto.crop(start, (boxed.shape[0], boxed.shape[1], boxed.shape[2]))
    if backend_for("cpu", backend=backend).name == "reference":
        points, areas = _crossings(boxed, box)
        return float(np.abs(sample_field(values, grid, points, backend="reference")) @ areas / areas.sum())
    field, metric = np.ascontiguousarray(values), np.ascontiguousarray(grid.affine[:3, :3])  # under a name each: an address keeps no copy alive
    move, spacing, found = into_index(grid, box.affine[:3]), box.spacing_mm, np.zeros(1)
    _native.call(
        "shapekit_distance_at_surface",
        *(field.ctypes.data, metric.ctypes.data, *grid.shape, move.ctypes.data),
        *(boxed.ctypes.data, *box.shape, spacing.ctypes.data, found.ctypes.data),
    )
    return float(found[0])


def box_of_shape(values: Field, around: int) -> tuple[Field, NDArray[np.int64]]:
    """Crop a field to the box of its shape and some voxels around it; beyond its grid all is outside.

    Returns
    -------
    box : (i, j, k) float32, mm
        A copy, row by row.
    start : (3,) int64
        Index in the field of its first voxel; may be negative.

    Raises
    ------
    InputError
        If the field has no zero crossing, or holds NaN.
    """
    least, most = float(values.min()), float(values.max())
    if np.isnan(least + most):
        raise InputError("the signed distance holds NaN; it must be finite.")
    if not least < 0 < most:
        raise InputError("the signed distance never changes sign; there is no surface to extract.")
    low, high = box_of(values <= 0)
    box = cut_box(values, low - around, high + around, beyond=max(-least, most))
    return np.ascontiguousarray(box), low - around


def _crossings(values: Field, grid: Grid) -> tuple[Float, Float]:
    """Points where edges along the three axes cross the zero level, (n, 3) mm, and the surface each stands for, (n,) mm²."""
    flat, inside = values.ravel(), (values <= 0).ravel()
    strides, spacing = [stride // values.itemsize for stride in values.strides], grid.spacing_mm
    points, areas = [], []
    for axis, along in enumerate(strides):
        at = np.flatnonzero(inside[:-along] != inside[along:])  # rows' ends meet outside
        low, high = flat.take(at), flat.take(at + along)
        share = low / (low - high)
        rises = (
            (1 - share) * (flat.take(at + stride) - flat.take(at - stride))
            + share * (flat.take(at + along + stride) - flat.take(at + along - stride))
            for stride in strides
        )
        slopes = np.stack([rise / step for rise, step in zip(rises, spacing, strict=True)])
        areas.append(np.abs(slopes[axis]) / np.maximum(np.linalg.norm(slopes, axis=0), 1e-12) * (spacing.prod() / spacing[axis]))
        index = np.stack(np.unravel_index(at, values.shape), axis=1).astype(np.float64)
        index[:, axis] += share
        points.append(grid.to_world(index))
    return np.concatenate(points), np.concatenate(areas)
