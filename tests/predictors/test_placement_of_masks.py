import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from shapekit.core.conventions import PATCH_SHAPE
from shapekit.core.frame import Frame
from shapekit.core.grid import Grid
from shapekit.core.values import Sdf
from shapekit.predictors import place
from shapekit.sdf import refine_sdf, sdf_from_mask
from tests.factories import OBLIQUE, oblique_grid

GRID = oblique_grid((92, 52, 34), (0.7, 1.3, 2.1))
CENTRE = GRID.to_world((np.array(GRID.shape) - 1) / 2)
# neither along the scan nor along the patient
TRUTH = Frame(CENTRE, OBLIQUE @ Rotation.from_rotvec((0.12, 0.08, -0.1)).as_matrix())
HEIGHT = 12.7


def level_set(points, upper, waist_share=0.06):
    """Negative inside a body with a flat posterior wall, slightly waisted; ``upper(lr, ap)`` is where its upper plate stands."""
    lr, ap, si = np.moveaxis(points, -1, 0)
    waist = 1.0 - waist_share * (1 - (si / HEIGHT) ** 2)
    side = (np.hypot(lr / (22.3 * waist), ap / (16.1 * waist)) - 1) * 16.0
    return np.maximum.reduce([side, -13.2 - ap, si - upper(lr, ap), -HEIGHT - si])


def scanned(upper=lambda lr, ap: HEIGHT):
    """The actual body as a mask on the oblique anisotropic grid, and the middle of what is left of it."""
    mask = level_set(TRUTH.to_local(GRID.points()), upper) < 0
    return refine_sdf(sdf_from_mask(mask, GRID)), GRID.to_world(np.argwhere(mask).mean(axis=0))


def expected_on(frame):
    """The healthy body about its own centre of volume, as a predictor gives it."""
    grid = Grid.from_frame(frame, PATCH_SHAPE, 1.0)
    local = frame.to_local(grid.points()) + np.array([0.0, MIDDLE_AP, 0.0])
    return Sdf(level_set(local, lambda lr, ap: HEIGHT).astype(np.float32), grid)


WHOLE, WHOLE_CENTRE = scanned()
MIDDLE_AP = float(TRUTH.to_local(WHOLE_CENTRE)[1])


def centre_error(found):
    """How far (LR, AP, SI) the placed body's centre lies from where the healthy one's is."""
    return TRUTH.to_local(found.origin) - [0.0, MIDDLE_AP, 0.0]


@pytest.mark.parametrize(
    ("shift", "turn"), [((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)), ((2.0, -1.5, 2.5), (3.0, -2.0, 2.0)), ((-1.5, 2.0, -3.0), (-4.0, 2.0, -3.0))]
)
def test_a_whole_body_is_found_from_a_guess_a_few_millimetres_and_degrees_off(shift, turn):
    axes = TRUTH.axes @ Rotation.from_euler("xyz", turn, degrees=True).as_matrix()
    guess = Frame(WHOLE_CENTRE + TRUTH.axes @ shift, axes)
    found = place(expected_on(guess), WHOLE, guess)
    assert np.abs(centre_error(found)).max() < 0.3
    assert found.angle_to(TRUTH) < 1.0


@pytest.mark.parametrize(
    "upper",
    [lambda lr, ap: HEIGHT / 3, lambda lr, ap: HEIGHT - 4.0 - 0.3 * ap, lambda lr, ap: HEIGHT - 8.0 * np.exp(-((lr / 14) ** 2) - (ap / 9) ** 2)],
    ids=["the upper third gone", "a wedge", "a dent"],
)
def test_a_collapse_from_above_leaves_the_expected_body_on_the_lower_plate_and_the_posterior_wall(upper):
    actual, middle = scanned(lambda lr, ap: np.minimum(HEIGHT, upper(lr, ap)))
    guess = TRUTH.moved(middle)
    found = place(expected_on(guess), actual, guess)
    _, ap, si = centre_error(found)
    assert abs(si) < 1.0
    assert abs(ap) < 0.7
    assert found.angle_to(TRUTH) < 3.0
    # the expected lower plate's middle lies on the actual one
    assert TRUTH.to_local(found.to_world([0.0, -MIDDLE_AP, -HEIGHT]))[2] == pytest.approx(-HEIGHT, abs=1.0)


def test_nothing_is_drawn_from_chance():
    guess = TRUTH.moved(WHOLE_CENTRE)
    one, other = (place(expected_on(guess), WHOLE, guess) for _ in range(2))
    assert (one.axes == other.axes).all()
    assert (one.origin == other.origin).all()


@pytest.mark.parametrize("lost", [3.0, 6.0])
def test_bone_missing_in_front_does_not_draw_the_expected_body_off_its_posterior_wall(lost):
    points = TRUTH.to_local(GRID.points())
    mask = (level_set(points, lambda lr, ap: HEIGHT) < 0) & (points[..., 1] < 16.1 - lost)
    guess = TRUTH.moved(GRID.to_world(np.argwhere(mask).mean(axis=0)))
    found = place(expected_on(guess), refine_sdf(sdf_from_mask(mask, GRID)), guess)
    assert abs(centre_error(found)[1]) < 0.7
    assert found.angle_to(TRUTH) < 3.0


@pytest.mark.parametrize("lost", [3.0, 4.5, 6.0, 7.5])
def test_of_two_equal_plates_the_lower_one_holds_the_body(lost):
    # a straight cylinder: which of the two a loss is taken from is decided by what fractures do, not by rounding
    for off in (-0.6, 0.0, 0.7):
        guess = TRUTH.moved(TRUTH.to_world([0.0, 0.0, off - lost / 2]))
        grid = Grid.from_frame(guess, PATCH_SHAPE, 1.0)
        expected = Sdf(level_set(guess.to_local(grid.points()), lambda lr, ap: HEIGHT, 0.0).astype(np.float32), grid)
        values = level_set(TRUTH.to_local(GRID.points()), lambda lr, ap: HEIGHT - lost, 0.0)
        found = place(expected, refine_sdf(sdf_from_mask(values < 0, GRID)), guess)
        assert TRUTH.to_local(found.origin)[2] == pytest.approx(0, abs=1.0)


def test_a_shape_that_is_off_the_middle_of_its_patch_turns_about_its_own_place():
    off = np.array([3.0, -4.0, 5.0])
    guess = Frame(WHOLE_CENTRE, TRUTH.axes @ Rotation.from_euler("xyz", (4.0, -3.0, 3.0), degrees=True).as_matrix())
    grid = Grid.from_frame(guess, PATCH_SHAPE, 1.0)
    local = guess.to_local(grid.points()) - off + np.array([0.0, MIDDLE_AP, 0.0])
    found = place(Sdf(level_set(local, lambda lr, ap: HEIGHT).astype(np.float32), grid), WHOLE, guess)
    assert found.angle_to(TRUTH) < 1.0
    assert TRUTH.to_local(found.to_world(off)) == pytest.approx([0.0, MIDDLE_AP, 0.0], abs=0.15)
