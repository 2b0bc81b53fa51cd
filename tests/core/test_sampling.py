import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import shapekit as sk
from shapekit.core.frame import Frame
from shapekit.core.grid import Grid
from shapekit.core.levels import Level, typical_gap
from shapekit.core.values import LabelMap, Mesh, Sdf
from tests.factories import OBLIQUE, oblique_grid

GRID = oblique_grid()
SLOPE, OFFSET = np.array([0.31, -0.27, 0.44]), 5.0
CENTRE = GRID.to_world((np.array(GRID.shape) - 1) / 2)
LINEAR = Sdf(((GRID.points() - CENTRE) @ SLOPE + OFFSET).astype(np.float32), GRID)
SHARE = st.floats(0, 1)


def linear(points):
    return (points - CENTRE) @ SLOPE + OFFSET


def test_a_voxels_centre_gives_its_value_whatever_the_memory_order():
    values = np.random.default_rng(1).standard_normal(GRID.shape).astype(np.float32)
    for stored in (values, np.asfortranarray(values)):
        assert Sdf(stored, GRID).sample(GRID.points()) == pytest.approx(values, abs=2e-4)


@given(st.tuples(SHARE, SHARE, SHARE))
def test_inside_the_grid_a_linear_field_is_reproduced(share):
    point = GRID.to_world(np.array(share) * (np.array(GRID.shape) - 1))
    assert LINEAR.sample(point[None])[0] == pytest.approx(linear(point), abs=1e-3)


@given(st.tuples(SHARE, SHARE, SHARE), st.integers(0, 2), st.booleans(), st.floats(0.01, 30))
def test_beyond_a_face_the_way_back_to_it_is_added(share, axis, far, steps):
    index = np.array(share) * (np.array(GRID.shape) - 1)
    index[axis] = GRID.shape[axis] - 1 if far else 0
    edge = GRID.to_world(index)
    index[axis] += steps if far else -steps
    beyond = GRID.to_world(index)
    assert LINEAR.sample(beyond[None])[0] == pytest.approx(linear(edge) + np.linalg.norm(beyond - edge), abs=2e-3)


def test_points_keep_their_shape():
    for shape in ((3,), (5, 3), (2, 4, 1, 3), (0, 3)):
        assert LINEAR.sample(np.zeros(shape) + CENTRE).shape == shape[:-1]


def test_a_single_slice_has_its_value_everywhere_across():
    grid = oblique_grid((5, 1, 6))
    sdf = Sdf(np.full(grid.shape, 2.0, np.float32), grid)
    assert sdf.sample(grid.to_world([[2.0, 0.0, 3.0], [2.0, 3.0, 3.0]])) == pytest.approx([2.0, 2.0 + 3 * 1.3], abs=1e-3)


@given(st.tuples(*[st.integers(-9, 60)] * 3), st.tuples(*[st.integers(1, 9)] * 3), st.tuples(SHARE, SHARE, SHARE))
def test_a_crops_index_and_the_grids_name_the_same_place(start, shape, share):
    index = np.array(share) * shape
    assert GRID.crop(start, shape).to_world(index) == pytest.approx(GRID.to_world(index + np.array(start)), abs=1e-9)


@settings(max_examples=30)
@given(st.tuples(*[st.floats(-50, 50)] * 3))
def test_a_frame_that_is_moved_keeps_its_axes_and_its_error(origin):
    frame = Frame(np.zeros(3), OBLIQUE, 1.5).moved(origin)
    assert (frame.axes == OBLIQUE).all()
    assert (frame.origin == origin).all()
    assert frame.error_deg == 1.5
    assert np.isnan(Frame(np.zeros(3), OBLIQUE).error_deg)


@given(st.sampled_from(Level), st.sampled_from(Level))
def test_the_order_of_levels_and_their_gaps_agree(one, other):
    assert (one < other) == (one.rank < other.rank)
    assert typical_gap(one, other) == -typical_gap(other, one)
    assert (typical_gap(one, other) > 0) == (one < other)


def test_a_gap_in_the_usual_spine_is_the_sum_of_its_steps():
    usual = [level for level in Level if level not in (Level.T13, Level.L6)]
    assert len(usual) == 24
    assert [typical_gap(usual[0], level) for level in usual] == list(range(24))
    assert typical_gap(Level.T12, Level.T13) + typical_gap(Level.T13, Level.L1) == 1 + typical_gap(Level.T12, Level.L1)


def test_a_mask_and_distances_of_the_wrong_kind_are_refused_where_they_are_made():
    labels = np.zeros(GRID.shape, np.uint16)
    complaints = []
    for make in (
        lambda: Sdf(np.zeros(GRID.shape), GRID),
        lambda: Sdf(np.zeros(GRID.shape, np.int64), GRID),
        # a body mask of 0 and 2 would vanish in a bitwise and
        lambda: LabelMap(labels, GRID, {}, body_mask=np.full(GRID.shape, 2, np.uint8)),
        lambda: LabelMap(labels.astype(np.float32), GRID, {}),
        lambda: Mesh(np.zeros((3, 3)), np.array([[0, 1, -1]])),
        lambda: Grid((3, 4), GRID.affine),
        lambda: Grid((3, 4, 5), np.eye(3)),
        lambda: Frame(np.zeros(2), OBLIQUE),
        lambda: Frame(np.full(3, np.inf), OBLIQUE),
    ):
        with pytest.raises(sk.InputError) as complaint:
            make()
        complaints.append(str(complaint.value))
    for text, words in zip(
        complaints,
        (
            "values has dtype float64",
            "values has dtype int64",
            "body_mask has dtype uint8",
            "float32",
            "vertex -1",
            "three sides",
            "affine has shape (3, 3), but needs (4, 4)",
            "origin has shape (2,), but needs (3)",
            "origin holds NaN or infinite",
        ),
        strict=True,
    ):
        assert words in text
        assert text.endswith(".")
        assert ". " not in text
