import numpy as np
import pytest

from shapekit.core.levels import Level
from shapekit.phantom import draw_patient, foreseen, patient_generator
from shapekit.phantom.foresight import foreseen_habits
from shapekit.phantom.reference import LEVELS
from shapekit.phantom.spine import TRAIT_ADJACENT, column_of, draw_habits


@pytest.fixture(scope="module")
def drawn():
    generator = np.random.default_rng(11)
    return [draw_habits(sex="F", degeneration=0.5, generator=generator) for _ in range(1500)]


def test_what_is_left_has_nothing_to_do_with_what_was_known(drawn):
    column, others = column_of(Level.L2), [level for level in LEVELS if level is not Level.L2]
    left = np.array([(one.sizes - foreseen_habits(one, Level.L2, others).sizes)[:, column] for one in drawn])
    known = np.array([np.delete(one.sizes, column, axis=1).ravel() for one in drawn])
    assert np.abs(left.mean(axis=0)).max() < 0.06
    assert np.abs(np.corrcoef(left.T, known.T)[:4, 4:]).max() < 0.12  # of 256, three standard errors and a half are 0.09
    assert left.std(axis=0).max() < 0.75


def test_traits_follow_the_two_nearest_known_levels(drawn):
    one = drawn[0]
    found = foreseen_habits(one, Level.T9, [Level.T8, Level.T10, Level.L3]).traits[:, column_of(Level.T9)]
    above, below = (one.traits[:, column_of(level)] for level in (Level.T8, Level.T10))
    # of a first-order autoregressive series, the mean between two known neighbours
    assert found == pytest.approx(TRAIT_ADJACENT / (1 + TRAIT_ADJACENT**2) * (above + below))


def test_a_level_of_its_own_lies_where_the_true_one_does_and_is_healthy():
    patient = draw_patient(patient_generator(3, 1), fractures={"L1": ("wedge", 0.4)})
    guess, true = foreseen(patient, Level.L1), patient["L1"]
    assert guess.grade == 0
    assert guess.placement is true.placement
    assert guess.healthy.heights_mm() == pytest.approx(true.healthy.heights_mm(), abs=3.5)
    assert guess.healthy.heights_mm()[0] > true.actual.heights_mm()[0] + 3.0


def test_nobody_known_is_the_mean_of_all(drawn):
    assert (foreseen_habits(drawn[0], Level.L2, []).sizes[:, column_of(Level.L2)] == 0).all()
