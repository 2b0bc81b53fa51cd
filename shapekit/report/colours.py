"""Colours of scores and of deficits: every one stands out on white and on black paper alike."""

from __future__ import annotations

import math

SCORE = ("#17864a", "#6f8f1c", "#b37f00", "#d0591a", "#b3182b")
"""Scores 0, 25 … 100: green to red through a dark amber, since yellow vanishes on white."""
SCORE_SAFE = ("#1a56b0", "#6585bd", "#8c8883", "#a9854f", "#c08200")
"""The same from blue to amber, which red-green blindness leaves apart and in order."""
DEFICIT = ("#2a5fa8", "#8fb0d6", "#ddd8cc", "#e08a58", "#a01322")
"""Millimetres of bone: too much, as expected, missing."""
DEFICIT_LIMIT_MM = 8.0
"""Where the deficit's colours end."""
UNSCORED = "#8d8f94"


def blend(ramp: tuple[str, ...], share: float) -> str:
    """Colour of a ramp at a share from 0 to 1 of its way, as ``#rrggbb``.

    Examples
    --------
    >>> blend(("#000000", "#ff0000"), 0.5)
    '#800000'
    """
    place = min(max(share, 0.0), 1.0) * (len(ramp) - 1)
    first = min(int(place), len(ramp) - 2)
    rest = place - first
    low, high = ([int(colour[n : n + 2], 16) for n in (1, 3, 5)] for colour in ramp[first : first + 2])
    return "#" + "".join(f"{round(a + (b - a) * rest):02x}" for a, b in zip(low, high, strict=True))


def score_colour(score: float) -> str:
    """Colour of a score, 0-100; grey where there is none."""
    return UNSCORED if math.isnan(score) else blend(SCORE, score / 100.0)
