"""How sure a score is: the expected shape is drawn again and again as far from the predicted one as true shapes were found to lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from shapekit.core.checks import check_array
from shapekit.core.conventions import COARSE_SHAPE, COARSE_SPACING_MM
from shapekit.core.threads import each
from shapekit.ops import surplus_volume
from shapekit.scoring.score import PRESETS, centre_mm
from shapekit.scoring.weight import SIGMA_SHARE

DRAWS = 48
LEVEL = 0.90
"""Share of true scores that an interval should hold."""
BROKEN_FROM = 20.0
"""Scores from which a target counts as broken when the spread is looked up."""
KINDS = ("both", "repaired", "one_side", "both_broken", "repaired_broken", "one_side_broken")

Array = NDArray[np.float32]


def kind_of(sides: int, repaired: bool, score: float) -> int:
    """Which of ``KINDS`` a prediction is: by the sides it has neighbours on, whether one was repaired, and whether the target is broken."""
    return (2 if sides < 2 else 1 if repaired else 0) + (3 if score >= BROKEN_FROM else 0)


@dataclass(frozen=True, eq=False)
class Spread:
    """How far true healthy shapes lie from predicted ones, where both lie: as measured on phantoms with known twins.

    Parameters
    ----------
    modes : (m, 40, 32, 32) float32, mm
        Principal components of true minus predicted signed distance on the predicted shape's half-resolution patch.
    mean : (6, m) float32
        Mean coefficients for each of ``KINDS``.
    root : (6, m, m) float32
        Lower Cholesky factors of the coefficients' covariance.
    scale : (6,) float32
        What the departures from the mean are multiplied with so that intervals hold the share they should.
    """

    modes: Array
    mean: Array
    root: Array
    scale: Array

    def draws(self, kind: int) -> Array:
        """Departures of equally likely shapes from a predicted one: antithetic pairs, the same each time; (``DRAWS``, 40, 32, 32) mm."""
        half = np.random.default_rng(1729).standard_normal((DRAWS // 2, len(self.modes))).astype(np.float32)
        normal = np.concatenate([half, -half])
        coefficients = self.mean[kind] + self.scale[kind] * normal @ self.root[kind].T
        return np.asarray(np.tensordot(coefficients, self.modes, axes=1))

    def tensors(self) -> dict[str, Array]:
        """Arrays as they are stored."""
        return {"modes": self.modes.astype(np.float16), "mean": self.mean, "root": self.root, "scale": self.scale}

    @classmethod
    def from_tensors(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Spread:
        """Undo ``tensors``.

        Raises
        ------
        InputError
            Where their shapes do not go together, or values are not finite.
        """
        kinds, m = len(KINDS), len(arrays["modes"])
        shapes = {"modes": (m, *COARSE_SHAPE), "mean": (kinds, m), "root": (kinds, m, m), "scale": (kinds,)}
        held = {name: np.asarray(arrays[name], dtype=np.float32) for name in shapes}
        for name, shape in shapes.items():
            check_array(name, held[name], shape=shape, finite=True)
        return cls(**held)


def score_intervals(
    expected: Sequence[Array], actual: Sequence[Array], rows: Sequence[Mapping[str, float]], spread: Spread, kinds: Sequence[int], *, preset: str
) -> list[tuple[float, float]]:
    """State the 90 % interval of each score.

    Parameters
    ----------
    expected, actual : sequences of (40, 32, 32) float32, mm
        Pairs on the expected body's half-resolution patch.
    rows : sequence of mapping
        What ``score_patches`` returned for them.
    spread : Spread
    kinds : sequence of int
        See ``kind_of``.
    preset : str

    Returns
    -------
    list of (float, float)
        5th and 95th percentile of the scores that shapes drawn around the expected one give; the score itself lies between.
    """
    kept = sorted(set(kinds))
    draws = dict(zip(kept, each(spread.draws, kept), strict=True))

    def interval(should: Array, does: Array, row: Mapping[str, float], kind: int) -> tuple[float, float]:
        count = 1 + len(draws[kind])
        shapes = np.repeat(should[None], count, axis=0)
        shapes[1:] += draws[kind]
        lengths = np.array([row["l_lr_mm"], row["l_ap_mm"]])
        sigma = np.tile(np.array([*(lengths * SIGMA_SHARE), np.inf], dtype=np.float32), (count, 1))
        volumes = surplus_volume(
            torch.from_numpy(shapes),
            torch.from_numpy(does).expand(count, *does.shape).contiguous(),
            spacing_mm=COARSE_SPACING_MM,
            centre=torch.from_numpy(centre_mm(should, COARSE_SPACING_MM).astype(np.float32)).expand(count, 3).contiguous(),
            rotation=torch.eye(3).expand(count, 3, 3).contiguous(),
            sigma_mm=torch.from_numpy(sigma),
            length_ap_mm=torch.full((count,), float(lengths[1])),
        )
        weighted = volumes.weighted_surplus.numpy().astype(np.float64)
        full = lengths[0] * lengths[1] * PRESETS[preset].full_mm / 100.0
        scores = np.clip((row["weighted_surplus_mm3"] + weighted[1:] - weighted[0]) / full, 0.0, 100.0)
        low, high = np.quantile(scores, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
        return min(float(low), row["score"]), max(float(high), row["score"])

    return each(interval, expected, actual, rows, kinds)
