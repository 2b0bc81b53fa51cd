import math

import pytest

from shapekit.datasets import Participant, read_participants
from shapekit.datasets.participants import PARTICIPANTS


def table(folder, text):
    (folder / PARTICIPANTS).write_text(text)
    return read_participants(folder)


def test_ages_and_sexes_come_by_subject_and_nothing_else_does(tmp_path):
    people, notes = table(
        tmp_path, "participant_id\tname\tage\tsex\nsub-01\tJANETTE\t71.5\tF\n02\tX\t89+\tmale\nsub-03\tY\tn/a\t\nsub-04\tZ\t40\tother\n"
    )
    assert people["sub-01"] == Participant(71.5, "F")
    assert people["sub-02"] == Participant(89.0, "M")
    assert math.isnan(people["sub-03"].age)
    assert people["sub-03"].sex == ""
    assert people["sub-04"].sex == "O"
    assert notes == ()
    assert "JANETTE" not in repr(people)


@pytest.mark.parametrize("cell", ["old", "-4", "1e9", "nan?", "<b>"])
def test_an_age_that_is_none_is_noted_and_left_out(tmp_path, cell):
    people, notes = table(tmp_path, f"participant_id\tage\nsub-01\t{cell}\n")
    assert math.isnan(people["sub-01"].age)
    assert notes == ("1 ages or sexes in participants.tsv were not understood",)


def test_tables_without_ages_or_without_subjects(tmp_path):
    assert read_participants(tmp_path) == ({}, ())
    people, notes = table(tmp_path, "participant_id\tsplit\nsub-01\ttrain\n")
    assert math.isnan(people["sub-01"].age)
    assert notes == ()
    assert table(tmp_path, "name\tage\nx\t3\n") == ({}, ("no ages and sexes: participants.tsv has no column participant_id",))
    assert "no ages and sexes: participants.tsv is empty" in table(tmp_path, "")[1][0]
