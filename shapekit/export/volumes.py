"""What is missing, voxel by voxel, on the input's grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shapekit.core.grid import Grid
from shapekit.core.values import Image, Sdf
from shapekit.pipeline import Scored


def deficit_volume(scored: Sequence[Scored], grid: Grid) -> Image:
    """Millimetres of missing bone: at each voxel of an expected body that lies outside the actual one, the distance to the actual surface.

    Parameters
    ----------
    scored : sequence of Scored
    grid : Grid
        The input's.

    Returns
    -------
    Image
        float32 mm; 0 where nothing is missing. Where expected bodies overlap, the one that the voxel lies deeper in counts.
    """
    missing = np.zeros(grid.shape, dtype=np.float32)
    deepest = np.zeros(grid.shape, dtype=np.float32)
    for one in scored:
        if one.expected is None or one.actual is None:
            continue
        box = box_of(one.expected.sdf, grid)
        part = [side.stop - side.start for side in box]
        if min(part) < 1:
            continue
        points = grid.crop([side.start for side in box], (part[0], part[1], part[2])).points()
        values = one.expected.sdf.sample(points)
        deeper = values < deepest[box]
        missing[box][deeper] = np.maximum(one.actual.sample(points[deeper]), 0)
        deepest[box][deeper] = values[deeper]
    return Image(missing, grid)


def box_of(sdf: Sdf, grid: Grid) -> tuple[slice, slice, slice]:
    """Voxels of a grid that a shape may cover; a side is empty where the two do not meet."""
    inside = grid.to_index(sdf.grid.to_world(np.argwhere(sdf.values < float(sdf.grid.spacing_mm.max()))))
    low = np.clip(np.floor(inside.min(axis=0)), 0, grid.shape).astype(int)
    high = np.clip(np.ceil(inside.max(axis=0)) + 1, 0, grid.shape).astype(int)
    return _side(low, high, 0), _side(low, high, 1), _side(low, high, 2)


def _side(low: NDArray[np.int64], high: NDArray[np.int64], axis: int) -> slice:
    return slice(int(low[axis]), max(int(low[axis]), int(high[axis])))
