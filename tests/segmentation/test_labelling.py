import numpy as np
import pytest

from shapekit.core.checks import InputError
from shapekit.core.levels import Level
from shapekit.segmentation.labelling import VALUES, best_sequence, candidates, vote_of, vote_scores


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


def test_what_lies_below_the_spine_has_no_name_and_shifts_no_level():
    assert names([19.1, 20.2, 21.0, 22.0, 23.0, 24.0, 15.0, 11.0], [True] * 6 + [False] * 2) == ["T12", "L1", "L2", "L3", "L4", "L5", "L6", "None"]
    assert names([26.0, 28.0]) == ["None", "None"]
    assert names([-3.0]) == ["C1"]


def test_an_extra_thoracic_vertebra_votes_between_its_neighbours():
    assert VALUES[Level.T12] < vote_of(Level.T13) < VALUES[Level.L1]


@pytest.mark.parametrize("missing", [None, Level.T12])
def test_an_unusual_spine_is_told_where_the_votes_ask_clearly(missing):
    levels = [level for level in Level if level is not missing and (missing is None or level is not Level.T13)]
    for first, last, told in ((Level.T6, Level.L5, True), (Level.T11, Level.L1, False)):
        part = levels[levels.index(first) : levels.index(last) + 1]
        found = best_sequence([vote_of(level) for level in part], [True] * len(part))
        assert (found == part) == told
        assert len(found) == len(part)


def test_votes_that_err_alike_make_no_unusual_spine():
    levels = [level for level in Level if not (level.is_cervical or level in (Level.T13, Level.L6))]
    for off in (-0.7, -0.5, 0.5, 0.7):
        votes = [vote_of(level) + off * (level < Level.L1) for level in levels]
        assert best_sequence(votes, [True] * len(levels)) == levels


def test_candidates_are_every_row_of_every_spine_once():
    for count in (1, 3, 9, 17, 20):
        sequences, shares = candidates(count)
        assert len(set(sequences)) == len(sequences) == len(shares)
        assert all(len(one) == count for one in sequences)
    sequences, shares = candidates(2)
    likely = dict(zip(sequences, shares, strict=True))
    assert likely[Level.L4, Level.L5] == likely[Level.L5, None] == likely[Level.T12, Level.L1] > 0.9
    assert likely[Level.T12, Level.T13] == likely[Level.T13, Level.L1] == 0.02
    assert likely[Level.T11, Level.L1] == 0.015
    assert likely[Level.L5, Level.L6] == 0.05
    assert likely[Level.C7, Level.T1] == pytest.approx(0.01 * 0.914)
    assert (Level.T13, Level.L2) not in likely
    assert (Level.C7, Level.T2) not in likely


def test_votes_are_as_likely_as_their_distances_from_the_levels_are_small():
    sequences = [(Level.T12, Level.L1), (Level.L1, Level.L2), (Level.L5, None), (Level.C7, Level.T1)]
    scores = vote_scores([19.4, 20.4], [True, True], sequences, {Level.T12: 0.5, Level.L1: 0.2})
    assert scores[0] == pytest.approx(-0.4 / 0.5 - np.log(0.5) - 0.4 / 0.2 - np.log(0.2))
    assert scores[1] == pytest.approx(-0.6 / 0.2 - np.log(0.2) - 0.6 / 0.35 - np.log(0.35))  # their mean stands for others
    assert scores[2] == pytest.approx(-4.6 / 0.35 - 5.6 / 0.35 - 2 * np.log(0.35))
    assert scores[3] == pytest.approx(-12.4 / 0.35 - 12.4 / 0.35 - 2 * np.log(0.35))
    assert vote_scores([19.4, 20.4], [False, True], sequences[:2], {}).tolist() == pytest.approx([-0.4, -0.6])
    assert vote_scores([19.4, 20.4], [False, False], sequences, {}).tolist() == [0.0] * 4


def test_more_bodies_than_levels_are_refused():
    with pytest.raises(InputError, match="26 bodies"):
        best_sequence([10.0] * 26, [True] * 26)
