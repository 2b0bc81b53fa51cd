"""Fit the linear conditional shape model to samples, with the networks' own augmentation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shapekit.predictors.linear import LinearModel
from shapekit.training.batches import PLACE_OF_RANK, draw_seats, full_seats, targets_of
from shapekit.training.samples import Samples, seeded


def fit_linear(cohort: Sequence[Samples], *, seed: int = 1000, components: int = 80, ridge: float = 25.0) -> LinearModel:
    """Fit the model; every target is seen with its full company and once with some of it missing.

    Parameters
    ----------
    cohort : sequence of Samples
    seed : int
    components : int
    ridge : float

    Raises
    ------
    InputError
        If there are fewer than three healthy targets with a whole neighbour.
    """
    targets = targets_of(cohort)
    generator = seeded(seed, 9)
    starts = np.cumsum([0, *(len(spine.ranks) for spine in cohort)])
    contexts = np.concatenate([spine.measured for spine in cohort]) if cohort else np.zeros((0, 40, 32, 32), np.float16)
    shapes, levels, seats = [], [], []
    for n, t in targets:
        spine = cohort[n]
        for seat in (full_seats(spine, t), draw_seats(spine, t, generator)):
            places = [(-1, -1) if who is None else (int(starts[n]) + who, PLACE_OF_RANK[int(spine.ranks[who])]) for who in seat.slots]
            shapes.append(spine.healthy[t])
            levels.append(PLACE_OF_RANK[int(spine.ranks[t])])
            seats.append(places)
    return LinearModel.fit(np.array(shapes), np.array(levels), contexts, np.array(seats).reshape(-1, 4, 2), components=components, ridge=ridge)
