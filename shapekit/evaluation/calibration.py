"""Measure how far true shapes lie from predicted ones, so that intervals hold the share they should."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from shapekit.core.checks import InputError
from shapekit.core.conventions import COARSE_SHAPE
from shapekit.evaluation.protocol import Judged, Residual
from shapekit.scoring import Spread, score_intervals
from shapekit.scoring.interval import KINDS, LEVEL

NEAR_MM, FAR_MM = 4.0, 8.0
"""Residuals count in full this near to the expected surface, and not at all that far from it, where they move no surface."""
MOST_MM = 5.0
COMPONENTS = 20
BORROWED = 40
"""So many vertebrae of all kinds together stand beside a kind's own."""
SCALES = np.geomspace(0.5, 2.5, 17)
FEWEST = 30


def fit_spread(judged: Sequence[Judged], predictor: str, *, preset: str = "botros2022") -> Spread:
    """Fit a spread to residuals, then choose for each kind how much to widen it so that 90 % of the twins' scores lie inside.

    Parameters
    ----------
    judged : sequence of Judged
        With residuals, of patients that are no part of training or test.
    predictor : str
        Whose residuals to take.
    preset : str

    Raises
    ------
    InputError
        If there are fewer than 30 scored vertebrae.
    """
    found = [one for patient in judged for one in patient.residuals if one.predictor == predictor]
    if len(found) < FEWEST:
        raise InputError(f"{len(found)} scored vertebrae were found, but a spread needs at least {FEWEST}; judge more patients.")
    kinds = np.array([one.kind for one in found])
    flat = np.stack([_near(one).reshape(-1) for one in found])
    _, vectors = np.linalg.eigh((flat @ flat.T).astype(np.float64))
    count = min(COMPONENTS, len(flat) - 1)
    modes = np.linalg.qr((vectors[:, ::-1][:, :count].T @ flat).T.astype(np.float64))[0].T.astype(np.float32)
    coefficients = (flat @ modes.T).astype(np.float64)
    mean, root = _moments(coefficients, kinds)
    spread = Spread(modes.reshape(-1, *COARSE_SHAPE), mean, root, np.ones(len(KINDS), np.float32))
    return replace(spread, scale=_scales(found, kinds, spread, preset))


def _near(one: Residual) -> NDArray[np.float32]:
    """Residual near the expected surface, drawn in to none away from it."""
    share = np.clip((FAR_MM - np.abs(one.expected.astype(np.float32))) / (FAR_MM - NEAR_MM), 0.0, 1.0)
    return np.asarray(np.clip(one.off.astype(np.float32), -MOST_MM, MOST_MM) * share)


def _moments(coefficients: NDArray[np.float64], kinds: NDArray[np.integer]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and Cholesky factor of the covariance of each kind, drawn towards those of all."""
    overall_mean, overall = coefficients.mean(axis=0), np.cov(coefficients.T)
    means, roots = [], []
    for kind in range(len(KINDS)):
        mine = coefficients[kinds == kind]
        weight = len(mine) / (len(mine) + BORROWED)
        mean = weight * (mine.mean(axis=0) if len(mine) else 0.0) + (1 - weight) * overall_mean
        own = (mine - mean).T @ (mine - mean) / max(len(mine), 1)
        covariance = weight * own + (1 - weight) * overall
        means.append(mean)
        roots.append(np.linalg.cholesky(covariance + 1e-6 * np.trace(covariance) * np.eye(len(covariance))))
    return np.array(means, dtype=np.float32), np.array(roots, dtype=np.float32)


def _scales(found: Sequence[Residual], kinds: NDArray[np.integer], spread: Spread, preset: str) -> NDArray[np.float32]:
    """Choose the least widening at which each kind's intervals hold their share of the twins' scores."""
    truth = np.array([one.twin_score for one in found])
    expected, actual = [one.expected.astype(np.float32) for one in found], [one.actual.astype(np.float32) for one in found]
    held = np.zeros((len(SCALES), len(found)), dtype=bool)
    for n, scale in enumerate(SCALES):
        tried = replace(spread, scale=np.full(len(KINDS), scale, dtype=np.float32))
        limits = score_intervals(expected, actual, [one.row for one in found], tried, kinds.tolist(), preset=preset)
        low, high = np.array(limits).T
        held[n] = (low <= truth) & (truth <= high)
    chosen = []
    for kind in range(len(KINDS)):
        mine = kinds == kind
        weight = mine.sum() / (mine.sum() + BORROWED)
        share = weight * (held[:, mine].mean(axis=1) if mine.any() else 0.0) + (1 - weight) * held.mean(axis=1)
        enough = np.flatnonzero(share >= LEVEL)
        chosen.append(SCALES[enough[0]] if len(enough) else SCALES[-1])
    return np.array(chosen, dtype=np.float32)
