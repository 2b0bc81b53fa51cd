import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapekit.core.grid import Grid
from shapekit.core.levels import Level
from shapekit.core.values import Sdf
from shapekit.predictors import NeighbourMean, contexts_along
from shapekit.predictors.base import SLOTS

GRID = Grid((2, 3, 4), np.eye(4))
LEVELS = [Level.T9, Level.T10, Level.T11, Level.T12, Level.T13, Level.L1, Level.L2, Level.L3]


def shape(number):
    return Sdf(np.full(GRID.shape, number, np.float32), GRID)


def number_of(sdf):
    return None if sdf is None else int(sdf.values.flat[0])


def test_in_the_middle_of_a_long_spine_the_two_nearest_on_either_side_are_seen():
    context = contexts_along(LEVELS, [shape(n) for n in range(8)])[4]
    assert SLOTS == (-2, -1, 1, 2)
    assert context.levels == (Level.T11, Level.T12, Level.L1, Level.L2)
    assert [number_of(sdf) for sdf in context.shapes] == [2, 3, 5, 6]


@given(st.lists(st.booleans(), min_size=1, max_size=8))
def test_every_slot_holds_the_nearest_whole_body_that_is_left(whole):
    levels = LEVELS[: len(whole)]
    contexts = contexts_along(levels, [shape(n) if is_whole else None for n, is_whole in enumerate(whole)])
    assert [context.target for context in contexts] == levels
    for n, context in enumerate(contexts):
        seats = [number_of(sdf) for sdf in context.shapes]
        nearest_above = [k for k in range(n - 1, -1, -1) if whole[k]][:2]
        nearest_below = [k for k in range(n + 1, len(whole)) if whole[k]][:2]
        assert [k for k in (seats[1], seats[0]) if k is not None] == nearest_above
        assert [k for k in (seats[2], seats[3]) if k is not None] == nearest_below
        assert seats[0] is None or seats[1] is not None  # the nearer slot is filled first
        assert seats[3] is None or seats[2] is not None
        assert context.levels == tuple(None if k is None else levels[k] for k in seats)
        assert context.is_empty == (not any(k is not None for k in seats))
        assert n not in seats


def test_the_mean_is_of_the_direct_neighbours_or_of_the_only_one():
    contexts = contexts_along(LEVELS[:4], [shape(1), shape(10), None, shape(40)])
    predictor = NeighbourMean()
    means = predictor.predict(contexts)
    assert [float(mean.flat[0]) for mean in means] == [10.0, 20.5, 25.0, 10.0]
    assert all(mean.dtype == np.float32 and mean.shape == GRID.shape for mean in means)
    assert [predictor.uses(context) for context in contexts] == [
        (Level.T10,),
        (Level.T9, Level.T12),
        (Level.T10, Level.T12),
        (Level.T10,),
    ]


def test_a_prediction_changes_no_neighbour():
    shapes = [shape(n) for n in range(3)]
    NeighbourMean().predict(contexts_along(LEVELS[:3], shapes))
    assert [number_of(sdf) for sdf in shapes] == [0, 1, 2]
    assert pytest.approx(2.0) == shapes[2].values
