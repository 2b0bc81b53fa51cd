"""The look behind a body: ``make bench``. Answers are checked first; there is no library for it."""

import numpy as np
import pytest

from shapekit.core.frame import Frame
from shapekit.core.grid import Grid
from shapekit.ops import look_behind
from tests.factories import whole_vertebra


@pytest.mark.parametrize("name", ["cpu", "reference"])
def test_bench_look_behind(benchmark, name):
    grid = Grid((130, 150, 60), np.diag([0.8, 0.8, 1.2, 1.0]))
    centre = grid.to_world((np.array(grid.shape) - 1) / 2 + [0.0, 18.0, 0.0])
    mask, _ = whole_vertebra(grid, centre, np.eye(3))
    given = mask.astype(np.float32), grid, Frame(centre, np.eye(3))
    assert np.abs(look_behind(*given, backend=name).centre - [0.0, -21.5, 0.0]).max() < 1.0
    benchmark.pedantic(look_behind, given, {"backend": name}, rounds=9, warmup_rounds=1)
