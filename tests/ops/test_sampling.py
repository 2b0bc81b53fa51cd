"""A field at points and on other grids: the C++ library against float64 and against the reference."""

import numpy as np
import pytest
import torch
from scipy import ndimage

import shapekit as sk
from shapekit.core.grid import Grid
from shapekit.ops import _native, resample_field, sample_field
from tests.factories import oblique_grid

BACKENDS = ["reference", pytest.param("cpu", marks=pytest.mark.skipif(bool(_native.WHY_NO_LIBRARY), reason=_native.WHY_NO_LIBRARY or "built"))]
GRID = oblique_grid()
VALUES = np.random.default_rng(3).standard_normal(GRID.shape).astype(np.float32)


def truth(points, grid=GRID, values=VALUES, *, adds_way=True):
    """SciPy's interpolation in float64, and the way to the grid."""
    index = grid.to_index(points).reshape(-1, 3)
    inside = np.clip(index, 0, np.array(grid.shape) - 1)
    found = ndimage.map_coordinates(values.astype(np.float64), inside.T, order=1, mode="nearest")
    way = np.linalg.norm((index - inside) @ grid.affine[:3, :3].T, axis=1)
    return (found + way * adds_way).reshape(points.shape[:-1])


def scattered(shape=(500,), seed=0):
    """Points of which some lie beyond the grid."""
    return GRID.to_world(np.random.default_rng(seed).uniform(-0.3, 1.3, (*shape, 3)) * GRID.shape)


@pytest.mark.parametrize("backend", BACKENDS)
def test_points_have_the_interpolated_value_and_the_way(backend):
    points = scattered((7, 60))
    assert sample_field(VALUES, GRID, points, backend=backend) == pytest.approx(truth(points), abs=2e-5)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("adds_way", [True, False])
def test_another_grids_voxels_are_points(backend, adds_way):
    affine = oblique_grid((9, 8, 7)).affine.copy()
    affine[:3, :3] = affine[:3, [2, 0, 1]] * -1.3
    affine[:3, 3] = GRID.to_world(np.array(GRID.shape) / 2)
    onto = Grid((23, 9, 31), affine)
    found = resample_field(VALUES, GRID, onto, adds_way=adds_way, backend=backend)
    assert found.shape == onto.shape
    assert found == pytest.approx(truth(onto.points(), adds_way=adds_way), abs=2e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_voxel_has_its_own_value_and_equal_ones_give_it_between_them(backend):
    assert np.array_equal(resample_field(VALUES, GRID, Grid(VALUES.shape, GRID.affine), backend=backend), VALUES)
    same = np.full(VALUES.shape, 255.0, np.float32)
    assert resample_field(same, GRID, oblique_grid((9, 8, 7)), adds_way=False, backend=backend) == pytest.approx(
        255.0, rel=1e-6 if backend == "reference" else 0.0, abs=0.0
    )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("sides", [(1, 1, 1), (5, 1, 6), (1, 7, 2), (6, 4, 1)], ids=str)
def test_thin_grids_and_no_points(backend, sides):
    grid = oblique_grid(sides)
    values = np.random.default_rng(5).standard_normal(sides).astype(np.float32)
    points = grid.to_world(np.random.default_rng(6).uniform(-2, 8, (40, 3)))
    assert sample_field(values, grid, points, backend=backend) == pytest.approx(truth(points, grid, values), abs=2e-5)
    assert sample_field(values, grid, np.zeros((0, 3)), backend=backend).shape == (0,)


@pytest.mark.skipif(bool(_native.WHY_NO_LIBRARY), reason=_native.WHY_NO_LIBRARY or "built")
def test_the_same_bits_for_any_number_of_threads_and_memory_order():
    before, points = torch.get_num_threads(), scattered((9000,))
    try:
        torch.set_num_threads(1)
        once = sample_field(VALUES, GRID, points), resample_field(VALUES, GRID, GRID)
        for threads in (2, 3, 7):
            torch.set_num_threads(threads)
            assert np.array_equal(sample_field(np.asfortranarray(VALUES), GRID, points), once[0])
            assert np.array_equal(resample_field(VALUES, GRID, GRID), once[1])
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"values": VALUES[1:]}, "values"),
        ({"values": VALUES.astype(np.float64)}, "values has dtype float64"),
        ({"points": np.zeros((4, 2))}, "points has shape"),
    ],
)
def test_what_does_not_fit_is_named(change, match):
    given = {"values": VALUES, "grid": GRID, "points": np.zeros((4, 3))} | change
    with pytest.raises(sk.InputError, match=match):
        sample_field(given.pop("values"), given.pop("grid"), given.pop("points"), **given)


def test_a_gpu_is_refused_in_a_sentence():
    with pytest.raises(sk.UsageError, match="the tensors are on cpu"):
        sample_field(VALUES, GRID, np.zeros((4, 3)), backend="cuda")
