"""Which levels bodies are: the consecutive sequence that all whole bodies' votes fit best (Lessmann et al. 2019, section 3.4)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shapekit.core.checks import InputError
from shapekit.core.levels import Level
from shapekit.io.schemes import SCHEMES

SCHEME = "iis"
VALUES = {level: value for value, level in SCHEMES["verse"].levels.items()}
"""Label values: C1 = 1 ... T12 = 19, L1 = 20 ... L6 = 25, T13 = 28."""
INCOMPLETE = 100
"""What an incomplete vertebra's value has more."""
USUAL = tuple(level for level in Level if level is not Level.T13)
EXTRA_VALUE = 19.5
"""What stands for a T13 among the votes: between T12 and L1."""


def vote_of(level: Level) -> float:
    """Return what a network is taught to say of a level."""
    return EXTRA_VALUE if level is Level.T13 else float(VALUES[level])


def best_sequence(votes: Sequence[float], complete: Sequence[bool]) -> list[Level]:
    """Name bodies from the head downward.

    Parameters
    ----------
    votes : sequence of float
        What each body is taken for: C1 = 1 ... L6 = 25.
    complete : sequence of bool
        Bodies that are wholly visible; only their votes count, unless there is none.

    Returns
    -------
    list of Level
        Consecutive levels of a usual spine; L6 only where the votes ask for it. The sum of the votes' distances is least; of equal
        ones the higher sequence is taken.

    Raises
    ------
    InputError
        If there are more bodies than levels.

    Examples
    --------
    >>> [str(level) for level in best_sequence([18.2, 18.9, 26.0, 21.1], [True, True, False, True])]
    ['T11', 'T12', 'L1', 'L2']
    """
    if len(votes) > len(USUAL):
        raise InputError(f"{len(votes)} bodies were found, but a spine has {len(USUAL)} at most above the sacrum; check the scan.")
    counted = [n for n, whole in enumerate(complete) if whole] or list(range(len(votes)))
    values = np.array([VALUES[level] for level in USUAL], dtype=np.float64)
    wanted = np.array([votes[n] for n in counted])
    costs = [float(np.abs(values[np.array(counted, int) + first] - wanted).sum()) for first in range(len(USUAL) - len(votes) + 1)]
    first = int(np.argmin(np.round(costs, 9)))
    return list(USUAL[first : first + len(votes)])
