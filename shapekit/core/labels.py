"""One pass over a label array: how many voxels each value has, where they are, and what box holds them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shapekit.core.checks import check_array
from shapekit.core.grid import Grid, voxels_of


@dataclass(frozen=True, eq=False)
class LabelSummary:
    """Extent of one label value.

    Parameters
    ----------
    count : int
        Voxels.
    centroid_mm : (3,) float, mm, RAS
    start, stop : (3,) int
        Index box, half open.
    volume_mm3 : float
    """

    count: int
    centroid_mm: NDArray[np.float64]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    volume_mm3: float


def summarise_labels(array: NDArray[np.unsignedinteger], grid: Grid) -> dict[int, LabelSummary]:
    """Summarise every non-zero value of a label array.

    Parameters
    ----------
    array : (i, j, k) unsigned integer
    grid : Grid

    Returns
    -------
    dict
        Value → summary, in ascending order of value.

    Raises
    ------
    InputError
        If the array's shape is not the grid's.

    Examples
    --------
    >>> array = np.zeros((4, 5, 6), np.uint8); array[1:3, 2, 3:5] = 20
    >>> summarise_labels(array, Grid((4, 5, 6), np.diag([2.0, 1.0, 1.0, 1.0])))[20].centroid_mm
    array([3. , 2. , 3.5])
    """
    check_array("array", array, shape=grid.shape)
    order = sorted(range(3), key=lambda axis: -abs(array.strides[axis]))  # walk the memory as it lies
    walked = array.transpose(order)
    corner = _filled_corner(walked)
    filled = walked[tuple(slice(*ends) for ends in corner)]
    there = filled > 0
    labels = filled[there]
    by_label = np.argsort(labels, kind="stable")  # a radix sort for the small types of most masks
    labels = labels[by_label]
    first = np.flatnonzero(np.diff(labels, prepend=0))
    values, counts = labels[first], np.diff(first, append=len(labels))
    size = len(values)
    sums, start, stop = np.zeros((size, 3)), np.zeros((size, 3), np.int64), np.zeros((size, 3), np.int64)
    for axis, index, (begin, _) in zip(order, voxels_of(there).T, corner, strict=True):
        if not size:
            break
        ordered = index[by_label] + begin
        sums[:, axis] = np.add.reduceat(ordered, first)
        start[:, axis] = np.minimum.reduceat(ordered, first)
        stop[:, axis] = np.maximum.reduceat(ordered, first) + 1
    return {
        int(value): LabelSummary(int(counts[n]), grid.to_world(sums[n] / counts[n]), start[n], stop[n], float(counts[n]) * grid.voxel_mm3)
        for n, value in enumerate(values)
    }


def _filled_corner(array: NDArray[np.unsignedinteger]) -> list[tuple[int, int]]:
    """Box of what is not 0, (begin, end) an axis: most of a scan is empty, and looking for voxels one by one takes forty times a maximum's time."""
    met = np.zeros(array.shape[1:], array.dtype)
    layers = np.zeros(len(array), np.bool_)
    for n, layer in enumerate(array):  # a layer at a time: it is met again while it lies in the cache
        layers[n] = layer.max(initial=0) > 0
        if layers[n]:
            np.bitwise_or(met, layer, out=met)
    rows = [np.flatnonzero(seen) for seen in (layers, met.any(axis=1), met.any(axis=0))]
    return [(int(row[0]), int(row[-1]) + 1) if len(row) else (0, 0) for row in rows]
