"""A field on another grid and at points: ``make bench``. Answers are checked first; the reference is torch's ``grid_sample``."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from shapekit.core.grid import Grid
from shapekit.ops import resample_field, sample_field

SIDES, SPACING = (90, 90, 40), np.array([0.7, 0.7, 1.5])
CONTESTANTS = ["cpu", "reference", "scipy"]


def setting():
    """A body's crop of a scan, the patch of a turned frame over its middle, and a field."""
    grid = Grid(SIDES, np.diag([*SPACING, 1.0]))
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_rotvec([0.2, -0.1, 0.3]).as_matrix()
    affine[:3, 3] = 0.5 * SPACING * SIDES - affine[:3, :3] @ np.array([40, 32, 32])
    middle = 0.5 * SPACING * (np.array(SIDES) - 1)
    values = (np.linalg.norm(grid.points() - middle, axis=-1) - 15).astype(np.float32)
    return values, grid, Grid((80, 64, 64), affine)


def by_scipy(values, grid, points):
    index = grid.to_index(points).reshape(-1, 3)
    inside = np.clip(index, 0, np.array(grid.shape) - 1)
    way = np.linalg.norm((index - inside) @ grid.affine[:3, :3].T, axis=1)
    return (ndimage.map_coordinates(values, inside.T, order=1, mode="nearest") + way).reshape(points.shape[:-1])


@pytest.mark.parametrize("name", CONTESTANTS)
def test_bench_a_patch(benchmark, name):
    values, grid, onto = setting()

    def call():
        return by_scipy(values, grid, onto.points()) if name == "scipy" else resample_field(values, grid, onto, backend=name)

    assert np.abs(call() - by_scipy(values, grid, onto.points())).max() < 1e-3
    benchmark.pedantic(call, rounds=9, warmup_rounds=1)


@pytest.mark.parametrize("name", CONTESTANTS)
def test_bench_points(benchmark, name):
    values, grid, onto = setting()
    points = onto.points().reshape(-1, 3)[::30]

    def call():
        return by_scipy(values, grid, points) if name == "scipy" else sample_field(values, grid, points, backend=name)

    assert np.abs(call() - by_scipy(values, grid, points)).max() < 1e-3
    benchmark.pedantic(call, rounds=15, warmup_rounds=1)
