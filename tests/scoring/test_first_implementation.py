import math

import numpy as np
import pytest

import shapekit as sk
from shapekit.core.grid import Grid
from shapekit.core.values import LabelMap
from tests.oracles.first_implementation import first_implementation

SPACING = (0.7, 1.3, 0.5)
WIDTH, DEPTH, HEIGHT, APART = 21.0, 15.5, 13.0, 35.0
LEVELS = {20: sk.Level.L1, 21: sk.Level.L2, 22: sk.Level.L3}


def stack(lost_above=0.0, lost_below=0.0, tilt_deg=0.0):
    """Three equal bodies on an upright grid, the middle one lower; the stack leans forward by ``tilt_deg``."""
    sides = (100, 84, 256)
    affine = np.diag([*SPACING, 1.0])
    # a quarter of a millimetre keeps plates of whole millimetres away from voxel centres
    affine[:3, 3] = -0.5 * np.array(SPACING) * sides + (0.0, 0.0, 0.25)
    grid = Grid(sides, affine)
    lr, forward, height = np.moveaxis(grid.points(), -1, 0)
    turn = math.radians(tilt_deg)
    ap = forward * math.cos(turn) - height * math.sin(turn)
    si = forward * math.sin(turn) + height * math.cos(turn)
    labels = np.zeros(sides, np.uint8)
    outline = (np.abs(lr) / WIDTH) ** 2.5 + (np.abs(ap) / DEPTH) ** 2.5 < 1
    for value, middle in ((20, APART), (21, 0.0), (22, -APART)):
        above, below = (lost_above, lost_below) if value == 21 else (0.0, 0.0)
        labels[outline & (si < middle + HEIGHT - above) & (si > middle - HEIGHT + below)] = value
    return LabelMap(labels, grid, LEVELS, name="stack", scheme="verse")


def weighted_thickness(lost):
    """What both should say of two flat slabs: the Gaussian's integral over the outline, from many points, times what is missing."""
    x, y = np.meshgrid(np.linspace(-1, 1, 801), np.linspace(-1, 1, 801))
    inside = np.abs(x) ** 2.5 + np.abs(y) ** 2.5 < 1
    mean = (np.exp(-4.5 * (x**2 + y**2)) * inside).sum() / x.size  # of 4 · half width · half depth = L_LR · L_AP
    return 100 * min(1.0, lost * mean / 1.5)


@pytest.mark.parametrize("tilt_deg", [0.0, -14.0])
@pytest.mark.parametrize("lost", [1.0, 2.0, 3.0])
def test_the_oracle_itself_gives_the_closed_form(lost, tilt_deg):
    spine = stack(lost, lost, tilt_deg)
    score, l_ap, l_lr, tilt = first_implementation(spine.array, SPACING, 21)
    assert math.degrees(tilt) == pytest.approx(tilt_deg, abs=0.5)
    assert l_ap == pytest.approx(2 * DEPTH, abs=1.1)
    assert l_lr == pytest.approx(2 * WIDTH, abs=1.1)
    assert score == pytest.approx(weighted_thickness(2 * lost), abs=1.5)


# The oracle sums voxels of 1 mm, the library smoothed occupancies of distances read off the mask; a point is 0.09 mm of height, and
# stairs of tilted plates, which the oracle counts wherever they do not match, make about one where bone is missing everywhere.
@pytest.mark.parametrize(("lost", "tilt_deg"), [(0.0, 0.0), (1.0, 10.0), (2.0, 0.0), (3.0, -14.0), (6.0, 0.0)])
def test_a_loss_above_and_below_scores_as_in_the_first_implementation(lost, tilt_deg):
    spine = stack(lost, lost, tilt_deg)
    assert sk.score(spine, predictor="neighbours")["L2"].score == pytest.approx(first_implementation(spine.array, SPACING, 21)[0], abs=2.0)


def test_the_stairs_of_a_healthy_tilted_body_cost_the_first_implementation_more_than_twice_the_points():
    spine = stack(tilt_deg=10.0)
    first = first_implementation(spine.array, SPACING, 21)[0]
    assert 2 < first < 8
    assert sk.score(spine, predictor="neighbours")["L2"].score < first / 2


def test_a_given_expected_shape_takes_the_neighbours_place():
    spine = stack(2.0, 2.0)
    nothing = np.zeros((64, 64, 64))
    assert first_implementation(spine.array, SPACING, 21, expected=nothing)[0] == 0
    assert first_implementation(spine.array, SPACING, 21, expected=np.ones_like(nothing))[0] == 100
