"""Typical sizes and distances of adult vertebrae, and how far a labelled spine is from them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping

import numpy as np

from shapekit.core.labels import LabelSummary
from shapekit.core.levels import Level


def _by_level(levels: str, values: str) -> dict[Level, float]:
    return {Level(level): float(value) for level, value in zip(levels.split(), values.split(), strict=True)}


_ALL = "C1 C2 C3 C4 C5 C6 C7 T1 T2 T3 T4 T5 T6 T7 T8 T9 T10 T11 T12 T13 L1 L2 L3 L4 L5 L6"

BODY_CM3 = _by_level(_ALL, "3 5.5 4 4 4.2 4.6 5.4 6.1 6.9 7.5 8.6 9.6 10.9 12.5 14.2 15.5 17.7 20.5 23.6 25 27.8 29.6 31.6 34.8 35.2 35")
"""Vertebral body: 0.75 x width x depth x height (Panjabi 1991, 1992; Bonczar 2024), times 1.15 for label edges on CT; cervical levels are assumed."""

WHOLE_CM3 = _by_level(_ALL, "13 16 10 10 10.5 11.5 15 19 20 20 21 22.5 24.5 26.5 29 31.5 35 40 45 48 51 56 60 62 62 60")
"""Body with its arch and processes: the body's volume over an assumed share of 0.3 (T1) to 0.55 (L5); cervical levels are assumed."""

_SPACED = "C1 C2 C3 C4 C5 C6 C7 T1 T2 T3 T4 T5 T6 T7 T8 T9 T10 T11 T12 L1 L2 L3 L4 L5"
SPACING_BELOW_MM = _by_level(
    _SPACED, "17.2 24.2 17.8 17.2 16.5 17.2 19.6 20.8 20.8 20.9 21.4 22.1 22.6 23.3 24.0 25.3 27.2 29.6 32.4 34.5 35.7 36.5 36.3 37.3"
)
"""From a body's centre to the next one's: medians over 2,116 CTs, VID vertebra identification dataset (ImFusion, CC BY-SA 4.0)."""

_DEPTH_MM = dict(
    zip([Level(name) for name in f"{_SPACED} L6".split()], np.concatenate([[0.0], np.cumsum(list(SPACING_BELOW_MM.values()))]).tolist(), strict=True)
)

SPREAD_VOLUME = 0.40
"""Standard deviation of the log of a spine's volumes: adults differ by 0.25, masks by tightness, fractures and cropping add the rest."""
SPREAD_SPACING = 0.16
"""Standard deviation of the log of a spine's distances: adults differ by 0.08, centroids of whole vertebrae lie off the bodies' line."""
LIMIT_VOLUME, LIMIT_SPACING, LIMIT_TREND = 3.0, 1.8, 1.65
"""Factors beyond which no adult spine lies: volumes, distances, and what volumes gain or lose from one end to the other beyond their usual growth."""


def _log_ratios(levels: Mapping[int, Level], summaries: Mapping[int, LabelSummary]) -> tuple[float, float, float]:
    """Return the logs of (volume over whole, volume over body, distance over typical), each a median; NaN where nothing can be compared.

    ``levels`` runs from the head downward. The vertebrae at both ends may be cut by the volume's edge, so volumes come from
    those between, or from the fuller one of two.
    """
    volumes = np.log([summaries[value].volume_mm3 / 1e3 for value in levels])
    whole, body = (volumes - np.log([table[level] for level in levels.values()]) for table in (WHOLE_CM3, BODY_CM3))
    inner = slice(1, -1) if len(levels) > 2 else slice(int(np.argmax(whole)), int(np.argmax(whole)) + 1)
    return float(np.median(whole[inner])), float(np.median(body[inner])), _median(_spacing_ratios(levels, summaries))


def _spacing_ratios(levels: Mapping[int, Level], summaries: Mapping[int, LabelSummary]) -> list[float]:
    items = list(levels.items())
    ratios = []
    for (upper, above), (lower, below) in itertools.pairwise(items):
        if above in _DEPTH_MM and below in _DEPTH_MM:
            distance = float(np.linalg.norm(summaries[upper].centroid_mm - summaries[lower].centroid_mm))
            ratios.append(float(np.log(max(distance, 1e-6) / (_DEPTH_MM[below] - _DEPTH_MM[above]))))
    return ratios


def _median(values: Iterable[float]) -> float:
    found = list(values)
    return float(np.median(found)) if found else float("nan")


def misfit_of(levels: Mapping[int, Level], summaries: Mapping[int, LabelSummary]) -> float:
    """Return the squared misfit of volumes and distances, in standard deviations: twice the negative log-likelihood.

    Whole vertebrae and bodies are both allowed; the nearer of the two counts. One or two vertebrae may both be cut, so that
    too little volume says nothing about them.

    Parameters
    ----------
    levels : mapping of int to Level
        From the head downward.
    summaries : mapping of int to LabelSummary

    Returns
    -------
    float
    """
    whole, body, spacing = _log_ratios(levels, summaries)
    misfit = 0.0 if body < 0 and len(levels) < 3 else min(abs(whole), abs(body)) ** 2 / SPREAD_VOLUME**2
    if np.isnan(spacing):
        return misfit
    spread = SPREAD_SPACING if len(levels) > 2 else SPREAD_SPACING * np.sqrt(2)  # one distance, by centroids that may both be off
    return float(misfit + spacing**2 / spread**2)


def size_complaint(levels: Mapping[int, Level], summaries: Mapping[int, LabelSummary]) -> str:
    """Say what makes the sizes those of no adult spine; "" if nothing does."""
    whole, body, spacing = _log_ratios(levels, summaries)
    if whole > np.log(LIMIT_VOLUME) or (body < -np.log(LIMIT_VOLUME) and len(levels) > 2):
        times = np.exp(whole if whole > 0 else body)
        return f"the vertebrae would have {times:.2g} times their usual volume"
    if abs(spacing) > np.log(LIMIT_SPACING):
        return f"the vertebrae would lie {np.exp(spacing):.2g} times their usual distance apart"
    if _trend(levels, summaries) > np.log(LIMIT_TREND):
        return "the vertebrae would not grow towards the feet as they do in people, as if the volume were flipped"
    return ""


def _trend(levels: Mapping[int, Level], summaries: Mapping[int, LabelSummary]) -> float:
    """Return the log of what volumes change from end to end beyond their usual growth; 0 for fewer than four below the neck and between the ends."""
    inner = [(value, level) for value, level in list(levels.items())[1:-1] if not level.is_cervical]
    if len(inner) < 4:
        return 0.0
    volumes = np.log([summaries[value].volume_mm3 / 1e3 for value, _ in inner])
    places = np.linspace(0.0, 1.0, len(inner))
    slopes = [np.polyfit(places, volumes - np.log([table[level] for _, level in inner]), 1)[0] for table in (WHOLE_CM3, BODY_CM3)]
    return float(min(np.abs(slopes)))
