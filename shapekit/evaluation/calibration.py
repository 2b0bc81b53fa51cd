"""Measure how far true sizes and shapes lie from predicted ones: for the prior of a body's own sizes and the spread of intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from shapekit.core.checks import InputError
from shapekit.core.conventions import COARSE_SHAPE
from shapekit.evaluation.protocol import DAMAGED_FROM, Judged, Residual
from shapekit.morphometry import DEFORMED
from shapekit.predictors import SizePrior
from shapekit.predictors.sizes import BROKEN, COMPANIES, SIZES, WHOLE
from shapekit.scoring import PRESETS, Spread, score_intervals
from shapekit.scoring.interval import KINDS, LEVEL
from shapekit.scoring.weight import SIGMA_SHARE

Float = NDArray[np.float64]

NEAR_MM, FAR_MM = 4.0, 8.0
"""Residuals count in full this near to the expected surface, and not at all that far from it, where they move no surface."""
MOST_MM = 5.0
COMPONENTS = 20
BORROWED = 40
"""So many vertebrae of all kinds together stand beside a kind's own."""
SCALES = np.geomspace(0.5, 2.5, 17)
FEWEST = 30
BROKEN_ODDS = 0.5
"""A body is taken to be as likely broken as not, though fewer are: a fracture held for a person's own shape costs more than the reverse."""


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
    found = _residuals(judged, predictor)
    kinds = np.array([one.kind for one in found])
    flat = np.stack([_near(one).reshape(-1) for one in found])
    _, vectors = np.linalg.eigh((flat @ flat.T).astype(np.float64))
    count = min(COMPONENTS, len(flat) - 1)
    modes = np.linalg.qr((vectors[:, ::-1][:, :count].T @ flat).T.astype(np.float64))[0].T.astype(np.float32)
    coefficients = (flat @ modes.T).astype(np.float64)
    mean, root = _moments(coefficients, kinds)
    spread = Spread(modes.reshape(-1, *COARSE_SHAPE), mean, root, np.ones(len(KINDS), np.float32))
    return replace(spread, scale=_scales(found, kinds, spread, preset))


def fit_prior(judged: Sequence[Judged], predictor: str, *, centred: bool = False) -> SizePrior:
    """Measure how the sizes of healthy bodies depart from those that neighbours suggest, and how masks and fractures change them.

    Parameters
    ----------
    judged : sequence of Judged
        With residuals of shapes predicted from neighbours alone (``Spec.own`` False), of patients that are no part of training or test.
    predictor : str
        Whose residuals to take.
    centred : bool
        Whether to take out what bodies depart by on average: for a predictor of people whose mean sizes the phantoms do not share.

    Raises
    ------
    InputError
        If there are fewer than 30 scored vertebrae whose sizes could be measured, or no broken one among them.
    """
    found = [one for one in _residuals(judged, predictor) if np.isfinite(one.sizes).all()]
    predicted, true, measured = np.stack([one.sizes for one in found]).transpose(1, 0, 2)
    company = np.array([one.kind for one in found]) % len(COMPANIES)
    lost = np.stack([one.loss for one in found])
    broken = lost.max(axis=1) >= DAMAGED_FROM
    if len(found) < FEWEST or not broken.any():
        raise InputError(f"{len(found)} vertebrae, {broken.sum()} of them broken, are too few to tell how sizes depart; judge more patients.")
    if centred:
        predicted = predicted + _by_kind(true - predicted, company, len(COMPANIES))[0][company]
    own, error = true - predicted, measured - true - np.pad(np.log1p(-lost), ((0, 0), (0, SIZES - 3)))
    mean, covariance = _by_kind(own, company, len(COMPANIES))
    error_mean, error_covariance = _by_kind(error, np.where(broken, BROKEN, WHOLE), 2)
    losses = np.array([loss for patient in judged for loss in patient.losses])
    kept = losses[losses.max(axis=1) >= DEFORMED]
    is_broken = kept.max(axis=1) >= DAMAGED_FROM
    sound = len(losses) - is_broken.sum()
    odds = np.where(is_broken, BROKEN_ODDS / is_broken.sum(), (1.0 - BROKEN_ODDS) / sound)
    whole = (sound - (~is_broken).sum()) * (1.0 - BROKEN_ODDS) / sound
    prior = SizePrior(
        mean,
        covariance,
        error_mean,
        error_covariance,
        np.concatenate([np.zeros((1, 3)), np.log1p(-kept)]),
        np.concatenate([[False], is_broken]),
        np.concatenate([[whole], odds]),
        np.zeros(SIZES),
    )
    estimates = [prior.mixture(measured[n] - predicted[n], int(company[n])) for n in np.flatnonzero(broken)]
    missed = own[broken] - np.array([estimate for estimate, _ in estimates])
    return replace(prior, shift=missed.mean(axis=0) / np.mean([likely for _, likely in estimates]))


def fit_shift(prior: SizePrior, judged: Sequence[Judged], predictor: str, *, preset: str = "botros2022") -> SizePrior:
    """Add to a prior's shift of heights what broken bodies' scores still lack: an expected body is drawn towards the broken one by placing it.

    Parameters
    ----------
    prior : SizePrior
    judged : sequence of Judged
        With residuals of shapes that took up bodies' own sizes by this prior.
    predictor : str
        Whose residuals to take.
    preset : str
        Of the scores.

    Raises
    ------
    InputError
        If there are fewer than 30 scored vertebrae.
    """
    found = [one for one in _residuals(judged, predictor) if one.loss.max() >= DAMAGED_FROM and np.isfinite(one.sizes).all()]
    if not found:
        return prior
    mm_a_point = PRESETS[preset].full_mm / 100.0 / (2.0 * np.pi * SIGMA_SHARE**2)  # of a height that is missing everywhere
    lacks = [(one.twin_score - one.row["score"]) * mm_a_point / np.exp(one.sizes[1, :3].mean()) for one in found]
    likely = [prior.mixture(one.sizes[2] - one.sizes[0], one.kind % len(COMPANIES))[1] for one in found]
    return replace(prior, shift=prior.shift + np.pad(np.full(3, np.mean(lacks) / np.mean(likely)), (0, SIZES - 3)))


def _residuals(judged: Sequence[Judged], predictor: str) -> list[Residual]:
    found = [one for patient in judged for one in patient.residuals if one.predictor == predictor]
    if len(found) < FEWEST:
        raise InputError(f"{len(found)} scored vertebrae were found, but at least {FEWEST} are needed; judge more patients.")
    return found


def _plain(values: Float) -> tuple[Float, Float]:
    return values.mean(axis=0), np.cov(values.T)


def _by_kind(values: Float, kinds: NDArray[np.integer], count: int) -> tuple[Float, Float]:
    """Mean and covariance of each kind, drawn towards those of all."""
    overall_mean, overall = _plain(values)
    means, covariances = [], []
    for kind in range(count):
        mine = values[kinds == kind]
        weight = len(mine) / (len(mine) + BORROWED)
        mean = weight * (mine.mean(axis=0) if len(mine) else 0.0) + (1 - weight) * overall_mean
        own = (mine - mean).T @ (mine - mean) / max(len(mine), 1)
        means.append(mean)
        covariances.append(weight * own + (1 - weight) * overall)
    return np.array(means), np.array(covariances)


def _near(one: Residual) -> NDArray[np.float32]:
    """Residual near the expected surface, drawn in to none away from it."""
    share = np.clip((FAR_MM - np.abs(one.expected.astype(np.float32))) / (FAR_MM - NEAR_MM), 0.0, 1.0)
    return np.asarray(np.clip(one.off.astype(np.float32), -MOST_MM, MOST_MM) * share)


def _moments(coefficients: Float, kinds: NDArray[np.integer]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and Cholesky factor of the covariance of each kind."""
    means, covariances = _by_kind(coefficients, kinds, len(KINDS))
    ridge = 1e-6 * np.trace(covariances, axis1=1, axis2=2)[:, None, None] * np.eye(coefficients.shape[1])
    return means.astype(np.float32), np.linalg.cholesky(covariances + ridge).astype(np.float32)


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
