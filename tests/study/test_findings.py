import math

import numpy as np
import pandas
import pytest

from shapekit.study.findings import CUT_OFFS, compare, summarise, text_of


def table(*rows):
    """Rows of (subject, level, grade, type, beside a fracture, score, grade by heights)."""
    names = ["subject", "level", "grade", "type", "beside_fracture", "score", "genant_grade"]
    frame = pandas.DataFrame([dict(zip(names, row, strict=True)) for row in rows])
    return frame.assign(case=frame["subject"], status=np.where(frame["score"].isna(), "partial", "ok"))


ROWS = table(
    ("a", "T12", 0, "", False, 5.0, 0),
    ("a", "L1", 0, "", True, 15.0, 0),
    ("a", "L2", 2, "wedge", False, 50.0, 2),
    ("b", "L1", 0, "", True, 10.0, 1),
    ("b", "L2", 3, "crush", False, 70.0, 3),
    ("b", "L3", 1, "wedge", True, 12.0, 0),
    ("b", "L4", None, "", True, 99.0, 3),
    ("b", "L5", 0, "", False, None, 0),
)


def test_mean_and_standard_deviation_by_hand():
    told = summarise(ROWS, draws=20)
    assert told["fractured"] == {"n": 3, "mean": pytest.approx(44.0), "sd": pytest.approx(math.sqrt((6**2 + 26**2 + 32**2) / 2))}
    assert told["normal"] == {"n": 3, "mean": 10.0, "sd": 5.0}
    assert (told["vertebrae"], told["ungraded"], told["graded_without_score"], told["patients"]) == (6, 1, 1, 2)
    assert told["difference"][0] == pytest.approx(34.0)


def test_neighbouring_normals_are_those_beside_a_fracture():
    told = summarise(ROWS, beside=True, draws=20)
    assert told["normal"] == {"n": 2, "mean": 12.5, "sd": pytest.approx(5 / math.sqrt(2))}
    assert told["fractured"]["n"] == 3


def test_the_area_counts_pairs():
    told = summarise(ROWS, draws=20)
    assert told["auc_any"][0] == pytest.approx(8 / 9)  # of 9 pairs only 12 against 15 stand the wrong way round
    assert told["auc_two"][0] == 1.0
    assert told["by_type"]["wedge"]["auc"] == pytest.approx(5 / 6)
    assert told["by_type"]["crush"]["n"] == 1
    assert "biconcave" not in told["by_type"]


def test_grades_are_read_from_the_papers_cut_offs():
    told = summarise(ROWS, draws=20)
    # score: 0 0 2 0 3 0 against 0 0 2 0 3 1 → F1 of 0: 6/7, of 1: 0, of 2: 1, of 3: 1
    assert told["macro_f1_score"][0] == pytest.approx((6 / 7 + 0 + 1 + 1) / 4)
    # heights: 0 0 2 1 3 0 → of 0: 4/6, of 1: 0
    assert told["macro_f1_heights"][0] == pytest.approx((4 / 6 + 0 + 1 + 1) / 4)
    assert tuple(round(100 * x / 1.5, 1) for x in (0.303, 0.407, 0.969)) == CUT_OFFS


def test_levels_come_from_the_head_downward():
    told = summarise(ROWS, draws=20)
    assert list(told["by_level"]) == ["T12", "L1", "L2", "L3"]
    assert told["by_level"]["L1"]["normal"] == {"n": 2, "mean": 12.5, "sd": pytest.approx(5 / math.sqrt(2))}


def test_the_tests_agree_with_tables():
    # Mann-Whitney: 5 against 5 without overlap is the least likely of 252 orders, both tails
    told = compare([6, 7, 8, 9, 10], [1, 2, 3, 4, 5])
    assert told["mann_whitney_p"] == pytest.approx(2 / 252)
    # Welch 1947 by hand: difference 5, both variances 2.5, n 5 each: t = 5 with 8 degrees of freedom
    assert told["welch_p"] == pytest.approx(0.0010528, rel=1e-3)


def test_too_few_are_told_and_written_as_dashes():
    told = compare([], [1.0])
    assert math.isnan(told["mann_whitney_p"])
    assert math.isnan(told["welch_p"])
    text = text_of({"internal": summarise(ROWS[ROWS["grade"] == 0], draws=5)})
    assert "| fractured, score | – | 59.9 ± 24.8 |" in text
    assert "nan" not in text
