"""Drawings as inline SVG: scores and heights along the levels, the spine's profile, and a vertebra's cut. They take the page's text colour."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from shapekit.core.values import Measures
from shapekit.pipeline import Scored
from shapekit.report.colours import blend, score_colour
from shapekit.report.shapes import actual_sdf, midsagittal_outline
from shapekit.report.subject import Subject, is_abnormal
from shapekit.report.svg import LEFT, RIGHT, WIDTH, axis, scale, svg, text, ticks

CUT_ZOOM = 4.2
"""Pixels a mm; the same for every cut, so that bodies compare."""
SERIES = (("anterior", "ha_mm", -11.0, ""), ("middle", "hm_mm", 0.0, "5 3"), ("posterior", "hp_mm", 11.0, "1 3"))
MARKS: tuple[Callable[[float, float], str], ...] = (
    lambda x, y: f"M{x - 4:.1f},{y:.1f}a4,4 0 1 0 8,0a4,4 0 1 0 -8,0z",
    lambda x, y: f"M{x - 3.6:.1f},{y - 3.6:.1f}h7.2v7.2h-7.2z",
    lambda x, y: f"M{x:.1f},{y - 4.6:.1f}l4.4,8h-8.8z",
)


def level_plot(subject: Subject) -> str:
    """Scores with their intervals above, actual and expected heights below, level by level."""
    rows = [one.measures for one in subject.scored]
    step = (WIDTH - LEFT - RIGHT) / max(len(rows), 1)
    across = [LEFT + step * (n + 0.5) for n in range(len(rows))]
    heights = [value for row in rows for name in ("ha_mm", "hm_mm", "hp_mm") for value in _both(row, name) if math.isfinite(value)]
    top_mm = 5.0 * math.ceil(max(heights, default=30.0) / 5.0)
    low_mm = max(0.0, 5.0 * math.floor(min(heights, default=0.0) / 5.0))
    top_mm = max(top_mm, low_mm + 5.0)
    score_y = scale(0.0, 100.0, 182.0, 22.0)
    height_y = scale(low_mm, top_mm, 420.0, 244.0)
    parts = [axis(score_y, range(0, 101, 25), "score", 8), axis(height_y, ticks(low_mm, top_mm), "height, mm", 214)]
    for x, row in zip(across, rows, strict=True):
        parts.append(text(x, 202, row.level) + text(x, 440, row.level))
        if math.isfinite(row.score):
            parts.append(_score_mark(x, row, score_y))
    for (_, name, shift, dash), mark in zip(SERIES, MARKS, strict=True):
        offset = shift * min(1.0, step / 44.0)
        parts += _height_marks([x + offset for x in across], rows, name, mark, height_y, dash)
    legend = "".join(
        f'<path d="{mark(190 + 110 * n, 460)}" fill="currentColor"/>' + text(200 + 110 * n, 464, name, "start")
        for n, ((name, *_), mark) in enumerate(zip(SERIES, MARKS, strict=True))
    )
    legend += '<path d="M520,460h22" stroke="currentColor" stroke-width="2" opacity="0.55"/>' + text(548, 464, "expected", "start")
    return svg(WIDTH, 474, "Scores and heights along the levels", _said(rows), "".join(parts) + legend)


def cut_svg(one: Scored) -> str:
    """Cut through a vertebra's middle, anterior to the left: what is missing lies between the expected outline and the actual body."""
    if one.expected is None or one.actual is None:
        return ""
    frame, row = one.expected.frame, one.measures
    should, real = (midsagittal_outline(sdf, frame) for sdf in (one.expected.sdf, one.actual))
    if not should:
        return ""
    points = np.concatenate([*should, *real])
    low, high = points.min(axis=0) - 4.0, points.max(axis=0) + 4.0
    width, height = high[0] - low[0], high[1] - low[1] + 7.0
    lost, body = (_path(high - line for line in lines) for lines in (should, real))
    bottom = height - 3.0
    drawn = (
        f'<path d="{lost}" class="lost"/><path d="{body}" class="bone"/>'
        f'<path d="{lost}" class="should" stroke-width="0.55" stroke-dasharray="1.6 1" fill="none"/>'
        f'<path d="M4,{bottom:.1f}h10" stroke="currentColor" stroke-width="0.8"/>'
        + text(15.5, bottom + 1.1, "10 mm", "start", size=3.2)
        + text(2.5, height / 2 - 3, "A", size=3.4)
        + text(width - 2.5, height / 2 - 3, "P", size=3.4)
    )
    spoken = f"Cut of {row.level} through its middle: actual body inside the outline of the expected one; score {row.score:.0f}."
    return svg(round(width, 1), round(height, 1), f"{row.level}, mid-sagittal cut", spoken, drawn, "cut", zoom=CUT_ZOOM)


def profile_svg(subject: Subject) -> str:
    """Whole spine from its left side: each body's mid-sagittal outline in its score's colour, the expected one dashed."""
    shapes, seen = [], []
    for one in subject.scored:
        sdf = actual_sdf(one)
        if sdf is None or one.frame is None:
            continue
        frame = one.expected.frame if one.expected else one.frame
        drawn = [[_lateral(frame.to_world(np.insert(line, 0, 0.0, axis=1))) for line in midsagittal_outline(sdf, frame)]]
        drawn.append(
            [_lateral(frame.to_world(np.insert(line, 0, 0.0, axis=1))) for line in midsagittal_outline(one.expected.sdf, frame)]
            if one.expected
            else []
        )
        if drawn[0]:
            shapes.append((one.measures, drawn))
            seen += [line for lines in drawn for line in lines]
    if not seen:
        return ""
    points = np.concatenate(seen)
    low, high = points.min(axis=0) - 6.0, points.max(axis=0) + 6.0
    low[0] -= 30.0
    parts = []
    for row, (real, should) in shapes:
        middle = np.concatenate(real).mean(axis=0) - low
        scored = "" if math.isnan(row.score) else f" · {row.score:.0f}"
        parts.append(
            f'<path d="{_path(line - low for line in real)}" fill="{score_colour(row.score)}" data-score="{_number(row.score)}"/>'
            f'<path d="{_path(line - low for line in should)}" class="should" fill="none" stroke-width="0.8" stroke-dasharray="2.4 1.6"/>'
            + text(middle[0] - 24.0, middle[1] + 3.0, row.level + scored, "end", size=8)
        )
    said = "The spine seen from its left: " + _said([row for row, _ in shapes])
    return svg(round(float(high[0] - low[0]), 1), round(float(high[1] - low[1]), 1), "The spine from its left side", said, "".join(parts), "profile")


def ramp_svg(ramp: tuple[str, ...], labels: tuple[str, ...], name: str) -> str:
    """Colour bar with labels spread along it."""
    bands = "".join(f'<rect x="{14 + 4 * n}" width="4" height="10" shape-rendering="crispEdges" fill="{blend(ramp, n / 67)}"/>' for n in range(68))
    last = len(labels) - 1
    sides = ["start", *["middle"] * (last - 1), "end"] if max(map(len, labels)) > 3 else ["middle"] * (last + 1)
    ticks = "".join(text(14 + 272 * n / last, 24, label, side, size=11) for n, (label, side) in enumerate(zip(labels, sides, strict=True)))
    return svg(300, 28, name, f"{name}: {', '.join(labels)}", bands + ticks, "ramp")


def _both(row: Measures, name: str) -> tuple[float, float]:
    return getattr(row, name), getattr(row, f"expected_{name}")


def _score_mark(x: float, row: Measures, place: Callable[[float], float]) -> str:
    bar = ""
    if math.isfinite(row.score_lo) and math.isfinite(row.score_hi):
        bar = f'<path d="M{x:.1f},{place(row.score_lo):.1f}V{place(row.score_hi):.1f}" stroke="currentColor" stroke-width="1.6" class="interval"/>'
    colour, y = score_colour(row.score), place(row.score)
    stem = f'<path d="M{x:.1f},{place(0):.1f}V{y:.1f}" stroke="{colour}" data-score="{_number(row.score)}" stroke-width="3"/>'
    value = text(x, min(y, place(row.score_hi) if bar else y) - 9, f"{row.score:.0f}", strong=is_abnormal(row))
    return stem + bar + f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5.5" fill="{colour}" data-score="{_number(row.score)}"/>' + value


def _height_marks(
    across: list[float], rows: list[Measures], name: str, mark: Callable[[float, float], str], place: Callable[[float], float], dash: str
) -> list[str]:
    parts, line = [], ""
    for x, row in zip(across, rows, strict=True):
        actual, expected = _both(row, name)
        if math.isfinite(expected):
            parts.append(f'<path d="M{x - 5:.1f},{place(expected):.1f}h10" stroke="currentColor" stroke-width="2" opacity="0.55"/>')
        if not math.isfinite(actual):
            line += " "
            continue
        line += f"{'L' if line and not line.endswith(' ') else 'M'}{x:.1f},{place(actual):.1f}"
        lacks = math.isfinite(expected) and expected > actual
        if lacks:
            parts.append(f'<path d="M{x:.1f},{place(expected):.1f}V{place(actual):.1f}" stroke="currentColor" stroke-width="1" opacity="0.55"/>')
        parts.append(f'<path d="{mark(x, place(actual))}" fill="currentColor"/>')
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return [f'<path d="{line.strip() or "M0,0"}" fill="none" stroke="currentColor" stroke-width="1" opacity="0.3"{dashed}/>', *parts]


def _lateral(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Patient space as seen from the left: anterior to the left of the page, superior up."""
    return np.stack([-points[:, 1], -points[:, 2]], axis=1)


def _path(lines: Iterable[NDArray[np.float64]]) -> str:
    return "".join("M" + "L".join(f"{x:.2f},{y:.2f}" for x, y in line) + "z" for line in lines)


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.2f}"


def _said(rows: Iterable[Measures]) -> str:
    """Tell the scores in words, for those who hear a drawing."""
    return "; ".join(f"{row.level} {row.score:.0f}" if math.isfinite(row.score) else f"{row.level} not scored" for row in rows) + "."
