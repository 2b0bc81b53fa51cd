"""Which levels bodies are: the consecutive sequence that all whole bodies' votes fit best (Lessmann et al. 2019, section 3.4).

Theirs is the least sum of distances: the most likely sequence where all votes scatter alike by a Laplace distribution. Here those for each
level may scatter in their own width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from shapekit.core.checks import InputError
from shapekit.core.levels import Level
from shapekit.io.schemes import SCHEMES

SCHEME = "iis"
VALUES = {level: value for value, level in SCHEMES["verse"].levels.items()}
"""Label values: C1 = 1 ... T12 = 19, L1 = 20 ... L6 = 25, T13 = 28."""
INCOMPLETE = 100
"""What an incomplete vertebra's value has more."""
USUAL: tuple[Level, ...] = tuple(level for level in Level if level is not Level.T13)
EXTRA_VALUE = 19.5
"""What stands for a T13 among the votes: between T12 and L1."""
BELOW = 3
"""So many bodies may lie below an L6: pieces of a sacrum."""
UNUSUAL = (tuple(Level), tuple(level for level in USUAL if level is not Level.T12))
"""Spines with a T13 or without a T12."""
UNUSUAL_COST, LEAST_UNUSUAL = 0.3, 2.5
"""By how many levels a vote, and in all at least, an unusual spine must fit better: votes of one spine err alike [assumed]."""


def vote_of(level: Level) -> float:
    """Return what a network is taught to say of a level."""
    return EXTRA_VALUE if level is Level.T13 else float(VALUES[level])


def best_sequence(votes: Sequence[float], complete: Sequence[bool], scatter: Mapping[Level, float] | None = None) -> list[Level | None]:
    """Name bodies from the head downward.

    Parameters
    ----------
    votes : sequence of float
        What each body is taken for: C1 = 1 ... L6 = 25.
    complete : sequence of bool
        Bodies that are wholly visible; only their votes count, unless there is none.
    scatter : mapping of Level to float, optional
        By how many levels votes for a level err on average: those that err less, as at the spine's ends, weigh more. By default all weigh alike.

    Returns
    -------
    list of Level or None
        Consecutive levels, None below L6. Votes are most likely among these if they scatter about their levels' values by a Laplace distribution;
        of equal ones the higher sequence is taken. An L6 only where the votes ask for it; a T13, or no T12, only where they do so clearly
        (``UNUSUAL_COST``).

    Raises
    ------
    InputError
        If there are more bodies than levels.

    Examples
    --------
    >>> [str(level) for level in best_sequence([18.2, 18.9, 26.0, 21.1], [True, True, False, True])]
    ['T11', 'T12', 'L1', 'L2']
    >>> [str(level) for level in best_sequence([15, 16, 17, 18, 20, 21, 22, 23], [True] * 8)]
    ['T8', 'T9', 'T10', 'T11', 'L1', 'L2', 'L3', 'L4']
    """
    if len(votes) > len(USUAL):
        raise InputError(f"{len(votes)} bodies were found, but a spine has {len(USUAL)} at most above the sacrum; check the scan.")
    counted = [n for n, whole in enumerate(complete) if whole] or list(range(len(votes)))
    wanted = np.array([votes[n] for n in counted])
    known = scatter or {}
    typical = float(np.mean([*known.values()])) if known else 1.0
    error = {level: known.get(level, typical) for level in Level}
    unusual = max(UNUSUAL_COST * len(counted), LEAST_UNUSUAL)
    least, best = np.inf, list[Level | None](USUAL[: len(votes)])
    for spine in (USUAL, *UNUSUAL):
        values = np.array([*(vote_of(level) for level in spine), *(VALUES[Level.L6] + 1.0 + np.arange(BELOW))])
        errors = np.array([*(error[level] for level in spine), *[error[Level.L6]] * BELOW])
        fits = []
        for first in range(len(values) - len(votes) + 1):
            here = np.array(counted, int) + first
            apart = np.abs(values[here] - wanted)
            fits.append((round(float((apart / errors[here] + np.log(errors[here])).sum()), 9), first, float(apart.sum())))
        _, first, apart_in_all = min(fits)  # the most likely of this spine; of spines the one whose votes are nearest
        if (cost := apart_in_all + (0.0 if spine is USUAL else unusual)) < least:
            least, best = cost, [*spine, *[None] * BELOW][first : first + len(votes)]
    return best
