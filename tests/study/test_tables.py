import math

import numpy as np
import pandas
import pytest

from shapekit.core.checks import InputError
from shapekit.study import reference_ranges, repeatability, with_covariates

# Shrout and Fleiss (1979), table 2: six targets, four judges
RATINGS = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]


def long(values, column="score"):
    rows = [{"subject": f"s{n}", "level": "L1", "scan": k, column: value} for n, row in enumerate(values) for k, value in enumerate(row)]
    return pandas.DataFrame(rows)


def test_intraclass_correlations_as_published():
    told = repeatability(long(RATINGS), ["score"], draws=20).iloc[0]
    assert (round(told["icc_2_1"], 2), round(told["icc_3_1"], 2)) == (0.29, 0.71)
    assert told["within_sd"] ** 2 == pytest.approx(6.26, abs=0.005)  # their WMS
    assert (told["targets"], told["occasions"], told["left_out"]) == (6, 4, 0)
    assert math.isnan(told["bias"])


def test_two_scans_by_hand():
    told = repeatability(long([[10.0, 12.0], [20.0, 20.0], [30.0, 34.0]]), ["score"], draws=20).iloc[0]
    # differences 2, 0, 4: mean 2, SD 2; the within variances are d² / 2: 2, 0, 8
    assert told["within_sd"] == pytest.approx(math.sqrt(10 / 3))
    assert told["repeatability"] == pytest.approx(1.96 * math.sqrt(20 / 3))
    assert told["cv_percent"] == pytest.approx(100 * math.sqrt(10 / 3) / 21)
    assert [told[name] for name in ("bias", "limit_low", "limit_high")] == pytest.approx([2.0, 2 - 3.92, 2 + 3.92])


def test_occasions_that_agree_but_for_an_offset_are_consistent_and_not_in_agreement():
    told = repeatability(long([[n, n + 3.0] for n in range(6)]), ["score"], draws=20).iloc[0]
    assert told["icc_3_1"] == pytest.approx(1.0)
    assert told["icc_2_1"] == pytest.approx(3.5 / (3.5 + 4.5))  # variances: of targets 3.5, of occasions 9 / 2


def test_a_known_error_is_found_again():
    generator = np.random.default_rng(1)
    truth = generator.normal(25.0, 3.0, size=(400, 1))
    told = repeatability(long(truth + generator.normal(0.0, 1.0, size=(400, 2)), "ha_mm"), ["ha_mm"], draws=100).iloc[0]
    assert told["within_sd_lo"] < 1.0 < told["within_sd_hi"]
    between = truth.var(ddof=1)  # of these targets
    assert told["icc_2_1"] == pytest.approx(between / (between + 1.0), abs=0.02)
    assert told["limit_high"] - told["limit_low"] == pytest.approx(2 * told["repeatability"], rel=0.02)


def test_intervals_draw_patients_not_vertebrae():
    once = long(np.random.default_rng(2).normal(0, 1, (12, 1)) + [[0.0, 0.5], [0.0, -0.5]] * 6)
    copied = pandas.concat([once.assign(level=level) for level in ("L1", "L2", "L3", "L4")])
    one, four = (repeatability(table, ["score"], draws=200).iloc[0] for table in (once, copied))
    # four copies of every patient say no more than one: only the n - 1 of a variance would shrink the interval
    assert four["within_sd_hi"] - four["within_sd_lo"] == pytest.approx(one["within_sd_hi"] - one["within_sd_lo"])


def test_targets_that_were_not_always_measured_are_counted():
    table = long(RATINGS).astype({"score": float})
    table.loc[3, "score"] = np.nan
    told = repeatability(table.drop(index=9), ["score"], draws=5).iloc[0]
    assert (told["targets"], told["left_out"]) == (4, 2)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda table: table.drop(columns="scan"), "no column scan"),
        (lambda table: pandas.concat([table, table]), "two rows for one scan"),
        (lambda table: table[table["scan"] == 0], "6 targets on 1 occasions"),
    ],
)
def test_tables_that_cannot_tell_are_refused(change, said):
    with pytest.raises(InputError, match=said):
        repeatability(change(long(RATINGS)), ["score"])


def test_percentiles_of_whole_numbers():
    values = np.random.default_rng(0).permutation(np.arange(1, 200))
    told = reference_ranges(pandas.DataFrame({"level": "L1", "ha_mm": values}), ["ha_mm"]).set_index("percentile")
    assert told["value"].to_dict() == pytest.approx({2.5: 5.0, 50.0: 100.0, 97.5: 195.0})
    assert told["n"].unique().tolist() == [199]


@pytest.mark.parametrize(("n", "value", "interval"), [(38, False, False), (39, True, False), (118, True, False), (119, True, True)])
def test_too_few_values_say_nothing_of_the_tails(n, value, interval):
    told = reference_ranges(pandas.DataFrame({"level": "L1", "ha_mm": np.arange(n)}), ["ha_mm"], percentiles=[2.5]).iloc[0]
    assert [not math.isnan(told[name]) for name in ("value", "low", "high")] == [value, interval, value and interval]


def test_the_intervals_hold_their_share():
    generator = np.random.default_rng(3)
    truth = np.log(2.0)  # the median of an exponential
    table = pandas.DataFrame({"level": "L1", "trial": np.repeat(np.arange(600), 41), "x": generator.exponential(size=600 * 41)})
    told = reference_ranges(table, ["x"], by=["trial"], percentiles=[50])
    held = ((told["low"] <= truth) & (truth <= told["high"])).mean()
    assert 0.89 <= held <= 0.97


def test_groups_come_by_level_and_sex_from_the_head_downward():
    table = pandas.DataFrame({"level": ["L1", "T12", "L1", "T9", "L1"], "sex": list("MFFFM"), "x": [1.0, 2.0, 3.0, 4.0, np.nan]})
    told = reference_ranges(table, ["x"], by=["level", "sex"], percentiles=[50])
    assert told[["level", "sex", "n"]].to_numpy().tolist() == [["T9", "F", 1], ["T12", "F", 1], ["L1", "F", 1], ["L1", "M", 1]]
    assert told["value"].tolist() == [4.0, 2.0, 3.0, 1.0]
    with pytest.raises(InputError, match="no column height"):
        reference_ranges(table, ["height"])
    with pytest.raises(InputError, match="between 0 and 100"):
        reference_ranges(table, ["x"], percentiles=[100])


def test_covariates_reach_every_row_and_nobody_is_lost():
    scores = pandas.DataFrame({"case": ["sub-02_a", "sub-02_a", "sub-01_b", "odd"], "level": ["L1", "L2", "L1", "L1"]})
    told = with_covariates(scores, pandas.DataFrame({"participant_id": ["sub-01", "sub-02"], "sex": ["M", "F"]}))
    assert told["sex"].tolist()[:3] == ["F", "F", "M"]
    assert pandas.isna(told["sex"].iloc[3])
    assert told["level"].tolist() == scores["level"].tolist()
    by_case = with_covariates(scores, pandas.DataFrame({"case": ["odd"], "age": [70]}))
    assert by_case["age"].isna().tolist() == [True, True, True, False]


@pytest.mark.parametrize(
    ("people", "said"),
    [
        (pandas.DataFrame({"name": ["a"]}), "no column case or subject in common"),
        (pandas.DataFrame({"subject": ["sub-01", "sub-01"]}), "sub-01 has more than one row"),
        (pandas.DataFrame({"subject": ["sub-01"], "level": ["x"]}), "both tables have the column level"),
    ],
)
def test_covariates_that_do_not_fit_are_refused(people, said):
    with pytest.raises(InputError, match=said):
        with_covariates(pandas.DataFrame({"case": ["sub-01_a"], "level": ["L1"]}), people)
