"""The densest point of a vertebra: ``make bench``. Answers are checked first; there is no library for it."""

import numpy as np
import pytest

from shapekit.core.grid import Grid
from shapekit.ops import densest_point
from tests.factories import whole_vertebra

SIGMAS_MM = np.geomspace(18.0, 9.0, 24)


@pytest.mark.parametrize("name", ["cpu", "reference"])
def test_bench_densest_point(benchmark, name):
    grid = Grid((130, 150, 60), np.diag([0.8, 0.8, 1.2, 1.0]))
    centre = grid.to_world((np.array(grid.shape) - 1) / 2 + [0.0, 18.0, 0.0])
    mask, body = whole_vertebra(grid, centre, np.eye(3))
    assert body[tuple(np.rint(grid.to_index(densest_point(mask, grid, SIGMAS_MM, backend=name))).astype(int))]
    benchmark.pedantic(densest_point, (mask, grid, SIGMAS_MM), {"backend": name}, rounds=9, warmup_rounds=1)
