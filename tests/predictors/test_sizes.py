import numpy as np
import pytest

import shapekit as sk
from shapekit.core.values import Sdf
from shapekit.morphometry import Heights, Sizes, measure_sizes
from shapekit.phantom import body_patch, draw_patient
from shapekit.pipeline import expect, find_bodies
from shapekit.predictors import Linear, SizePrior, make_predictor, stretched

OWN = np.array([[9, 3, 4, 3, 3], [3, 12, 3, 4, 4], [4, 3, 9, 3, 3], [3, 4, 3, 9, 5], [3, 4, 3, 5, 9]]) * 1e-4
ERROR = np.diag([4.0, 4.0, 4.0, 1.0, 1.0]) * 1e-4
LOSSES = ((0.0, 0.0, 0.0), (-0.4, -0.2, 0.0), (-0.1, -0.35, -0.1), (-0.5, -0.5, -0.4))


def prior(odds=(0.5, 0.2, 0.2, 0.1), shift=0.0):
    """What is measured of a predictor that takes bodies for 1 % too high in front, and masks of broken ones that are 1 % too high."""
    return SizePrior(
        np.tile([-0.01, 0.0, 0.0, 0.0, 0.0], (3, 1)),
        np.stack([OWN, OWN, 4 * OWN]),
        np.array([[0.0, 0.0, 0.0, 0.0, 0.0], [0.01, 0.01, 0.01, 0.0, 0.0]]),
        np.stack([ERROR, 2 * ERROR]),
        np.array(LOSSES),
        np.array(LOSSES).min(axis=1) < -0.2,
        np.array(odds),
        np.full(5, shift),
    )


def sizes(ha, hm, hp, width=40.0, depth=30.0):
    return Sizes(Heights(ha, hm, hp), width, depth)


SHOULD = sizes(25.0, 24.0, 26.0)
CRUSHED = sizes(15.2, 14.6, 17.4)  # as the last loss has it


def test_departures_are_the_means_of_what_is_drawn():
    known, generator = prior(), np.random.default_rng(5)
    count = 6000
    which = generator.choice(4, size=count, p=known.odds)
    broken = known.broken[which].astype(int)
    own = generator.multivariate_normal(known.mean[0], OWN, count)
    error = known.error_mean[broken] + generator.standard_normal((count, 5)) * np.sqrt(np.diagonal(ERROR) * (1 + broken)[:, None])
    taken = np.pad(known.losses[which], ((0, 0), (0, 2)))
    found = [known.mixture(seen, 0) for seen in own + taken + error]
    estimates, likely = np.array([estimate for estimate, _ in found]), np.array([share for _, share in found])
    missed = own - estimates
    assert missed.mean(axis=0) == pytest.approx(np.zeros(5), abs=3 * 0.03 / np.sqrt(count))
    assert np.abs(missed.T @ estimates / count).max() < 3e-5  # what is left goes with nothing that was said
    assert missed.std(axis=0).max() < 0.75 * own.std(axis=0).max()
    assert likely.mean() == pytest.approx(broken.mean(), abs=0.02)


def test_a_whole_bodys_own_height_is_taken_up_and_a_broken_ones_is_not():
    higher = prior().departure(sizes(26.5, 25.4, 27.6), SHOULD, 0)[:3]
    assert (0.4 * 0.06 < higher).all()
    assert (higher < 0.06).all()
    assert np.abs(prior().departure(CRUSHED, SHOULD, 0)).max() < 0.015
    wedge = prior().departure(sizes(17.3, 20.5, 27.0), SHOULD, 0)  # what is left behind is higher than expected
    assert wedge[2] > 0.01


def test_a_wide_body_should_be_high_though_it_is_crushed():
    wide = sizes(*CRUSHED.heights, 42.4, 31.8)
    gained = prior().departure(wide, SHOULD, 0) - prior().departure(CRUSHED, SHOULD, 0)
    assert (gained[:3] > 0.006).all()
    assert (gained[3:] > 0.04).all()


def test_a_width_that_no_body_has_counts_no_more_than_the_widest():
    found = [prior().departure(sizes(25.0, 24.0, 26.0, width), SHOULD, 0) for width in (42.0, 50.0, 60.0)]
    assert (found[0] < found[1])[:3].all()
    assert found[1] == pytest.approx(found[2])


def test_less_company_leaves_more_to_the_body_itself():
    seen = sizes(26.5, 25.4, 27.6), SHOULD
    assert (prior().departure(*seen, 2) > prior().departure(*seen, 0))[:3].all()


def test_nothing_departs_further_than_three_standard_deviations():
    known = prior()
    for height in (-1.0, 10.0, 60.0):
        found = known.departure(sizes(height, height, height), SHOULD, 0)
        assert (np.abs(found - known.mean[0]) <= 3 * np.sqrt(np.diagonal(OWN)) + 1e-12).all()


def test_what_broken_bodies_lack_is_added_to_them_alone():
    shifted, plain = prior(shift=0.02), prior()
    for seen, lacks in ((SHOULD, 0.0), (CRUSHED, 0.02)):
        gained = shifted.departure(seen, SHOULD, 0) - plain.departure(seen, SHOULD, 0)
        assert gained == pytest.approx(np.full(5, lacks), abs=1e-3)


def test_arrays_on_disk_give_the_same_prior():
    again = SizePrior.from_tensors(prior().tensors())
    assert again.departure(sizes(20.0, 21.0, 25.0), SHOULD, 1) == pytest.approx(prior().departure(sizes(20.0, 21.0, 25.0), SHOULD, 1), abs=1e-6)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("odds", np.zeros(4), "odds"),
        ("shift", np.full(5, np.nan), "shift holds NaN"),
        ("mean", np.full((3, 5), 1e9), "mean holds more than 3"),
        ("losses", np.zeros((3, 3)), "losses has shape"),
        ("covariance", -np.stack([OWN] * 3), "positive definite"),
    ],
)
def test_arrays_that_are_no_prior_are_refused(name, value, said):
    with pytest.raises(ValueError, match=said):
        SizePrior.from_tensors(prior().tensors() | {name: value})


def test_a_stretched_body_has_the_sizes_it_is_given():
    vertebra = draw_patient(3, levels=["L2"], fractures="none")["L2"]
    patch = body_patch(vertebra, vertebra.frame())
    before = measure_sizes(patch)
    assert np.array_equal(stretched(patch.values, before.heights, np.zeros(5)), patch.values)
    departure = np.log([1.08, 1.0, 0.94, 1.05, 0.96])
    after = measure_sizes(Sdf(stretched(patch.values, before.heights, departure), patch.grid))
    assert after.logarithms - before.logarithms == pytest.approx(departure, abs=0.012)


@pytest.fixture(scope="module")
def found(crushed_spine):
    return find_bodies(crushed_spine)


def test_predicted_heights_are_those_expected_from_neighbours_alone(found):
    predictor = Linear(make_predictor("linear").model, prior=prior())
    taken, alone = (expect(found, predictor, own=own, repair=False) for own in (True, False))
    assert len(taken) > 2
    for one, other in zip(taken, alone, strict=True):
        assert one.measures.predicted_hm_mm == other.measures.predicted_hm_mm
        assert other.measures.predicted_hm_mm == pytest.approx(other.measures.expected_hm_mm, abs=0.3)
        if one.measures.status == "ok":
            row, most = one.measures, 3 * np.sqrt(np.diagonal(predictor.prior.covariance[2]))[:3] + 0.05
            departed = np.log([row.expected_ha_mm, row.expected_hm_mm, row.expected_hp_mm]) - one.predicted.logarithms[:3]
            assert (np.abs(departed) < most).all()
    assert any(abs(one.measures.expected_hm_mm - other.measures.expected_hm_mm) > 0.1 for one, other in zip(taken, alone, strict=True))


def test_without_a_prior_nothing_is_taken_up(found):
    model = make_predictor("linear").model
    taken, alone = expect(found, Linear(model)), expect(found, Linear(model, prior=prior()), own=False)
    assert [one.measures.score for one in taken] == [one.measures.score for one in alone]


def test_a_vertebras_row_says_what_neighbours_alone_suggest(crushed_spine):
    rows = [vertebra.measures for vertebra in sk.score(crushed_spine, predictor="neighbours") if vertebra.status == "ok"]
    assert len(rows) > 2
    for row in rows:
        assert row.predicted_ha_mm == pytest.approx(row.expected_ha_mm, abs=0.3)  # the mean of neighbours takes nothing up
