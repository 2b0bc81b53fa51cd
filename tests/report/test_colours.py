import math
from itertools import pairwise

import pytest

from shapekit.report.colours import DEFICIT, SCORE, SCORE_SAFE, UNSCORED, blend, score_colour


def luminance(colour):
    """WCAG 2.2's relative luminance."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("paper", ["#ffffff", "#f4f5f3"])
@pytest.mark.parametrize("ramp", [SCORE, SCORE_SAFE])
def test_no_score_vanishes_on_white_as_a_yellow_would(ramp, paper):
    assert contrast("#ffff00", paper) < 1.1
    assert min(contrast(blend(ramp, n / 100), paper) for n in range(101)) >= 2.8


@pytest.mark.parametrize("ramp", [SCORE, SCORE_SAFE])
def test_nor_on_the_dark_page(ramp):
    assert min(contrast(blend(ramp, n / 100), "#15191c") for n in range(101)) >= 2.4


def test_the_ends_are_green_and_red_and_what_lies_between_is_blended():
    assert score_colour(0.0) == SCORE[0]
    assert score_colour(50.0) == SCORE[2]
    assert score_colour(100.0) == score_colour(140.0) == SCORE[-1]
    assert score_colour(math.nan) == UNSCORED
    assert blend(("#000000", "#204060"), 0.25) == "#081018"
    green, red = ([int(colour[n : n + 2], 16) for n in (1, 3, 5)] for colour in (SCORE[0], SCORE[-1]))
    assert green.index(max(green)) == 1
    assert red.index(max(red)) == 0


def test_what_is_as_expected_is_the_lightest_of_the_deficits():
    middle = luminance(blend(DEFICIT, 0.5))
    assert all(luminance(blend(DEFICIT, n / 20)) < middle for n in range(21) if n != 10)


def red_blind(colour):
    """Viénot, Brettel & Mollon 1999: what a protanope sees of a linear RGB, as (yellow-blue, light) in that order."""
    red, green, blue = (((int(colour[n : n + 2], 16) / 255) ** 2.2) for n in (1, 3, 5))
    yellow = 0.11238 * red + 0.88762 * green
    return yellow, blue


def test_the_safe_colours_stay_apart_for_the_red_blind():
    seen = [red_blind(blend(SCORE_SAFE, n / 4)) for n in range(5)]
    warmth = [yellow - blue for yellow, blue in seen]
    assert warmth == sorted(warmth)
    assert min(b - a for a, b in pairwise(warmth)) > 0.02
