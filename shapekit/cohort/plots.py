"""A cohort's distributions by level, as inline SVG."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from shapekit.cohort.statistics import Spread, by_level
from shapekit.report.colours import score_colour
from shapekit.report.svg import LEFT, RIGHT, WIDTH, axis, scale, svg, text, ticks

HEIGHT = 250
GRADES = ("#17864a", "#b37f00", "#d0591a", "#b3182b")
SERIES = (("Ha", "ha_mm", "expected_ha_mm", -0.22), ("Hm", "hm_mm", "expected_hm_mm", 0.0), ("Hp", "hp_mm", "expected_hp_mm", 0.22))
SHADES = ("#4f6f8f", "#b37f00", "#8d5a97")
_TOP, _BOTTOM = 34.0, 214.0


def box_plot(spreads: Sequence[Spread]) -> str:
    """Median, quartiles, 5 and 95 % of each level's scores, and every score beyond those."""
    if not spreads:
        return "<p>No vertebra is scored.</p>"
    place, parts = scale(0.0, 100.0, _BOTTOM, _TOP), []
    for x, step, one in _across(spreads):
        low, first, middle, third, high = (one.quantile(share) for share in (0.05, 0.25, 0.5, 0.75, 0.95))
        half = min(14.0, 0.32 * step)
        colour = score_colour(middle)
        parts.append(f'<path d="M{x:.1f},{place(low):.1f}V{place(high):.1f}" stroke="currentColor" stroke-width="1.2"/>')
        parts.append(
            f'<rect x="{x - half:.1f}" y="{place(third):.1f}" width="{2 * half:.1f}" height="{max(place(first) - place(third), 1.0):.1f}" '
            f'fill="{colour}" stroke="currentColor" stroke-width="0.8"/>'
        )
        parts.append(f'<path d="M{x - half:.1f},{place(middle):.1f}h{2 * half:.1f}" stroke="currentColor" stroke-width="2.4"/>')
        beyond = sorted({round(value, 1) for value in one.values if value < low or value > high})
        parts += [f'<circle cx="{x:.1f}" cy="{place(value):.1f}" r="2" fill="{score_colour(value)}"/>' for value in beyond]
        parts.append(text(x, _TOP - 14, str(len(one.values)), size=10) + text(x, _BOTTOM + 20, one.level))
    said = "; ".join(f"{one.level} median {one.quantile(0.5):.0f} of {len(one.values)}" for one in spreads) + "."
    return svg(WIDTH, HEIGHT, "Scores by level", said, axis(place, range(0, 101, 25), "score", 8) + "".join(parts))


def grade_plot(rows: Sequence[dict[str, str]]) -> str:
    """Share of each Genant grade among the graded vertebrae of each level."""
    spreads = by_level(rows, "genant_grade")
    if not spreads:
        return "<p>No vertebra is graded.</p>"
    place, parts, said = scale(0.0, 100.0, _BOTTOM, _TOP), [], []
    for x, step, one in _across(spreads):
        half, base = min(14.0, 0.32 * step), 0.0
        counts = Counter(int(value) for value in one.values)
        for grade, colour in enumerate(GRADES):
            share = 100.0 * counts[grade] / len(one.values)
            top = place(base + share)
            parts.append(
                f'<rect x="{x - half:.1f}" y="{top:.1f}" width="{2 * half:.1f}" height="{place(base) - top:.1f}" fill="{colour}"/>' if share else ""
            )
            base += share
        parts.append(text(x, _TOP - 14, str(len(one.values)), size=10) + text(x, _BOTTOM + 20, one.level))
        said.append(f"{one.level}: " + ", ".join(f"{counts[grade]} of grade {grade}" for grade in range(4)))
    key = [(f"grade {grade}", colour) for grade, colour in enumerate(GRADES)]
    return svg(
        WIDTH, HEIGHT + 16, "Genant grades by level", "; ".join(said) + ".", axis(place, range(0, 101, 25), "%", 8) + "".join(parts) + _legend(key)
    )


def height_plot(rows: Sequence[dict[str, str]]) -> str:
    """Medians and quartiles of the heights of each level, with the medians of the expected ones."""
    spreads = {name: {one.level: one for one in by_level(rows, name)} for _, *names, _ in SERIES for name in names}
    levels = by_level(rows, "hm_mm")
    if not levels:
        return "<p>No height is measured.</p>"
    quartiles = [one.quantile(share) for found in spreads.values() for one in found.values() for share in (0.25, 0.75)]
    low, high = 5.0 * math.floor(min(quartiles) / 5.0), 5.0 * math.ceil(max(quartiles) / 5.0)
    place, parts = scale(low, max(high, low + 5.0), _BOTTOM, _TOP), []
    for x, step, level in _across(levels):
        for (_, actual, expected, shift), colour in zip(SERIES, SHADES, strict=True):
            where = x + shift * step
            if (one := spreads[actual].get(level.level)) is not None:
                reach = f"M{where:.1f},{place(one.quantile(0.25)):.1f}V{place(one.quantile(0.75)):.1f}"
                parts.append(f'<path d="{reach}" stroke="{colour}" stroke-width="2"/>')
                parts.append(f'<circle cx="{where:.1f}" cy="{place(one.quantile(0.5)):.1f}" r="3.4" fill="{colour}"/>')
            if (one := spreads[expected].get(level.level)) is not None:
                parts.append(f'<path d="M{where - 5:.1f},{place(one.quantile(0.5)):.1f}h10" stroke="currentColor" stroke-width="1.6"/>')
        parts.append(text(x, _BOTTOM + 20, level.level))
    said = "; ".join(f"{one.level} middle height {one.quantile(0.5):.1f} mm" for one in levels) + "."
    key = [(name, colour) for (name, *_), colour in zip(SERIES, SHADES, strict=True)]
    marks = ticks(low, max(high, low + 5.0))
    return svg(WIDTH, HEIGHT + 16, "Heights by level", said, axis(place, marks, "height, mm", 8) + "".join(parts) + _legend(key))


def _across(spreads: Sequence[Spread]) -> list[tuple[float, float, Spread]]:
    """Give each level its place from left to right, and how wide that is."""
    step = (WIDTH - LEFT - RIGHT) / len(spreads)
    return [(LEFT + step * (n + 0.5), step, one) for n, one in enumerate(spreads)]


def _legend(key: Sequence[tuple[str, str]]) -> str:
    parts = []
    for n, (name, colour) in enumerate(key):
        x = LEFT + 90 * n
        parts.append(f'<rect x="{x}" y="{HEIGHT}" width="11" height="11" rx="2" fill="{colour}"/>' + text(x + 17, HEIGHT + 10, name, "start"))
    return "".join(parts)
