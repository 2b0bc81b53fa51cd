import numpy as np
import pytest

from shapekit.core.levels import Level
from shapekit.training import Samples

LEVELS = [Level.T10, Level.T11, Level.T12, Level.L1, Level.L2, Level.L3]


def ellipsoid(*radii):
    """Signed distance, nearly, on the half-resolution patch."""
    axes = np.meshgrid(*[np.arange(side) * 2.0 - (side - 1) for side in (40, 32, 32)], indexing="ij")
    length = np.sqrt(sum((x / r) ** 2 for x, r in zip(axes, radii, strict=True)))
    return ((length - 1) * min(radii)).clip(-12, 12)


def spine(number, *, broken=None):
    """Six ellipsoids whose heights follow the person and the level; the broken one is measured at half its height."""
    person = np.random.default_rng(number).normal(size=2)
    sizes = [(20 + 0.5 * n + person[0], 15 + person[1], 11 + 0.4 * n + person[0]) for n in range(6)]
    healthy = np.array([ellipsoid(*size) for size in sizes], dtype=np.float16)
    measured = healthy.copy()
    loss = np.zeros(6, np.float32)
    if broken is not None:
        measured[broken], loss[broken] = ellipsoid(sizes[broken][0], sizes[broken][1], sizes[broken][2] / 2), 0.5
    ranks = np.array([level.rank for level in LEVELS], dtype=np.int16)
    return Samples(f"s{number}", ranks, measured, healthy, np.ones(6, bool), np.ones(6, bool), loss)


@pytest.fixture(scope="session")
def cohort():
    return [spine(n, broken=n % 6 if n % 2 else None) for n in range(12)]


@pytest.fixture
def ellipsoid_spine():
    from shapekit.core.grid import Grid
    from shapekit.core.values import LabelMap

    i, j, k = np.indices((50, 44, 150))
    array = np.zeros(i.shape, np.uint8)
    for label, middle in ((19, 125), (20, 92), (21, 57), (22, 22)):
        array[(abs(i - 25) / 20) ** 3 + (abs(j - 22) / 15) ** 3 + (abs(k - middle) / 12) ** 4 < 1] = label
    levels = {19: Level.T12, 20: Level.L1, 21: Level.L2, 22: Level.L3}
    return LabelMap(array, Grid(array.shape, np.eye(4)), levels)
