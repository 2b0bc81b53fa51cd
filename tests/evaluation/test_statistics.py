import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapekit.evaluation import auc, bootstrap, macro_f1


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=25))
def test_the_area_is_the_share_of_pairs_in_the_right_order(rows):
    scores, positive = [score for score, _ in rows], [which for _, which in rows]
    pairs = [(a > b) + 0.5 * (a == b) for a, p in rows for b, q in rows if p and not q]
    if pairs:
        assert auc(scores, positive) == pytest.approx(np.mean(pairs))
    else:
        assert np.isnan(auc(scores, positive))


def test_macro_f1_by_hand():
    # grade 0: 2 of 3 found, 1 false -> 2*2/(3+3); grade 1: 1 of 2 -> 2*1/(2+2); grade 2: 0; grade 3: nowhere
    found, true = [0, 0, 1, 1, 0, 2], [0, 0, 0, 1, 1, 2]
    assert macro_f1(found, true) == pytest.approx(np.mean([4 / 6, 2 / 4, 1.0]))
    assert np.isnan(macro_f1([], []))


def test_the_interval_is_of_patients_not_of_rows():
    generator = np.random.default_rng(1)
    people = np.repeat(np.arange(30), 20)
    values = np.repeat(generator.normal(size=30), 20)  # twenty rows say the same
    value, low, high = bootstrap(lambda n: values[n].mean(), people)
    assert value == pytest.approx(values.mean())
    wanted = 1.96 * values[::20].std() / np.sqrt(30)
    assert (high - low) / 2 == pytest.approx(wanted, rel=0.25)
    assert bootstrap(lambda n: values[n].mean(), people) == (value, low, high)
