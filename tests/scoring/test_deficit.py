import numpy as np
import pytest

import shapekit as sk
from shapekit.core.frame import Frame
from shapekit.core.grid import Grid
from shapekit.core.values import Sdf
from shapekit.phantom import body_patch, draw_patient
from shapekit.scoring import Deficit, deficit_map
from tests.factories import OBLIQUE, ellipsoid_distance

FRAME = Frame(np.array([12.0, -31.0, 95.0]), OBLIQUE)
GRID = Grid.from_frame(FRAME, (64, 50, 44), 1.0)
HALF = np.array([21.0, 15.0, 12.0])


def box(low, high):
    """Exact signed distance of a box between two corners, along an oblique frame; mm."""
    points = FRAME.to_local(GRID.points())
    apart = np.maximum(np.asarray(low) - points, points - np.asarray(high))
    return Sdf((np.linalg.norm(np.maximum(apart, 0), axis=-1) + np.minimum(apart.max(axis=-1), 0)).astype(np.float32), GRID)


def ellipsoid(semi_axes, up_mm=0.0):
    return Sdf(ellipsoid_distance(FRAME.to_local(GRID.points()) - (0, 0, up_mm), semi_axes).astype(np.float32), GRID)


def middle_of(deficit, plate):
    """Vertices of the upper (+1) or lower (-1) plate away from its rim."""
    local = FRAME.to_local(deficit.mesh.vertices)
    return (plate * local[:, 2] > HALF[2] - 1) & (abs(local[:, 0]) < HALF[0] - 4) & (abs(local[:, 1]) < HALF[1] - 4)


@pytest.mark.parametrize("missing_mm", [0.7, 4.0, 11.3, -3.2])
def test_a_plate_that_stands_lower_is_missing_by_just_that(missing_mm):
    deficit = deficit_map(box(-HALF, HALF), box(-HALF, HALF - (0, 0, missing_mm)), FRAME)
    upper, lower = middle_of(deficit, 1), middle_of(deficit, -1)
    assert upper.sum() > 500
    np.testing.assert_allclose(deficit.along_si_mm[upper], missing_mm, atol=0.05)
    np.testing.assert_allclose(deficit.along_si_mm[lower], 0, atol=0.05)


def test_the_lower_plate_is_measured_upward():
    deficit = deficit_map(box(-HALF, HALF), box(-HALF + (0, 0, 5.0), HALF), FRAME)
    np.testing.assert_allclose(deficit.along_si_mm[middle_of(deficit, -1)], 5, atol=0.05)
    np.testing.assert_allclose(deficit.along_si_mm[middle_of(deficit, 1)], 0, atol=0.05)


def test_along_a_slope_the_height_is_more_than_the_nearest_distance():
    """A wedge's plate: the height between two planes is known at each point, the nearest distance is its cosine's share."""
    slope = 0.4
    local = FRAME.to_local(GRID.points())
    plane = (local[..., 2] - (6.0 - slope * local[..., 1])) / np.hypot(1, slope)
    actual = Sdf(np.maximum(box(-HALF, HALF).values, plane).astype(np.float32), GRID)
    deficit = deficit_map(box(-HALF, HALF), actual, FRAME)
    upper = middle_of(deficit, 1)
    found = FRAME.to_local(deficit.mesh.vertices[upper])
    height = found[:, 2] - (6.0 - slope * found[:, 1])
    away = height > 1
    np.testing.assert_allclose(deficit.along_si_mm[upper][away], height[away], atol=0.1)
    np.testing.assert_allclose(deficit.nearest_mm[upper][away], height[away] / np.hypot(1, slope), atol=0.1)


def test_between_ellipsoids_the_height_is_the_closed_form():
    wide, flat = np.array([22.0, 17.0, 14.0]), np.array([22.0, 17.0, 9.0])
    deficit = deficit_map(ellipsoid(wide), ellipsoid(flat), FRAME)
    local = FRAME.to_local(deficit.mesh.vertices)
    within = (local[:, 0] / 22) ** 2 + (local[:, 1] / 17) ** 2
    plates = within < 0.4
    truth = np.sqrt(1 - within[plates]) * (14.0 - 9.0)
    assert plates.sum() > 1000
    np.testing.assert_allclose(deficit.along_si_mm[plates], truth, atol=0.15)


def test_walls_tell_the_nearest_distance_and_nothing_is_beyond_its_bounds():
    deficit = deficit_map(box(-HALF, HALF), box(-HALF + (1.5, 0, 0), HALF - (2.5, 0, 0)), FRAME)
    local = FRAME.to_local(deficit.mesh.vertices)
    inner = (abs(local[:, 2]) < 8) & (abs(local[:, 1]) < 10)
    np.testing.assert_allclose(deficit.along_si_mm[inner & (local[:, 0] > 20)], 2.5, atol=0.05)
    np.testing.assert_allclose(deficit.along_si_mm[inner & (local[:, 0] < -20)], 1.5, atol=0.05)
    assert deficit.along_si_mm.max() < 2.5 / np.cos(np.radians(75)) + 0.1  # on the plates the line grazes the wall that is not there


def test_a_body_far_away_is_capped_and_an_empty_one_refused():
    tiny = ellipsoid((2.0, 2.5, 3.0), up_mm=-17.0)
    deficit = deficit_map(box(-HALF, HALF), tiny, FRAME)
    assert np.isfinite(deficit.along_si_mm).all()
    assert deficit.along_si_mm.max() == 30
    with pytest.raises(sk.InputError, match="actual body is empty"):
        deficit_map(box(-HALF, HALF), Sdf(np.ones(GRID.shape, np.float32), GRID), FRAME)
    with pytest.raises(sk.InputError, match="no surface"):
        deficit_map(Sdf(np.ones(GRID.shape, np.float32), GRID), tiny, FRAME)
    with pytest.raises(sk.InputError, match="nearest_mm has shape"):
        Deficit(deficit.mesh, deficit.along_si_mm, deficit.nearest_mm[:-1])


@pytest.mark.parametrize("kind", ["wedge", "crush", "biconcave"])
def test_a_phantoms_fracture_is_found_where_it_is_and_as_deep_as_it_is(kind):
    """The height lost at each point of both plates is known in closed form: the difference of the plates' heights."""
    vertebra = draw_patient(7, fractures={"L1": (kind, 0.35)}, levels=[sk.Level.T12, sk.Level.L1, sk.Level.L2])["L1"]
    frame = vertebra.frame("healthy")
    expected, actual = (body_patch(vertebra, frame, which=which) for which in ("healthy", "actual"))
    deficit = deficit_map(expected, actual, frame)
    local = vertebra.placement.to_local(deficit.mesh.vertices)
    x, y = local[:, 0], local[:, 1]
    with np.errstate(invalid="ignore"):
        tops = [shape.plate_heights(x, y) for shape in (vertebra.healthy, vertebra.actual)]
    lost = np.where(local[:, 2] > 0, tops[0][0] - tops[1][0], tops[1][1] - tops[0][1])
    inner = (np.hypot(x - x.mean(), y - y.mean()) < 10) & (abs(local[:, 2]) > 6)
    assert inner.sum() > 300
    assert lost[inner].max() > 3
    error = deficit.along_si_mm[inner] - lost[inner]
    assert abs(np.median(error)) < 0.1
    assert np.quantile(abs(error), 0.95) < 0.5
