"""A cohort's table by level: quartiles, and the vertebrae that lie far from the others of their level."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from shapekit.core.levels import Level

WATCHED = {"ha_mm": "Ha", "hm_mm": "Hm", "hp_mm": "Hp", "actual_mm3": "volume", "surface_distance_mm": "distance"}
"""Measures in which a vertebra may lie far from its level."""
FAR = 3.5
"""Modified z-score beyond which a value is an outlier (Iglewicz and Hoaglin 1993)."""
FEWEST = 8
"""Vertebrae that a level needs before anything in it counts as far from the others."""


@dataclass(frozen=True)
class Spread:
    """Where the values of a level lie.

    Parameters
    ----------
    level : str
    values : tuple of float
        In order.
    """

    level: str
    values: tuple[float, ...]

    def quantile(self, share: float) -> float:
        """Return the value below which a share of the others lies, with linear interpolation; NaN where there is none."""
        return float(np.quantile(self.values, share)) if self.values else math.nan


@dataclass(frozen=True)
class Outlier:
    """A vertebra that lies far from the others of its level.

    Parameters
    ----------
    case, level, measure : str
    value, median : float
        Its own, and its level's.
    z : float
        Modified z-score: 0.6745 times the distance over the level's median absolute deviation.
    """

    case: str
    level: str
    measure: str
    value: float
    median: float
    z: float


def number(cell: str) -> float:
    """Return a cell's number; NaN where it is none.

    Examples
    --------
    >>> number("1.5"), number("n/a")
    (1.5, nan)
    """
    try:
        return float(cell)
    except ValueError:
        return math.nan


def by_level(rows: Iterable[dict[str, str]], column: str) -> list[Spread]:
    """Return a column's values level by level, from the head downward; levels without one are left out."""
    found: dict[str, list[float]] = {}
    for row in rows:
        value = number(row[column])
        if math.isfinite(value):
            found.setdefault(row["level"], []).append(value)
    return [Spread(str(level), tuple(sorted(found[str(level)]))) for level in sorted(Level) if str(level) in found]


def outliers(rows: Sequence[dict[str, str]]) -> list[Outlier]:
    """Find the vertebrae that lie far from the others of their level, the farthest first: a fracture, an odd shape, or a mask gone wrong.

    Parameters
    ----------
    rows : sequence of dict
        Of the group's table.

    Returns
    -------
    list of Outlier
        Each vertebra once, by the measure in which it lies farthest off.
    """
    worst: dict[tuple[str, str], Outlier] = {}
    for column, name in WATCHED.items():
        spreads = {spread.level: spread for spread in by_level(rows, column) if len(spread.values) >= FEWEST}
        scales = {level: float(np.median(np.abs(np.array(spread.values) - spread.quantile(0.5)))) for level, spread in spreads.items()}
        for row in rows:
            level, value = row["level"], number(row[column])
            if not math.isfinite(value) or not scales.get(level):
                continue
            median = spreads[level].quantile(0.5)
            z = 0.6745 * (value - median) / scales[level]
            key = (row["case"], level)
            if abs(z) > max(FAR, abs(worst[key].z) if key in worst else 0.0):
                worst[key] = Outlier(row["case"], level, name, value, median, z)
    return sorted(worst.values(), key=lambda one: (-abs(one.z), one.case, one.level))
