import numpy as np
import pytest

from shapekit.cohort.columns import GROUP_COLUMNS
from shapekit.cohort.statistics import FAR, FEWEST, by_level, number, outliers


def row(case, level, **cells):
    return dict.fromkeys(GROUP_COLUMNS, "n/a") | {"case": case, "level": level} | {name: str(value) for name, value in cells.items()}


def test_levels_come_from_the_head_downward_with_their_quartiles():
    rows = [row(f"s{n}", level, score=n) for level in ("L1", "T13", "T12", "L6") for n in range(5)] + [row("s9", "L2")]
    spreads = by_level(rows, "score")
    assert [one.level for one in spreads] == ["T12", "T13", "L1", "L6"]
    assert [spreads[0].quantile(share) for share in (0.0, 0.25, 0.5, 1.0)] == [0.0, 1.0, 2.0, 4.0]
    assert by_level(rows, "ha_mm") == []


@pytest.mark.parametrize("cell", ["n/a", "", "inf", "nan", "words"])
def test_what_is_no_number_is_left_out(cell):
    assert by_level([row("a", "L1", score=cell)], "score") == []
    assert not number(cell) < np.inf


def test_a_vertebra_far_from_its_level_is_found_once_by_its_worst_measure():
    heights = [20.0, 21.0, 22.0, 23.0, 24.0, 25.0, 26.0, 27.0]
    rows = [row(f"s{n}", "L1", ha_mm=height, hm_mm=height) for n, height in enumerate(heights)]
    rows += [row("odd", "L1", ha_mm=40.0, hm_mm=60.0), row("lone", "L2", ha_mm=900.0)]
    (found,) = outliers(rows)
    assert (found.case, found.level, found.measure, found.value, found.median) == ("odd", "L1", "Hm", 60.0, 24.0)
    assert found.z == pytest.approx(0.6745 * 36.0 / 2.0)
    assert found.z > FAR


def test_few_or_equal_values_say_nothing_of_what_is_far():
    few = [row(f"s{n}", "L1", ha_mm=20 + n % 2) for n in range(FEWEST - 2)] + [row("odd", "L1", ha_mm=90)]
    assert outliers(few) == []
    assert outliers([row(f"s{n}", "L1", ha_mm=20) for n in range(20)] + [row("odd", "L1", ha_mm=90)]) == []
    assert [one.case for one in outliers([*few, row("s9", "L1", ha_mm=22)])] == ["odd"]
