"""Expected bodies and what is missing of them, voxel by voxel, on the input's grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from shapekit.core.grid import Grid, voxels_of
from shapekit.core.values import Image, Sdf
from shapekit.ops import sample_field
from shapekit.pipeline import Scored

Box = tuple[slice, slice, slice]


def expected_labels(scored: Sequence[Scored], grid: Grid) -> NDArray[np.unsignedinteger]:
    """Label the voxels of expected bodies with their vertebra's value in the input; where bodies overlap, the deeper one counts.

    Parameters
    ----------
    scored : sequence of Scored
    grid : Grid
        The input's.

    Returns
    -------
    (i, j, k) uint8 or uint16
    """
    highest = max((one.measures.label for one in scored), default=0)
    labels = np.zeros(grid.shape, dtype=np.uint8 if highest < 256 else np.uint16)
    for one, box, deeper, _ in _expected_voxels(scored, grid):
        labels[box][deeper] = one.measures.label
    return labels


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
    for one, box, deeper, points in _expected_voxels(scored, grid):
        if one.actual is not None:
            missing[box][deeper] = np.maximum(sample_field(one.actual.values, one.actual.grid, points), 0)
    return Image(missing, grid)


def _expected_voxels(scored: Sequence[Scored], grid: Grid) -> Iterator[tuple[Scored, Box, NDArray[np.bool_], NDArray[np.float64]]]:
    """Give each expected body's box on a grid, its voxels in it that lie deeper in it than in those before it, and their places (n, 3) mm."""
    deepest = np.zeros(grid.shape, dtype=np.float32)
    for one in scored:
        box = _box_of(one.expected.sdf, grid) if one.expected else None
        if one.expected is None or box is None:
            continue
        start, stop = [side.start for side in box], [side.stop for side in box]
        points = grid.crop(start, (stop[0] - start[0], stop[1] - start[1], stop[2] - start[2])).points()
        values = sample_field(one.expected.sdf.values, one.expected.sdf.grid, points)
        deeper = values < deepest[box]
        deepest[box][deeper] = values[deeper]
        yield one, box, deeper, points[deeper]


def _box_of(sdf: Sdf, grid: Grid) -> Box | None:
    """Voxels of a grid that a shape may cover; None where the two do not meet."""
    inside = grid.to_index(sdf.grid.to_world(voxels_of(sdf.values < float(sdf.grid.spacing_mm.max()))))
    low = np.clip(np.floor(inside.min(axis=0)), 0, grid.shape).astype(int)
    high = np.clip(np.ceil(inside.max(axis=0)) + 1, 0, grid.shape).astype(int)
    if (low >= high).any():
        return None
    return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1])), slice(int(low[2]), int(high[2]))
