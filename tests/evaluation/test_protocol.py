from dataclasses import replace

import numpy as np
import pytest

from shapekit.core.checks import InputError, UsageError
from shapekit.evaluation import Judged, Spec, evaluate_phantoms, fit_prior, fit_shift, fit_spread, judge_phantom, summary, text_of
from shapekit.evaluation.protocol import Residual
from shapekit.scoring.interval import KINDS

SEED = 4321
OWN_MEAN = [0.01, -0.02, 0.0, 0.0, 0.01]


@pytest.fixture(scope="module")
def judged():
    specs = [Spec("oracle", "oracle"), Spec("mean", "neighbours"), Spec("linear", "linear", repair=False), Spec("alone", "linear", own=False)]
    return judge_phantom(0, specs, seed=SEED, residuals=True)


def test_every_vertebra_has_a_row_for_every_predictor(judged):
    by_name = {name: [row for row in judged.rows if row["predictor"] == name] for name in ("mean", "linear")}
    assert [row["level"] for row in by_name["mean"]] == [row["level"] for row in by_name["linear"]]
    scored = [row for row in judged.rows if row["status"] == "ok"]
    assert len(scored) >= 6
    for row in scored:
        assert 0 < row["surface_mm"] < 4
        assert 0.6 < row["dice"] <= 1
        assert row["turn_deg"] < 15
        assert 0 <= row["twin_score"] <= 100
        assert row["context"] in ("intact", "one_damaged", "both_damaged", "one_side")
    truth = {row["level"]: row["twin_score"] for row in by_name["mean"] if "twin_score" in row}
    assert all(row["twin_score"] == truth[row["level"]] for row in by_name["linear"] if "twin_score" in row)


def test_residuals_are_the_way_from_the_expected_to_the_true_shape(judged):
    one = judged.residuals[0]
    true = one.expected.astype(np.float32) + one.off
    inside, should = (true < 0).sum(), (one.expected < 0).sum()
    assert 0.5 < inside / should < 2.0
    near = np.abs(one.expected.astype(np.float32)) < 1.5
    assert 0.05 < np.abs(one.off.astype(np.float32))[near].mean() < 3.0


def test_workers_do_not_matter():
    specs = [Spec("mean", "neighbours")]
    one, two = (evaluate_phantoms(2, specs, seed=SEED, workers=workers) for workers in (1, 2))
    assert repr([patient.rows for patient in one]) == repr([patient.rows for patient in two])


def test_bodies_vary_where_asked_for_and_in_every_second_patient_of_both():
    specs = [Spec("mean", "neighbours")]
    plain, varied = (evaluate_phantoms(2, specs, seed=SEED, build=build, workers=2) for build in ("plain", "varied"))
    both = evaluate_phantoms(2, specs, seed=SEED, build="both", workers=2)
    assert repr([patient.rows for patient in both]) == repr([plain[0].rows, varied[1].rows])
    assert repr(plain[1].rows) != repr(varied[1].rows)
    with pytest.raises(UsageError, match="build"):
        judge_phantom(0, specs, seed=SEED, build="stout")


def residuals(count, sd):
    """Boxes whose true height departs from the expected one by a known spread; scores of the twins follow from it."""
    generator = np.random.default_rng(0)
    z = np.abs(np.arange(32) * 2.0 - 31)[None, None].repeat(40, 0).repeat(32, 1)
    x = np.abs(np.arange(40) * 2.0 - 39)[:, None, None]
    y = np.abs(np.arange(32) * 2.0 - 31)[None, :, None]
    found = []
    for _ in range(count):
        off = generator.normal(0, sd)
        expected = np.maximum(np.maximum(x - 22, y - 16), z - 12.5)
        actual = np.maximum(np.maximum(x - 22, y - 16), z - 10.5)
        points = 0.1745 * 100 / 1.5
        row = {"l_lr_mm": 44.0, "l_ap_mm": 32.0, "weighted_surplus_mm3": 4.0 * 0.1745 * 44 * 32, "score": 4.0 * points}
        shapes = [np.asarray(part, np.float16) for part in (np.full(expected.shape, -off), expected, actual)]
        found.append(Residual("p", 0, *shapes, row, (4.0 + 2 * off) * points, np.zeros((3, 5)), np.zeros(3)))
    return Judged([], found)


def test_a_spread_fitted_to_known_errors_holds_nine_in_ten():
    spread = fit_spread([residuals(80, 0.5)], "p")
    assert spread.modes.shape[1:] == (40, 32, 32)
    assert spread.scale.shape == (len(KINDS),)
    assert 0.7 < spread.scale[0] < 1.4  # the errors are Gaussian: hardly anything is left to widen


def test_too_few_vertebrae_for_a_spread_are_told():
    with pytest.raises(InputError, match="3 scored vertebrae were found, but at least 30 are needed"):
        fit_spread([residuals(3, 0.5)], "p")


def with_sizes(count):
    """Bodies whose own departures, losses and masks' errors are drawn with known moments; one in four is broken."""
    generator = np.random.default_rng(1)
    found, losses = [], []
    for n in range(count):
        loss = generator.uniform(0.25, 0.5) * np.array([1.0, 0.6, 0.1]) if n % 4 == 0 else np.zeros(3)
        own = generator.multivariate_normal(OWN_MEAN, np.diag([9e-4, 16e-4, 4e-4, 9e-4, 9e-4]) + 1e-4) * (1 + (n % 3 == 2))
        error = generator.normal(0.0, 0.02, 5) + 0.03 * (n % 4 == 0)
        logarithms = np.array([np.zeros(5), own, own + np.pad(np.log1p(-loss), (0, 2)) + error])
        nothing = np.zeros((1, 1, 1), np.float16)
        found.append(Residual("p", n % 3 + 3 * (n % 2), nothing, nothing, nothing, {}, 0.0, logarithms, loss))
        losses.append(loss)
    return Judged([], found, losses)


def test_a_prior_of_sizes_has_the_moments_that_were_drawn():
    prior = fit_prior([with_sizes(3000)], "p")
    assert prior.mean[:2] == pytest.approx(np.tile(OWN_MEAN, (2, 1)), abs=0.004)
    for company, times in ((0, 1), (2, 2)):
        assert np.sqrt(np.diagonal(prior.covariance[company])) == pytest.approx(times * np.array([0.032, 0.041, 0.022, 0.032, 0.032]), rel=0.08)
    assert prior.error_mean == pytest.approx(np.array([[0.0] * 5, [0.03] * 5]), abs=0.004)
    assert prior.odds.sum() == pytest.approx(1.0)
    assert prior.odds[prior.broken].sum() == pytest.approx(0.5)
    assert prior.broken.sum() == 750


def test_a_predictor_of_other_people_has_a_prior_without_their_mean():
    judged = with_sizes(3000)
    smaller = Judged([], [replace(one, sizes=one.sizes - [[0.1], [0.0], [0.0]]) for one in judged.residuals], judged.losses)
    prior, usual = fit_prior([smaller], "p", centred=True), fit_prior([judged], "p")
    assert np.abs(prior.mean).max() < 0.004
    assert prior.covariance == pytest.approx(usual.covariance, abs=2e-5)
    assert prior.shift == pytest.approx(usual.shift, abs=0.003)


def test_what_broken_bodies_scores_lack_is_added_to_their_heights():
    judged = with_sizes(400)
    missed = [
        replace(one, sizes=one.sizes + np.log(20.0), row={"score": 40.0}, twin_score=40.0 + 5.8 * (one.loss.max() > 0)) for one in judged.residuals
    ]
    prior = fit_prior([judged], "p")
    gained = fit_shift(prior, [Judged([], missed, judged.losses)], "p").shift - prior.shift
    assert gained[:3] == pytest.approx(np.full(3, 0.5 / 20.0), rel=0.15)  # 11.6 points a millimetre, 20 mm high and a little less
    assert (gained[3:] == 0).all()


def test_too_few_broken_bodies_for_a_prior_are_told():
    judged = with_sizes(40)
    whole = [one for one in judged.residuals if one.loss.max() < 0.2]
    with pytest.raises(InputError, match="30 vertebrae, 0 of them broken"):
        fit_prior([Judged([], whole, judged.losses)], "p")


def test_a_table_has_a_column_for_every_predictor(judged):
    table = text_of(summary(judged.rows, draws=20))
    assert table.startswith("| | oracle | mean | linear | alone |")
    assert len({line.count("|") for line in table.splitlines()}) == 1


def test_the_oracle_is_the_nearest_of_those_that_do_not_ask_the_body_itself(judged):
    def apart(name):
        return np.mean([row["surface_mm"] for row in judged.rows if row["predictor"] == name and row["status"] == "ok"])

    assert apart("oracle") < min(apart("mean"), apart("alone"))
    assert apart("linear") < apart("oracle")


def test_predictors_are_compared_vertebra_by_vertebra():
    generator = np.random.default_rng(0)
    rows = []
    for patient in range(30):
        hard = generator.normal(0, 5)  # a patient's own difficulty drowns the difference, unless it is taken pair by pair
        for level, grade in (("L1", 0), ("L2", 2)):
            for name, more in (("generative", 0.0), ("mean", 0.25)):
                surface, score = 9 + hard + more + generator.normal(0, 0.02), 40.0 * (grade > 0) - 20 * (name == "mean") * (grade > 0)
                row = dict.fromkeys(("relative_loss", "twin_relative_loss", "dice", "turn_deg", "loss", "score_lo", "score_hi"), 0.0)
                told = {
                    "patient": patient,
                    "predictor": name,
                    "level": level,
                    "status": "ok",
                    "grade": grade,
                    "genant_grade": grade,
                    "height_loss": 0.15 * grade * (name == "generative"),
                }
                told["volume_ratio"] = 1.0 / generator.uniform(0.7, 1.3)  # of one expected volume to one that differs between people
                rows.append(row | told | {"context": "intact", "damaged": 0, "score": score, "twin_score": 40.0 * (grade > 0), "surface_mm": surface})
    found = summary(rows, draws=100)
    value, low, high = found["mean"]["surface_mm_beyond_generative"]["intact"]
    assert low < value < high
    assert (low, high) == pytest.approx((0.25, 0.25), abs=0.02)
    assert found["mean"]["score_error_beyond_generative"]["fractured"][0] == pytest.approx(20)
    assert found["mean"]["score_bias"]["intact"][0] == pytest.approx(-20)  # of the broken ones alone
    assert np.isnan(found["mean"]["score_bias"]["one_side"][0])
    assert found["mean"]["auc_two"][0] == found["mean"]["auc_two_twin"] == 1.0
    by_heights = [found[name]["auc_two_by_height_loss"][0] for name in ("generative", "mean")]
    assert by_heights == [1.0, 0.5]  # its heights tell nothing, though its scores do
    assert np.isnan(found["generative"]["auc_any_beyond_generative"][0])
    assert found["mean"]["harmonic_volume_ratio_healthy"][0] == pytest.approx(1.0, abs=0.1)
    assert found["mean"]["harmonic_volume_ratio_healthy"][0] < found["mean"]["volume_ratio_healthy"][0]
    value, low, high = found["generative"]["harmonic_volume_ratio_healthy"]
    assert low < value < high
