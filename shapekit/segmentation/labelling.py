"""Which sequences of levels there are, and which of them bodies' own votes fit best (Lessmann et al. 2019, section 3.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

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

TRUNK = tuple(level for level in USUAL if not level.is_cervical)
SPINES: tuple[tuple[tuple[Level, ...], float], ...] = (
    (TRUNK[:-1], 0.914),
    (TRUNK, 0.05),
    ((*TRUNK[:12], Level.T13, *TRUNK[12:-1]), 0.02),
    ((*TRUNK[:11], *TRUNK[12:-1]), 0.015),
    ((*TRUNK[:12], Level.T13, *TRUNK[12:]), 0.001),
)
"""Which thoracic and lumbar levels a spine has, and how often, as in the phantoms: the usual ones, an L6, a T13, no T12; T13 and L6 [assumed]."""

NECK_SHARE = 0.01
"""How often the first body above a T1 was found though it belongs to the neck [assumed]."""
VOTE_WEIGHT = 0.6
"""How much the logarithm of the votes' likelihood counts beside that of a network of levels: votes of one scan err alike
(``docs/segmentation_check.py --choices``)."""


@lru_cache
def candidates(count: int) -> tuple[tuple[tuple[Level | None, ...], ...], tuple[float, ...]]:
    """List every consecutive sequence of so many thoracic and lumbar bodies.

    Parameters
    ----------
    count : int

    Returns
    -------
    sequences : tuple of tuples of Level or None
        From the head downward; C7 for a body of the neck, above T1 only; None below the last lumbar level. Each once.
    shares : tuple of float
        How often a spine has it, as far as that is known before one looks: the largest of those spines that hold it.

    Raises
    ------
    InputError
        If no spine has so many.

    Examples
    --------
    >>> sequences, shares = candidates(18)
    >>> [(str(sequence[-1]), share) for sequence, share in zip(sequences, shares) if sequence[0] is Level.T1 and Level.T13 not in sequence]
    [('None', 0.914), ('L6', 0.05), ('None', 0.015)]
    """
    found: dict[tuple[Level | None, ...], float] = {}
    for spine, share in SPINES:
        row = [*spine, *[None] * BELOW]
        for first in range(len(row) - count + 1):
            found.setdefault(tuple(row[first : first + count]), share)
    for spine, share in SPINES if count > 1 else ():
        if len(with_neck := (Level.C7, *spine, *[None] * BELOW)) >= count:
            found.setdefault(with_neck[:count], NECK_SHARE * share)
    if not found:
        raise InputError(f"{count} bodies were found, but a spine has {len(TRUNK) + 1} at most between neck and sacrum; check the scan.")
    return tuple(found), tuple(found.values())


def vote_of(level: Level) -> float:
    """Return what a network is taught to say of a level."""
    return EXTRA_VALUE if level is Level.T13 else float(VALUES[level])


def vote_scores(
    votes: Sequence[float], whole: Sequence[bool], sequences: Sequence[Sequence[Level | None]], scatter: Mapping[Level, float]
) -> NDArray[np.float64]:
    """Tell how likely bodies' own votes are, were a sequence theirs, if they err by a Laplace distribution.

    Parameters
    ----------
    votes : sequence of float
        What each body is taken for: C1 = 1 ... L6 = 25.
    whole : sequence of bool
        Bodies that are wholly visible; only their votes count.
    sequences : sequence of sequences of Level or None
        As many levels as votes.
    scatter : mapping of Level to float
        By how many levels votes for a level err on average; their mean stands for others, 1 where it is empty.

    Returns
    -------
    (len(sequences),) float
        Logarithms.

    Examples
    --------
    >>> vote_scores([18.5, 20.0], [True, True], [(Level.T11, Level.T12), (Level.T12, Level.L1)], {}).tolist()
    [-1.5, -0.5]
    """
    typical = float(np.mean([*scatter.values()])) if scatter else 1.0
    value = {level: vote_of(level) for level in Level} | {None: VALUES[Level.L6] + 1.0}
    error = {level: scatter.get(level, typical) for level in Level} | {None: typical}
    found = np.zeros(len(sequences))
    for n, (vote, counts) in enumerate(zip(votes, whole, strict=True)):
        if counts:
            found -= [abs(vote - value[one[n]]) / error[one[n]] + np.log(error[one[n]]) for one in sequences]
    return found


def best_sequence(votes: Sequence[float], complete: Sequence[bool]) -> list[Level | None]:
    """Name bodies from the head downward.

    Parameters
    ----------
    votes : sequence of float
        What each body is taken for: C1 = 1 ... L6 = 25.
    complete : sequence of bool
        Bodies that are wholly visible; only their votes count, unless there is none.

    Returns
    -------
    list of Level or None
        Consecutive levels, None below L6: those to whose values the votes' distances sum up to the least; of equal ones the higher sequence. An L6
        only where the votes ask for it; a T13, or no T12, only where they do so clearly (``UNUSUAL_COST``).

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
    unusual = max(UNUSUAL_COST * len(counted), LEAST_UNUSUAL)
    least, best = np.inf, list[Level | None](USUAL[: len(votes)])
    for spine in (USUAL, *UNUSUAL):
        values = np.array([*(vote_of(level) for level in spine), *(VALUES[Level.L6] + 1.0 + np.arange(BELOW))])
        for first in range(len(values) - len(votes) + 1):
            apart = round(float(np.abs(values[np.array(counted, int) + first] - wanted).sum()), 9)
            if (cost := apart + (0.0 if spine is USUAL else unusual)) < least:
                least, best = cost, [*spine, *[None] * BELOW][first : first + len(votes)]
    return best
