"""The body to expect for someone who knows all of a person but what one vertebra has of its own: on average no predictor does better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from shapekit.core.levels import Level
from shapekit.phantom.body import BodyShape
from shapekit.phantom.patient import Patient, Vertebra
from shapekit.phantom.reference import LEVELS, size_factor
from shapekit.phantom.spine import LIP_ASIDE, LIP_WIDTHS, MOST_LIP_MM, TRAIT_ADJACENT, Habits, Own, bump_series, column_of, make_body

Float = NDArray[np.float64]


def foreseen(patient: Patient, level: Level) -> Vertebra:
    """Return a vertebra of a patient as all the others let expect it.

    The true habits of every other level are known, and how levels go together; the expectation of what is drawn for the level itself is
    the conditional mean of the joint Gaussian (sizes: the published correlations; traits and walls: first-order autoregressive down the column).
    What a body has of its own (details of the plates and walls, osteophytes, Schmorl's nodes) is at its mean; the depths of a varied build, which are
    log-normal, are at their medians.

    Parameters
    ----------
    patient : Patient
    level : Level
        One of the patient's.

    Returns
    -------
    Vertebra
        Healthy, in the place of the true one.

    Raises
    ------
    KeyError
        If the patient has no such level.

    Examples
    --------
    >>> from shapekit.phantom import draw_patient
    >>> patient = draw_patient(7)
    >>> abs(foreseen(patient, Level.L2).healthy.heights_mm()[0] - patient["L2"].healthy.heights_mm()[0]) < 4.0
    True
    """
    true = patient[level]
    habits = foreseen_habits(patient.habits, level, [other for other in patient.levels if other is not level])
    own = Own(np.zeros(16), np.stack([_mean_lip(habits.degeneration)] * 2), (np.zeros((0, 5)), np.zeros((0, 5))))
    body: BodyShape = make_body(level, habits, own)
    return replace(true, healthy=body, actual=body, kind="")


def foreseen_habits(habits: Habits, level: Level, known: Sequence[Level]) -> Habits:
    """Replace what was drawn for one level by its conditional mean given other levels' columns.

    Parameters
    ----------
    habits : Habits
    level : Level
    known : sequence of Level
        The others.
    """
    column, others = column_of(level), sorted({column_of(other) for other in known})
    sizes, traits, wobble = habits.sizes.copy(), habits.traits.copy(), habits.wobble.copy()
    walls = None if habits.walls is None else habits.walls.copy()
    if column not in others:  # T13 and L6 have their neighbour's habits
        sizes[:, column] = _given(_size_covariance(), [(n, k) for n in range(4) for k in others], [(n, column) for n in range(4)], habits.sizes)
        share = _given_along(column, others)
        for habit in (traits, wobble, walls):
            if habit is not None:
                habit[..., column] = habit[..., others] @ share
    return replace(habits, sizes=sizes, traits=traits, wobble=wobble, walls=walls, extra=np.zeros_like(habits.extra))


@cache
def _size_covariance() -> Float:
    """Covariance of the four sizes of T1 … L5 within a sex, (68, 68)."""
    factor = size_factor()
    return np.asarray(factor @ factor.T)


def _given(covariance: Float, known: Sequence[tuple[int, int]], wanted: Sequence[tuple[int, int]], values: Float) -> Float:
    """Conditional mean of some of a table's entries given others; the table's rows and columns are flattened in the covariance."""
    here, there = ([row * values.shape[1] + column for row, column in some] for some in (wanted, known))
    if not there:
        return np.zeros(len(here))
    seen = values.reshape(-1)[there]
    return np.asarray(covariance[np.ix_(here, there)] @ np.linalg.lstsq(covariance[np.ix_(there, there)], seen, rcond=1e-9)[0])


def _given_along(column: int, others: Sequence[int]) -> Float:
    """Weights of the other columns in the conditional mean of one."""
    lag = np.abs(np.subtract.outer(np.arange(len(LEVELS)), np.arange(len(LEVELS))))
    covariance = TRAIT_ADJACENT**lag
    return np.asarray(np.linalg.solve(covariance[np.ix_(others, others)], covariance[others, column]))


def _mean_lip(degeneration: float) -> Float:
    """Mean osteophyte: over its side, place, width and size."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    size = degeneration * (1.0 - np.exp(-MOST_LIP_MM / max(degeneration, 1e-9)))
    parts = [
        weight * bump_series(float(np.pi / 2 + side * (LIP_ASIDE[0] + LIP_ASIDE[1] * node)), width, size)
        for node, weight in zip(nodes, weights, strict=True)
        for side in (-1.0, 1.0)
        for width in np.linspace(*LIP_WIDTHS, 5)
    ]
    return np.asarray(np.sum(parts, axis=0) / (2 * 5 * weights.sum()))
