import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from shapekit.core.conventions import PATCH_SHAPE
from shapekit.core.frame import Frame
from shapekit.core.grid import Grid
from shapekit.core.levels import Level
from shapekit.core.values import Sdf
from shapekit.predictors import NeighbourMean, contexts_along, place, placed
from tests.factories import OBLIQUE

LEVELS = [Level.T12, Level.T13, Level.L1, Level.L2, Level.L3]
FRAME = Frame(np.array([12.0, -40.0, 310.0]), OBLIQUE)


def body(frame, grid, *, top=13.0, height=13.0):
    """A rounded elliptic body with a flat posterior wall; ``top`` below ``height`` is a collapsed upper plate."""
    lr, ap, si = np.moveaxis(frame.to_local(grid.points()), -1, 0)
    side = (np.hypot(lr / 22.0, ap / 16.0) - 1) * 16.0
    return Sdf(np.maximum.reduce([side, -13.0 - ap, si - top, -height - si]).astype(np.float32), grid)


def patch(frame=FRAME):
    return Grid.from_frame(frame, PATCH_SHAPE, 1.0)


def scan():
    return Grid.from_frame(Frame(FRAME.origin, np.eye(3)), (90, 84, 80), 1.0)


def shapes():
    return [Sdf(np.full((3, 4, 5), float(n), np.float32), Grid((3, 4, 5), np.eye(4))) for n in range(5)]


def test_neighbours_go_by_order_not_by_label():
    context = contexts_along(LEVELS, shapes())[2]
    assert context.target is Level.L1
    assert context.levels == (Level.T12, Level.T13, Level.L2, Level.L3)
    assert NeighbourMean().uses(context) == (Level.T13, Level.L2)
    assert (NeighbourMean().predict([context])[0] == 2.0).all()


def test_a_body_that_must_not_serve_gives_its_place_to_the_next():
    some = shapes()
    some[1] = some[3] = None
    contexts = contexts_along(LEVELS, some)
    assert contexts[2].levels == (None, Level.T12, Level.L3, None)
    assert contexts[0].levels == (None, None, Level.L1, Level.L3)
    assert (NeighbourMean().predict([contexts[0]])[0] == 2.0).all()
    assert contexts_along([Level.L1], [None])[0].is_empty


@pytest.mark.parametrize(
    ("shift", "turn"), [((2.0, -1.5, 3.0), (3.0, 2.0, -2.0)), ((0.0, 0.0, -4.0), (0.0, 0.0, 0.0)), ((-1.0, 2.0, 1.0), (-5.0, 0.0, 3.0))]
)
def test_a_rigid_motion_is_found_back(shift, turn):
    moved = Frame(FRAME.to_world(shift), FRAME.axes @ Rotation.from_euler("xyz", turn, degrees=True).as_matrix())
    found = place(body(FRAME, patch()), body(moved, scan()), FRAME)
    assert found.to_local(moved.origin) == pytest.approx(np.zeros(3), abs=0.3)
    assert found.angle_to(moved) < 1.0


@pytest.mark.parametrize("lost", [5.0, 9.0])
def test_a_collapsed_upper_plate_is_left_as_the_deficit_it_is(lost):
    actual = body(FRAME, scan(), top=13.0 - lost)
    guess = FRAME.moved(FRAME.to_world([0.0, 0.0, -lost / 2]))  # the damaged body's own middle
    found = place(body(guess, patch(guess)), actual, guess)
    assert FRAME.to_local(found.origin)[2] == pytest.approx(0, abs=1.0)
    assert FRAME.to_local(found.origin)[1] == pytest.approx(0, abs=0.7)
    assert found.angle_to(FRAME) < 2.5


def test_a_placed_shape_moves_with_its_frame():
    moved = FRAME.moved(FRAME.to_world([3.0, 0.0, 0.0]))
    sdf = placed(body(FRAME, patch()).values, moved, patch())
    points = FRAME.to_world(np.random.default_rng(0).uniform(-20, 20, (200, 3)))
    assert sdf.sample(points + moved.origin - FRAME.origin) == pytest.approx(body(FRAME, patch()).sample(points), abs=1e-3)
