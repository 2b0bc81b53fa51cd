"""The linear conditional shape model: what neighbours of these shapes go with, by principal components and a joint Gaussian."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shapekit.core.checks import InputError, check_array
from shapekit.core.conventions import COARSE_SHAPE
from shapekit.core.levels import Level
from shapekit.core.threads import each
from shapekit.predictors.base import SLOTS, Context, direct_mean, mean_of
from shapekit.predictors.sizes import SizePrior
from shapekit.scoring import Spread
from shapekit.sdf import double_patch, halve_patch

BAND_MM = 6.0
"""Distances are clipped here before their components are taken."""
LEVELS = tuple(level for level in Level if not level.is_cervical)
SHRINKAGE = 8.0
"""So many bodies of a level, counted once for each company, weigh as much as the mean of all levels."""

AT_ONCE = 2048
"""Fields that are projected at once: 0.3 GB in single precision."""

Array = NDArray[np.float32]
Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LinearModel:
    """Components of shapes and how those of a target go with those of its neighbours.

    Coefficients of the four neighbours and of the target, each less its level's mean, are jointly Gaussian; the target's
    expectation given the neighbours that are there is the prediction, with a ridge on their covariance. The conditional mean of
    a statistical shape model (Albrecht et al. 2013, Medical Image Analysis, "Posterior shape models"), on signed distances.

    Parameters
    ----------
    mean : (40 * 32 * 32,) float32, mm
    modes : (k, 40 * 32 * 32) float32
        Orthonormal.
    level_means : (19, k) float64
        Mean coefficients of healthy bodies at each thoracic and lumbar level.
    seat_means : (5, k) float64
        What the four slots' and the target's coefficients are beyond their level's mean, on average.
    covariance : (5 k, 5 k) float64
        Of the four slots' and the target's coefficients.
    ridge : float
        Added to the neighbours' variances, in mm² of a coefficient.
    """

    mean: Array
    modes: Array
    level_means: Float
    seat_means: Float
    covariance: Float
    ridge: float

    @classmethod
    def fit(
        cls,
        shapes: NDArray[np.floating],
        levels: NDArray[np.integer],
        contexts: NDArray[np.floating],
        seats: NDArray[np.integer],
        *,
        components: int = 80,
        ridge: float = 25.0,
    ) -> LinearModel:
        """Learn from healthy targets and their neighbours.

        Parameters
        ----------
        shapes : (n, 40, 32, 32) float, mm
            Healthy targets.
        levels : (n,) int
            Their positions in T1 … L6.
        contexts : (m, 40, 32, 32) float, mm
            Bodies as they were measured, with their positions in ``seats``.
        seats : (n, r, 4, 2) int
            For each target, each company it is seen in and each slot: the context's number and its position in T1 … L6; -1 where there is none.
        components : int
            Fewer are taken when there are not as many shapes.
        ridge : float

        Raises
        ------
        InputError
            If there are fewer than three targets, counted once for each company.
        """
        companies = seats.shape[1]
        rows = len(shapes) * companies
        if rows < 3:
            raise InputError(
                f"{len(shapes)} healthy vertebrae with neighbours were found, too few for a linear model; give more spines with grades of 0."
            )
        count = min(components, rows - 1)
        total = sum((_clipped(some).sum(axis=0, dtype=np.float64) for some in _at_once(shapes)), np.zeros(shapes[0].size))
        mean = (total / len(shapes)).astype(np.float32)
        pick = np.linspace(0, rows - 1, min(rows, 2000)).astype(int) // companies
        part = _clipped(shapes[pick]) - mean
        _, vectors = np.linalg.eigh((part @ part.T).astype(np.float64))
        modes = np.linalg.qr((vectors[:, ::-1][:, :count].T @ part).T.astype(np.float64))[0].T.astype(np.float32)
        target, around = (
            np.concatenate([_projected(some, mean, modes) for some in _at_once(fields)], dtype=np.float64) for fields in (shapes, contexts)
        )
        overall = target.mean(axis=0)
        level_means = np.tile(overall, (len(LEVELS), 1))
        weight = SHRINKAGE / companies
        for n in range(len(LEVELS)):
            mine = target[levels == n]
            level_means[n] = (mine.sum(axis=0) + weight * overall) / (len(mine) + weight)
        target, levels, seats = target.repeat(companies, axis=0), levels.repeat(companies), seats.reshape(rows, len(SLOTS), 2)
        parts = np.zeros((rows, 5, count))
        there = np.ones((rows, 5), dtype=bool)
        for slot in range(len(SLOTS)):
            index, place = seats[:, slot, 0], seats[:, slot, 1]
            there[:, slot] = index >= 0
            parts[there[:, slot], slot] = around[index[there[:, slot]]] - level_means[place[there[:, slot]]]
        parts[:, 4] = target - level_means[levels]
        counts = np.maximum(there.sum(axis=0), 1)
        seat_means = parts.sum(axis=0) / counts[:, None]
        parts = np.where(there[:, :, None], parts - seat_means, 0.0)
        pairs = np.maximum(np.einsum("ni,nj->ij", there.astype(float), there.astype(float)), 1.0)
        sums = parts.reshape(rows, -1).T @ parts.reshape(rows, -1)
        return cls(mean, modes, level_means, seat_means, sums / np.kron(pairs, np.ones((count, count))), ridge)

    def coefficients(self, shapes: Array) -> Array:
        """Describe shapes by the components; (n, 40, 32, 32) mm → (n, k)."""
        return _projected(shapes, self.mean, self.modes)

    def half(self, fields: Array, places: Sequence[int | None], target: int, coefficients: Array | None = None) -> Array:
        """Predict on the half-resolution patch.

        Parameters
        ----------
        fields : (4, 40, 32, 32) float, mm
        places : 4 times int or None
            Positions of the neighbours in T1 … L6.
        target : int
            The target's.
        coefficients : (m, k) float32, optional
            Of the m neighbours that are there, where they are known: neighbours of several targets need them once.

        Returns
        -------
        (40, 32, 32) float32, mm, within the band
        """
        k = len(self.modes)
        seated = {slot: place for slot, place in enumerate(places) if place is not None}
        seen = list(seated)
        measured = self.coefficients(fields[seen]) if coefficients is None else coefficients
        beyond = measured - self.level_means[list(seated.values())] - self.seat_means[seen]
        rows = np.concatenate([np.arange(slot * k, (slot + 1) * k) for slot in seen])
        inner = self.covariance[np.ix_(rows, rows)] + self.ridge * np.eye(len(rows))
        found = self.level_means[target] + self.seat_means[4] + self.covariance[4 * k :, rows] @ np.linalg.solve(inner, beyond.reshape(-1))
        return np.asarray((self.mean + found.astype(np.float32) @ self.modes).reshape(COARSE_SHAPE))

    def guess(self, fields: Array, places: Sequence[int | None], target: int, coefficients: Array | None = None) -> tuple[Array, Array]:
        """Lay what ``half`` predicts over the direct neighbours' mean, which goes on where the band ends.

        Parameters
        ----------
        fields, places, target, coefficients
            See ``half``.

        Returns
        -------
        whole, change : (40, 32, 32) float32, mm
            The prediction, and by how much it departs from the mean.
        """
        base = mean_of([None if place is None else shape for shape, place in zip(fields, places, strict=True)])
        change = np.asarray(self.half(fields, places, target, coefficients) - np.clip(base, -BAND_MM, BAND_MM))
        return base + change, change

    def tensors(self) -> dict[str, NDArray[np.generic]]:
        """Arrays as they are stored; modes in half precision."""
        return {
            "mean": self.mean,
            "modes": self.modes.astype(np.float16),
            "level_means": self.level_means.astype(np.float32),
            "seat_means": self.seat_means.astype(np.float32),
            "covariance": self.covariance.astype(np.float32),
        }

    def as_stored(self) -> LinearModel:
        """Return the model as it comes back from disk."""
        return self.from_tensors(self.tensors(), self.ridge)

    @classmethod
    def from_tensors(cls, arrays: Mapping[str, NDArray[np.generic]], ridge: float) -> LinearModel:
        """Undo ``tensors``.

        Raises
        ------
        InputError
            Where their shapes do not go together, or values are not finite.
        """
        mean, modes = (np.asarray(arrays[name], dtype=np.float32) for name in ("mean", "modes"))
        level_means, seat_means, covariance = (np.asarray(arrays[name], dtype=np.float64) for name in ("level_means", "seat_means", "covariance"))
        k, seats, voxels = len(modes), len(SLOTS) + 1, int(np.prod(COARSE_SHAPE))
        model = cls(mean, modes, level_means, seat_means, covariance, ridge)
        shapes = {"mean": (voxels,), "modes": (k, voxels), "level_means": (len(LEVELS), k), "seat_means": (seats, k), "covariance": (seats * k,) * 2}
        for name, shape in shapes.items():
            check_array(name, getattr(model, name), shape=shape, finite=True)
        return model


@dataclass(frozen=True, eq=False)
class Guess:
    """What a linear model expects of one context.

    Parameters
    ----------
    fields : (4, 40, 32, 32) float32, mm
        The neighbours on the half-resolution patch; zeros where there is none.
    half : (40, 32, 32) float32, mm
    full : (80, 64, 64) float32, mm
    """

    fields: Array
    half: Array
    full: Array


class Linear:
    """The linear conditional shape model as a predictor: its change of the neighbours' mean is laid over that mean at full resolution."""

    name = "linear"
    repairs = True

    def __init__(self, model: LinearModel, *, spread: Spread | None = None, prior: SizePrior | None = None, identity: str = "") -> None:
        self.model, self.spread, self.prior, self.identity = model, spread, prior, identity

    def predict(self, contexts: Sequence[Context]) -> list[Array]:
        """See ``Predictor.predict``."""
        return [guess.full for guess in self.guesses(contexts)]

    def guesses(self, contexts: Sequence[Context]) -> list[Guess]:
        """Predict on both resolutions."""
        shapes = {id(shape): shape for context in contexts for shape in context.shapes if shape is not None}
        halves = dict(zip(shapes, each(lambda shape: halve_patch(shape.values), shapes.values()), strict=True))
        measured = dict(zip(shapes, self.model.coefficients(np.stack([*halves.values()])), strict=True)) if shapes else {}
        nothing = np.zeros(COARSE_SHAPE, np.float32)

        def made(context: Context) -> Guess:
            fields = np.stack([nothing if shape is None else halves[id(shape)] for shape in context.shapes])
            places = [None if level is None else place_of(level) for level in context.levels]
            seen = np.stack([measured[id(shape)] for shape in context.shapes if shape is not None])
            half, change = self.model.guess(fields, places, place_of(context.target), seen)
            return Guess(fields, half, direct_mean(context) + double_patch(change))

        return each(made, contexts)

    def uses(self, context: Context) -> tuple[Level, ...]:
        """See ``Predictor.uses``."""
        return tuple(level for level in context.levels if level is not None)


def place_of(level: Level) -> int:
    """Position in T1 … L6; a cervical neighbour stands for T1."""
    return LEVELS.index(max(level, LEVELS[0], key=lambda one: one.rank))


def _at_once(fields: NDArray[np.floating]) -> list[NDArray[np.floating]]:
    """Split many fields into as many as are worked on at once."""
    return [fields[start : start + AT_ONCE] for start in range(0, len(fields), AT_ONCE)]


def _projected(fields: NDArray[np.floating], mean: Array, modes: Array) -> Array:
    return np.asarray((_clipped(fields) - mean) @ modes.T)


def _clipped(fields: NDArray[np.floating]) -> Array:
    return np.asarray(np.clip(fields, -BAND_MM, BAND_MM), dtype=np.float32).reshape(len(fields), -1)
