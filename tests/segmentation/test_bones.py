import numpy as np
import pytest

from shapekit.segmentation.bones import CORTEX_HU, SPONGY_HU, bar, block, put_bone

SHAPE, SPACING_MM = (30, 26, 34), 2.0
MIDDLE = np.array([30.0, 26.0, 34.0])


def points():
    return np.moveaxis(np.indices(SHAPE), 0, -1) * SPACING_MM


def test_a_block_is_negative_inside_and_nothing_on_its_surface():
    half = np.array([12.0, 8.0, 20.0])
    depth = block(SHAPE, SPACING_MM, MIDDLE, half, power=2.0)
    inside = (((points() - MIDDLE) / half) ** 2).sum(axis=-1) < 1
    assert np.array_equal(depth < 0, inside)
    assert depth.min() == pytest.approx(-8.0)
    sharper = block(SHAPE, SPACING_MM, MIDDLE, half, power=6.0) < 0
    assert (sharper | ~inside).all()
    assert sharper.sum() > inside.sum()


def test_a_turned_block_lies_along_the_directions_given():
    cos, sin = np.cos(0.6), np.sin(0.6)
    turn = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    half = np.array([20.0, 6.0, 9.0])
    inside = block(SHAPE, SPACING_MM, MIDDLE, half, turn) < 0
    own = (points() - MIDDLE) @ turn
    assert np.array_equal(inside, (np.abs(own / half) ** 3).sum(axis=-1) < 1)
    straight = block(SHAPE, SPACING_MM, MIDDLE, half)
    assert np.allclose(block(SHAPE, SPACING_MM, MIDDLE, half, np.eye(3)), straight, atol=1e-4)


def test_a_bar_is_the_distance_to_its_line_less_its_radius():
    line = np.array([[10.0, 10.0, 10.0], [40.0, 10.0, 10.0], [40.0, 10.0, 50.0]])
    depth = bar(SHAPE, SPACING_MM, line, 3.0)
    assert depth[10, 5, 5] == pytest.approx(-3.0)
    assert depth[10, 9, 5] == pytest.approx(8.0 - 3.0)
    assert depth[20, 5, 30] == pytest.approx(10.0 - 3.0)


def test_a_bone_has_a_cortex_around_spongy_bone_and_spares_what_is_kept():
    hu = np.full(SHAPE, 40.0, np.float32)
    depth = block(SHAPE, SPACING_MM, MIDDLE, np.array([14.0, 14.0, 14.0]))
    keep = points()[..., 0] > 40.0
    put_bone(hu, depth, SPACING_MM, keep, np.random.default_rng(0))
    assert (hu[keep] == 40.0).all()
    assert (hu[(depth > SPACING_MM) & ~keep] == 40.0).all()
    deep, rim = hu[(depth < -4.0) & ~keep], hu[(np.abs(depth + 0.6) < 0.4) & ~keep]
    assert SPONGY_HU[0] - 60 < deep.mean() < SPONGY_HU[1] + 60
    assert CORTEX_HU[0] / 2 < rim.mean() < CORTEX_HU[1]
    assert rim.mean() > deep.mean()
    assert deep.std() > 2.0


def test_a_voxel_holds_the_share_of_a_bone_that_its_own_length_allows():
    spacing = (2.0, 2.0, 5.0)
    for axis, length in enumerate(spacing):
        along = np.arange(16) * length - 40.0
        depth = np.moveaxis(np.broadcast_to(np.abs(along) - 9.3, (5, 5, 16)), 2, axis).astype(np.float32)  # a slab
        hu = np.full(depth.shape, -1000.0, np.float32)
        put_bone(hu, depth, spacing, np.zeros(depth.shape, bool), np.random.default_rng(0))
        touched = np.moveaxis(hu, axis, 2)[2, 2] != -1000.0
        assert np.array_equal(touched, np.abs(along) - 9.3 < length / 2)


@pytest.mark.parametrize("spacing", [2, (2.0, 2.0, 5.0)])
def test_a_whole_number_and_a_single_layer_will_do(spacing):
    hu = np.zeros((20, 20, 1), np.float32)
    put_bone(
        hu, bar(hu.shape, spacing, np.array([[0.0, 20.0, 0.0], [40.0, 20.0, 0.0]]), 5.0), spacing, np.zeros(hu.shape, bool), np.random.default_rng(0)
    )
    assert (hu[10, :, 0] != 0).sum() in (5, 6, 7)
