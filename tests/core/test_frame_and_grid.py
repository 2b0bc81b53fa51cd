import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

import shapekit as sk
from shapekit.core.frame import Frame
from shapekit.core.grid import Grid, box_of, centre_of, cut_box, voxels_of
from tests.factories import OBLIQUE, oblique_grid

ANGLES = st.tuples(*[st.floats(-1.4, 1.4)] * 3)


def leaning(axis, degrees):
    return Frame(np.zeros(3), Rotation.from_euler(axis, degrees, degrees=True).as_matrix())


@given(ANGLES, st.tuples(*[st.floats(-300, 300)] * 3))
def test_local_and_world_are_inverse(angles, origin):
    frame = Frame(np.array(origin), Rotation.from_rotvec(angles).as_matrix())
    points = np.array([[1.0, 2.0, 3.0], [-40.0, 0.5, 7.0]])
    assert frame.to_local(frame.to_world(points)) == pytest.approx(points, abs=1e-9)
    assert frame.to_world([[0, 0, 0]])[0] == pytest.approx(origin)


def test_angles_have_the_signs_that_the_conventions_state():
    forward = Frame.from_directions((0, 0, 0), (0, np.sin(0.2), np.cos(0.2)), (0, 1, 0))
    assert forward.tilt_sagittal_deg == pytest.approx(np.degrees(0.2))
    to_the_right = Frame.from_directions((0, 0, 0), (np.sin(0.1), 0, np.cos(0.1)), (0, 1, 0))
    assert to_the_right.tilt_coronal_deg == pytest.approx(np.degrees(0.1))
    turned_left = Frame.from_directions((0, 0, 0), (0, 0, 1), (-np.sin(0.3), np.cos(0.3), 0))
    assert turned_left.rotation_axial_deg == pytest.approx(np.degrees(0.3))
    assert (forward.tilt_coronal_deg, forward.rotation_axial_deg) == pytest.approx((0, 0))


def test_from_directions_keeps_superior_and_is_right_handed():
    frame = Frame.from_directions((1, 2, 3), (0.1, 0.2, 2.0), (0.5, 1.0, 0.3))
    assert frame.axes[:, 2] == pytest.approx(np.array([0.1, 0.2, 2.0]) / np.linalg.norm([0.1, 0.2, 2.0]))
    assert frame.axes[:, 1] @ [0.5, 1.0, 0.3] > 0
    assert np.linalg.det(frame.axes) == pytest.approx(1)
    with pytest.raises(sk.InputError, match="parallel"):
        Frame.from_directions((0, 0, 0), (0, 0, 1), (0, 0, -3))


def test_the_angle_between_frames():
    assert leaning("x", 25).angle_to(leaning("x", -5)) == pytest.approx(30)
    assert leaning("z", 40).angle_to(leaning("z", 40)) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("axes", [np.ones((3, 3)), np.diag([1.0, 1.0, -1.0]), np.eye(3) * 1.01, np.full((3, 3), np.nan)])
def test_axes_that_are_no_rotation_are_refused(axes):
    with pytest.raises(sk.InputError, match="axes"):
        Frame(np.zeros(3), axes)


def test_frames_and_grids_cannot_be_written_to():
    for array in (leaning("x", 3).axes, leaning("x", 3).origin, oblique_grid().affine):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_grid_maps_are_inverse_and_points_are_voxel_centres():
    grid = oblique_grid()
    index = np.array([[0, 0, 0], [36, 51, 40], [3.25, 17.5, 9.75]])
    assert grid.to_index(grid.to_world(index)) == pytest.approx(index)
    assert grid.spacing_mm == pytest.approx([0.7, 1.3, 2.9])
    assert grid.voxel_mm3 == pytest.approx(0.7 * 1.3 * 2.9)
    points = grid.points()
    assert points.shape == (37, 52, 41, 3)
    assert points[5, 7, 11] == pytest.approx(grid.affine[:3] @ [5, 7, 11, 1])


def test_a_crop_keeps_its_voxels_where_they_were_even_outside():
    grid = oblique_grid()
    crop = grid.crop((-2, 3, 5), (10, 11, 12))
    assert crop.shape == (10, 11, 12)
    assert crop.to_world((2, 0, 0)) == pytest.approx(grid.to_world((0, 3, 5)))


def test_a_grid_along_a_frame_has_its_origin_in_the_middle():
    frame = Frame(np.array([5.0, -6.0, 7.0]), OBLIQUE)
    grid = Grid.from_frame(frame, (80, 64, 62), 0.5)
    assert grid.to_world([39.5, 31.5, 30.5]) == pytest.approx(frame.origin)
    assert frame.to_local(grid.to_world([40.5, 31.5, 30.5])) == pytest.approx([0.5, 0, 0])


def test_grids_are_close_only_with_the_same_corners_and_shape():
    grid = oblique_grid()
    moved = grid.affine.copy()
    moved[0, 3] += 1e-4
    assert grid.is_close(Grid(grid.shape, moved))
    moved[0, 3] += 1e-2
    assert not grid.is_close(Grid(grid.shape, moved))
    assert not grid.is_close(grid.crop((0, 0, 0), (37, 52, 40)))


def test_impossible_affines_are_refused():
    good = oblique_grid().affine
    for wrong, word in ((good * np.nan, "finite"), (good * [1, 0, 1, 1], "singular"), (np.eye(4)[::-1].copy(), "singular|last row")):
        with pytest.raises(sk.InputError, match=word):
            Grid((3, 4, 5), wrong)
    flat = good.copy()
    flat[:3, 1] = flat[:3, 0]
    with pytest.raises(sk.InputError, match="singular"):
        Grid((3, 4, 5), flat)
    with pytest.raises(sk.InputError, match="three sides"):
        Grid((3, 0, 5), good)


def test_sampling_follows_a_linear_field_inside_and_says_how_far_outside():
    grid = oblique_grid((9, 8, 7), (0.7, 1.3, 2.9))
    field = (grid.points() @ [0.3, -0.2, 0.5] + 4).astype(np.float32)
    inside = grid.to_world(np.random.default_rng(0).uniform(0, 1, (50, 3)) * [8, 7, 6])
    values, beyond = grid.sample(field, inside)
    assert values == pytest.approx(inside @ [0.3, -0.2, 0.5] + 4, abs=1e-3)
    assert beyond == pytest.approx(0, abs=1e-5)
    values, beyond = grid.sample(field, grid.to_world([[10.0, 3.0, 2.0]]))
    assert beyond == pytest.approx([2 * 0.7], abs=1e-4)
    assert values == pytest.approx([field[8, 3, 2]], abs=1e-4)


@pytest.mark.parametrize("way", list(itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3))))
def test_an_upright_array_is_the_same_however_it_was_stored(way):
    turn = Rotation.from_rotvec([0.2, -0.3, 0.1]).as_matrix()
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn * [0.8, 1.0, 2.5], (5, -40, 300)
    grid, array = Grid((4, 5, 6), affine), np.arange(120).reshape(4, 5, 6)
    axes, signs = way
    stored = array.transpose(axes)[tuple(slice(None, None, sign) for sign in signs)]
    other = grid.affine.copy()
    other[:3, :3] = grid.affine[:3, list(axes)] * signs
    corner = [0 if sign > 0 else grid.shape[axis] - 1 for axis, sign in zip(axes, signs, strict=True)]
    other[:3, 3] = grid.to_world([corner[axes.index(axis)] for axis in range(3)])
    order, steps, upright = Grid(stored.shape, other).upright()
    assert np.array_equal(stored.transpose(order)[steps], array)
    assert upright.is_close(grid, 1e-9)


def test_voxels_are_those_of_argwhere_however_the_mask_lies():
    mask = np.random.default_rng(0).random((5, 7, 6)) < 0.3
    for one in (mask, mask.transpose(2, 0, 1), mask[::-1, :, ::2], np.asfortranarray(mask), np.zeros((2, 3, 4), bool)):
        assert np.array_equal(voxels_of(one), np.argwhere(one))


def test_the_centre_of_a_mask_is_the_mean_of_its_voxels_however_it_is_laid_out():
    mask = np.random.default_rng(5).random((3, 5, 8)) < 0.3
    mask[0, 0] = True  # no axis is like another
    for laid in (mask, np.asfortranarray(mask), mask[::-1, :, ::2]):
        assert centre_of(laid) == pytest.approx(np.argwhere(laid).mean(axis=0), abs=1e-12)


def test_a_box_is_what_padding_and_cropping_give_however_the_volume_lies():
    generator = np.random.default_rng(6)
    volume = generator.integers(0, 9, (5, 7, 6))
    for laid in (volume, np.asfortranarray(volume), volume[::-1, :, ::-1], volume.transpose(2, 0, 1)):
        padded = np.pad(laid, 20, constant_values=-1)
        for _ in range(40):
            low = generator.integers(-12, 12, 3)
            high = low + generator.integers(1, 8, 3)
            assert np.array_equal(cut_box(laid, low, high, beyond=-1), padded[tuple(slice(a + 20, b + 20) for a, b in zip(low, high, strict=True))])
        index = np.argwhere(laid > 7)
        low, high = box_of(laid > 7)
        assert (low == index.min(axis=0)).all()
        assert (high == index.max(axis=0) + 1).all()
