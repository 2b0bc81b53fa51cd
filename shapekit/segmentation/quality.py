"""How good a segmentation is: each true body against the found one that covers most of it.

Slivers at the scan's end, smaller than what the traversal takes for a body, are not asked for: they are neither missed nor invented.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from shapekit.core.checks import InputError
from shapekit.core.grid import Grid, voxels_of
from shapekit.core.values import LabelMap
from shapekit.mesh import surface_distance
from shapekit.sdf import sdf_from_mask
from shapekit.segmentation.traversal import LEAST_MM3

COVERS = 0.1
"""A body is found where another covers at least this share of the two together (Dice)."""


@dataclass(frozen=True)
class Quality:
    """What came out of one scan.

    Parameters
    ----------
    dice, surface_mm : dict of str to float
        By true level, of the bodies that were found; mean symmetric surface distance, mm.
    taken_for : dict of str to str
        The level that each found body got.
    told : dict of str to bool
        Whether each was rightly told whole or cut.
    missed, invented : tuple of str
        True levels of which nothing was found; levels given to what is no body.
    cut : tuple of str
        True levels that are not wholly visible.
    """

    dice: dict[str, float]
    surface_mm: dict[str, float]
    taken_for: dict[str, str]
    told: dict[str, bool]
    missed: tuple[str, ...]
    invented: tuple[str, ...]
    cut: tuple[str, ...]

    @property
    def named(self) -> dict[str, bool]:
        """Whether each found body got its level."""
        return {level: level == other for level, other in self.taken_for.items()}


def judge(found: LabelMap, truth: LabelMap, *, cut: Collection[int] | None = None) -> Quality:
    """Compare a segmentation with the true bodies.

    Parameters
    ----------
    found : LabelMap
        Bodies.
    truth : LabelMap
        Bodies, or whole vertebrae with a body mask; on the same grid.
    cut : collection of int, optional
        True values that are not wholly visible; else what the truth itself marks as partial.

    Returns
    -------
    Quality

    Raises
    ------
    InputError
        If the two lie on different grids.

    Examples
    --------
    >>> from shapekit.core.levels import Level
    >>> array = np.zeros((12, 14, 16), np.uint8); array[3:9, 4:11, 5:12] = 20
    >>> truth = LabelMap(array, Grid(array.shape, np.diag([1.0, 1.0, 2.0, 1.0])), {20: Level.L1})
    >>> judge(truth, truth).dice
    {'L1': 1.0}
    """
    if not found.grid.is_close(truth.grid):
        raise InputError("the two segmentations lie on different grids; bring one onto the other's.")
    cut = truth.partial if cut is None else cut
    real = truth.array if truth.body_mask is None else np.where(truth.body_mask, truth.array, 0)
    boxes = ndimage.find_objects(real.astype(np.int32))
    size = {value: int(np.count_nonzero(found.array == value)) for value in found.levels}
    dice: dict[str, float] = {}
    surface: dict[str, float] = {}
    taken_for: dict[str, str] = {}
    told: dict[str, bool] = {}
    missed, used = [], set()
    for value, level in sorted(truth.levels.items(), key=lambda one: one[1].rank):
        if value > len(boxes) or (box := boxes[value - 1]) is None:
            continue
        own = real[box] == value
        asked = np.count_nonzero(own) * truth.grid.voxel_mm3 >= LEAST_MM3
        over = np.bincount(found.array[box][own].ravel(), minlength=1)
        best, score = 0, 0.0
        for other in found.levels:
            shared = int(over[other]) if other < len(over) else 0
            one = 2 * shared / (size[other] + int(own.sum()))
            best, score = (other, one) if one > score else (best, score)
        if score < COVERS:
            missed += [str(level)] if asked else []
            continue
        used.add(best)
        if not asked:
            continue
        dice[str(level)] = score
        surface[str(level)] = _apart(real == value, found.array == best, truth.grid)
        taken_for[str(level)] = str(found.levels[best])
        told[str(level)] = (best in found.partial) == (value in cut)
    invented = tuple(str(level) for value, level in found.levels.items() if value not in used)
    return Quality(dice, surface, taken_for, told, tuple(missed), invented, tuple(str(truth.levels[value]) for value in cut if value in truth.levels))


def _apart(one: NDArray[np.bool_], other: NDArray[np.bool_], grid: Grid) -> float:
    where = voxels_of(one | other)
    low, high = np.maximum(where.min(axis=0) - 3, 0), np.minimum(where.max(axis=0) + 4, grid.shape)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    crop = grid.crop(low, (int(high[0] - low[0]), int(high[1] - low[1]), int(high[2] - low[2])))
    return surface_distance(sdf_from_mask(one[box], crop), sdf_from_mask(other[box], crop))
