"""Heights of real bodies beside what others measured on the same masks."""

import pytest

from tests.real.conftest import VERSE004, scored


def test_the_crushed_l1_has_the_heights_measured_by_hand():
    row = scored(VERSE004)["L1"].measures
    assert [row.ha_mm, row.hm_mm, row.hp_mm] == pytest.approx([17.2, 9.2, 20.5], abs=1.0)
    assert row.genant_grade == 3
    assert row.height_loss > 0.5
    assert row.height_loss_neighbours > 0.5


def test_its_whole_neighbours_have_no_grade_against_each_other():
    result = scored(VERSE004)
    for level in ("T11", "T12", "L2", "L3"):
        assert result[level].measures.height_loss_neighbours < 0.2, level
    assert all(v.measures.frame_error_deg < 4 for v in result)
