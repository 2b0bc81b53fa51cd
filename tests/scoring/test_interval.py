import numpy as np
import pytest

from shapekit.core.frame import Frame
from shapekit.core.values import Sdf
from shapekit.scoring import Spread, kind_of, score_intervals, score_patches
from shapekit.scoring.interval import DRAWS, KINDS
from shapekit.sdf import halve_patch
from shapekit.spine.patches import patch_grid

GRID = patch_grid(Frame(np.zeros(3), np.eye(3), 0.0))
LOCAL = GRID.points()


def box(height_mm):
    """Signed distance of a box of 44 x 32 mm, as high as asked."""
    half = np.array([22.0, 16.0, height_mm / 2])
    beyond = np.abs(LOCAL) - half
    outside = np.linalg.norm(np.maximum(beyond, 0), axis=-1)
    return Sdf((outside + np.minimum(beyond.max(axis=-1), 0)).astype(np.float32), GRID)


def spread_of(sd_mm, mean_mm=0.0):
    """One mode that moves every surface by a millimetre."""
    one = np.ones((1, 40, 32, 32), np.float32)
    root = np.full((6, 1, 1), sd_mm, np.float32)
    return Spread(one, np.full((6, 1), mean_mm, np.float32), root, np.ones(6, np.float32))


def interval(spread, expected=25.0, actual=22.0):
    should, does = box(expected), box(actual)
    (row,) = score_patches([should], [does])
    return row["score"], score_intervals([halve_patch(should.values)], [halve_patch(does.values)], [row], spread, [0], preset="botros2022")[0]


def test_shapes_that_are_sure_give_scores_that_are_sure():
    score, (low, high) = interval(spread_of(0.0))
    assert low == pytest.approx(score, abs=1e-3)
    assert high == pytest.approx(score, abs=1e-3)


def test_the_interval_is_what_the_surfaces_spread_makes_of_the_height():
    # all surfaces move by N(0, 0.5 mm): the height by N(0, 1 mm), which is 0.1745 / 1.5 x 100 points a millimetre, 90 % within 1.645 of it
    score, (low, high) = interval(spread_of(0.5))
    wanted = 1.645 * 100 * 0.1745 / 1.5
    assert high - score == pytest.approx(wanted, rel=0.25)
    assert score - low == pytest.approx(wanted, rel=0.25)


def test_a_wider_spread_is_wider_and_a_shifted_one_is_shifted_but_keeps_the_score():
    score, (low, high) = interval(spread_of(0.3))
    _, (lower, higher) = interval(spread_of(0.6))
    assert lower < low < score < high < higher
    _, (left, right) = interval(spread_of(0.1, mean_mm=-1.0))  # true shapes are larger
    assert left == pytest.approx(score, abs=1e-3)
    assert right > score + 15


def test_scores_stay_on_their_scale():
    assert interval(spread_of(3.0), expected=30, actual=12)[1][1] == 100.0
    assert interval(spread_of(3.0), expected=20, actual=26)[1][0] == 0.0


def test_kinds_tell_sides_repairs_and_breaks_apart():
    found = [KINDS[kind_of(sides, repaired, score)] for score in (5, 50) for sides, repaired in ((2, False), (2, True), (1, False), (1, True))]
    assert found == ["both", "repaired", "one_side", "one_side", "both_broken", "repaired_broken", "one_side_broken", "one_side_broken"]


def test_draws_are_the_same_each_time_and_balanced():
    spread = spread_of(1.0)
    draws = spread.draws(2)
    assert draws.shape == (DRAWS, 40, 32, 32)
    assert np.array_equal(draws, spread.draws(2))
    np.testing.assert_allclose(draws.mean(axis=0), 0.0, atol=1e-5)
    again = Spread.from_tensors(spread.tensors())
    np.testing.assert_allclose(again.draws(2), draws, rtol=1e-3)
