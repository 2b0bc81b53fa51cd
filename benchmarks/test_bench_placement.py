"""The step that lays a body over an actual one: ``make bench``. Answers are checked first; SciPy's MINPACK looks distances up as we do."""

import numpy as np
import pytest
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from shapekit.core.frame import Frame
from shapekit.core.grid import Grid
from shapekit.ops import fit_rigidly, sample_field
from shapekit.ops.placement import EXCESS_MM, LOSS_MM

SPREAD = np.array([0.07, 0.07, 0.07, 2.0, 2.0, 4.0])
STARTS = np.array([[0, 0, 0, 0, 0, height] for height in (0.0, 4.0)], dtype=np.float64)


def setting(count=1000):
    """A flattened ellipsoid's distance, a little moved and turned, and points of one that is not."""
    grid = Grid((90, 80, 40), np.diag([0.7, 0.7, 1.5, 1.0]))
    frame = Frame(grid.to_world((np.array(grid.shape) - 1) / 2), np.eye(3))
    radii = np.array([21.0, 16.0, 12.0])
    local = frame.to_local(grid.points()) - [1.0, -0.5, 1.5]
    local = local @ Rotation.from_rotvec((0.05, -0.03, 0.02)).as_matrix()
    norm = np.linalg.norm(local / radii, axis=-1)
    values = np.maximum((norm - 1.0) * norm / np.maximum(np.linalg.norm(local / radii**2, axis=-1), 1e-9), local[..., 2] - 8.0).astype(np.float32)
    spread = np.random.default_rng(1).standard_normal((count, 3))
    return values, grid, frame, radii * spread / np.linalg.norm(spread, axis=1, keepdims=True), np.full(count, 0.4)


def cost(step, values, grid, frame, points, scale):
    """Misfits and the prior, as ``fit_rigidly`` defines them."""
    gap = sample_field(values, grid, frame.to_world(points @ Rotation.from_rotvec(step[:3]).as_matrix().T + step[3:])).astype(np.float64)
    share = 1.0 + (gap / np.where(gap > 0, LOSS_MM, EXCESS_MM)) ** 2
    return np.concatenate([gap * scale / np.where(gap > 0, share**0.5, share**0.25), step / SPREAD])


def by_minpack(*given):
    ends = [least_squares(cost, start, args=given, method="lm", x_scale=SPREAD, ftol=1e-6) for start in STARTS]
    return min(ends, key=lambda end: end.cost).x


@pytest.mark.parametrize("name", ["cpu", "reference", "minpack"])
def test_bench_placement(benchmark, name):
    given = setting()

    def call():
        return by_minpack(*given) if name == "minpack" else fit_rigidly(*given, STARTS, SPREAD, backend=name)

    assert (cost(call(), *given) ** 2).sum() <= 1.001 * (cost(by_minpack(*given), *given) ** 2).sum()
    benchmark.pedantic(call, rounds=9, warmup_rounds=1)
