import numpy as np
import pytest

from tests.factories import ellipsoid_distance

SEMI_AXES = np.array([13.0, 21.0, 9.0])


def test_the_exact_distance_is_the_least_one_to_a_dense_cloud_on_the_surface():
    generator = np.random.default_rng(2)
    spread = generator.standard_normal((400_000, 3))
    cloud = spread / np.linalg.norm(spread, axis=1, keepdims=True) * SEMI_AXES
    points = generator.uniform(-26, 26, (60, 3))
    points[:6, 2] = 0.0  # the middle plane, where the nearest point is not unique
    points[6:9, :2] = 0.0
    points[9] = 0.0
    inside = ((points / SEMI_AXES) ** 2).sum(axis=1) < 1
    least = np.array([np.linalg.norm(cloud - point, axis=1).min() for point in points])
    assert 5 < inside.sum() < 55
    # the cloud's points lie about 0.1 mm apart, so the least distance is too large by what that leaves beside the foot
    found = ellipsoid_distance(points, SEMI_AXES)
    assert (np.sign(found) == np.where(inside, -1, 1)).all()
    assert np.abs(found) == pytest.approx(least, abs=0.03)
    assert (np.abs(found) <= least + 1e-9).all()


def test_where_symmetry_gives_it_away():
    axes = np.diag([13.0, 21.0, 9.0])
    assert ellipsoid_distance(axes, SEMI_AXES) == pytest.approx(0, abs=1e-9)
    assert ellipsoid_distance(1.5 * axes, SEMI_AXES) == pytest.approx(0.5 * SEMI_AXES)
    assert ellipsoid_distance(np.zeros(3), SEMI_AXES) == pytest.approx(-9.0)
    points = np.random.default_rng(0).uniform(-20, 20, (50, 3))
    assert ellipsoid_distance(points, np.full(3, 12.0)) == pytest.approx(np.linalg.norm(points, axis=1) - 12.0, abs=1e-7)
