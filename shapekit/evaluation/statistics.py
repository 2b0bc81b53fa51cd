"""Figures of merit, and how sure they are: patients are drawn again, never single vertebrae."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

Float = NDArray[np.float64]


def auc(scores: ArrayLike, positive: ArrayLike) -> float:
    """Area under the receiver operating characteristic: the chance that a positive scores above a negative (Hanley and McNeil 1982).

    Parameters
    ----------
    scores : (n,) float
    positive : (n,) bool

    Returns
    -------
    float
        NaN where one of the two is missing.

    Examples
    --------
    >>> auc([1, 2, 3, 4], [False, False, True, True])
    1.0
    """
    values, which = np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=bool)
    many, few = int(which.sum()), int((~which).sum())
    if not many or not few:
        return float("nan")
    ranks = rankdata(values)
    return float((ranks[which].sum() - many * (many + 1) / 2) / (many * few))


def macro_f1(found: ArrayLike, true: ArrayLike, *, classes: int = 4) -> float:
    """Mean over the classes of the harmonic mean of precision and recall; a class that is nowhere is left out.

    Examples
    --------
    >>> macro_f1([0, 1, 1], [0, 1, 1], classes=2)
    1.0
    """
    one, other = np.asarray(found), np.asarray(true)
    parts = []
    for grade in range(classes):
        both, either = int(((one == grade) & (other == grade)).sum()), int((one == grade).sum() + (other == grade).sum())
        if either:
            parts.append(2 * both / either)
    return float(np.mean(parts)) if parts else float("nan")


def bootstrap(
    figure: Callable[[NDArray[np.integer]], float], patients: ArrayLike, *, draws: int = 500, seed: int = 0, share: float = 0.95
) -> tuple[float, float, float]:
    """Work out a figure and its percentile interval by drawing patients with replacement (Efron 1979).

    Parameters
    ----------
    figure : callable
        Takes the numbers of the chosen rows, (k,) int.
    patients : (n,)
        Whose each row is.
    draws, seed, share

    Returns
    -------
    value, low, high : float
    """
    owners = np.asarray(patients)
    if not len(owners):
        return (float("nan"),) * 3
    people = np.unique(owners)
    rows = {person: np.flatnonzero(owners == person) for person in people}
    generator = np.random.default_rng(seed)
    value = figure(np.arange(len(owners)))
    drawn = [figure(np.concatenate([rows[person] for person in generator.choice(people, len(people))])) for _ in range(draws)]
    told = [one for one in drawn if not np.isnan(one)]  # a draw without a single case has no figure
    low, high = np.quantile(told, ((1 - share) / 2, (1 + share) / 2)) if told else (np.nan, np.nan)
    return float(value), float(low), float(high)
