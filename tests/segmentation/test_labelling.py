import pytest

from shapekit.core.checks import InputError
from shapekit.core.levels import Level
from shapekit.segmentation.labelling import VALUES, best_sequence, vote_of


def names(votes, complete=None):
    return [str(level) for level in best_sequence(votes, complete or [True] * len(votes))]


def test_exact_votes_give_their_levels_for_every_stretch_of_a_spine():
    levels = [level for level in Level if level is not Level.T13]
    for first in range(len(levels)):
        for last in range(first + 1, len(levels) + 1):
            assert best_sequence([vote_of(level) for level in levels[first:last]], [True] * (last - first)) == levels[first:last]


def test_one_wrong_vote_is_outvoted():
    assert names([18.1, 23.0, 20.2, 21.1]) == ["T11", "T12", "L1", "L2"]


def test_cut_bodies_have_no_vote_unless_all_are_cut():
    assert names([12.0, 20.0], [False, True]) == ["T12", "L1"]
    assert names([21.2], [False]) == ["L2"]
    assert names([]) == []


def test_votes_beyond_the_spine_stay_on_it():
    assert names([26.0, 28.0]) == ["L5", "L6"]
    assert names([-3.0]) == ["C1"]


def test_an_extra_thoracic_vertebra_votes_between_its_neighbours():
    assert VALUES[Level.T12] < vote_of(Level.T13) < VALUES[Level.L1]


def test_more_bodies_than_levels_are_refused():
    with pytest.raises(InputError, match="26 bodies"):
        best_sequence([10.0] * 26, [True] * 26)
