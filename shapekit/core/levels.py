"""Vertebral levels in their order from the head downward, T13 and L6 included."""

from __future__ import annotations

from enum import Enum


class Level(Enum):
    """A vertebral level; ``Level("L1")``, ``Level.L1.rank``, ``Level.T12 < Level.T13 < Level.L1``."""

    C1, C2, C3, C4, C5, C6, C7 = (f"C{n}" for n in range(1, 8))
    T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11, T12, T13 = (f"T{n}" for n in range(1, 14))
    L1, L2, L3, L4, L5, L6 = (f"L{n}" for n in range(1, 7))

    @property
    def rank(self) -> int:
        """Position from the head downward, C1 = 0. T13 and L6 count, so ranks of a usual spine skip one."""
        return _RANK[self]

    @property
    def region(self) -> str:
        """``"C"``, ``"T"`` or ``"L"``."""
        return str(self.value)[0]

    @property
    def is_cervical(self) -> bool:
        """True from C1 to C7."""
        return self.region == "C"

    def __lt__(self, other: Level) -> bool:
        return self.rank < other.rank

    def __str__(self) -> str:
        return str(self.value)


_RANK = {level: rank for rank, level in enumerate(Level)}


def typical_gap(upper: Level, lower: Level) -> int:
    """Count the steps from one level down to another in a usual spine (T13 and L6 count only where named).

    Examples
    --------
    >>> typical_gap(Level.T12, Level.L1), typical_gap(Level.T12, Level.T13), typical_gap(Level.L1, Level.L3)
    (1, 1, 2)
    """
    low, high = sorted((upper, lower))
    between = [level for level in Level if low < level < high and level not in (Level.T13, Level.L6)]
    steps = 0 if low is high else len(between) + 1
    return steps if upper.rank <= lower.rank else -steps
