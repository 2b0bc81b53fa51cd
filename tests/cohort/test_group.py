"""Tables of what is finished, and reasons for what is not."""

import csv
import json

import pytest

import shapekit as sk
from shapekit.cohort import write_group
from shapekit.cohort.columns import ABOUT, GROUP_COLUMNS, kind_of
from shapekit.cohort.group import FAILURES, NO_PARQUET, REPORT, SIDECAR, TABLE
from shapekit.cohort.scans import Outcome
from shapekit.cohort.store import Store
from shapekit.core.values import COLUMNS


def table_of(cohort, name=f"{TABLE}.tsv"):
    with (cohort.out / name).open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_rows_are_the_scans_own_with_who_they_are_of(finished, crushed_result):
    cohort = finished("sub-b", "sub-a_ses-2", "sub-c")
    (cohort.source / "participants.tsv").write_text("participant_id\tage\tsex\tname\nsub-a\t71.5\tF\tJANETTE\nb\tn/a\tmale\tX\n")
    group = write_group(cohort)
    rows = table_of(cohort)
    assert (group.rows, group.written, group.failures) == (len(rows), True, ())
    assert tuple(rows[0]) == GROUP_COLUMNS
    people = list(dict.fromkeys((row["participant_id"], row["session"], row["age"], row["sex"]) for row in rows))
    assert people == [("sub-a", "2", "71.5", "F"), ("sub-b", "n/a", "n/a", "M"), ("sub-c", "n/a", "n/a", "n/a")]
    assert [row["level"] for row in rows] == ["L2", "L3", "L4", "L5"] * 3
    assert [row["score"] for row in rows[:4]] == [f"{vertebra.score:.4f}" for vertebra in crushed_result]
    assert "JANETTE" not in "".join(path.read_text(errors="ignore") for path in cohort.out.iterdir() if path.is_file())


def test_parquet_and_tsv_are_one_table_with_types(finished):
    parquet = pytest.importorskip("pyarrow.parquet")
    cohort = finished("sub-a", "sub-b")
    write_group(cohort)
    columns = parquet.read_table(cohort.out / f"{TABLE}.parquet").to_pydict()
    assert tuple(columns) == GROUP_COLUMNS
    for n, row in enumerate(table_of(cohort)):
        for name, cell in row.items():
            value = columns[name][n]
            if cell == "n/a":
                assert value is None
            else:
                assert type(value) is kind_of(name)
                assert value == kind_of(name)(cell)
    assert kind_of("score") is kind_of("age") is float
    assert kind_of("label") is kind_of("genant_grade") is int


def test_without_pyarrow_the_tsv_stands_alone_and_a_sentence_says_so(finished, monkeypatch):
    monkeypatch.setattr("shapekit.cohort.group.find_spec", lambda name: None)
    cohort = finished("sub-a")
    assert write_group(cohort).notes == (NO_PARQUET,)
    assert not (cohort.out / f"{TABLE}.parquet").exists()
    assert table_of(cohort)


def test_every_scan_without_a_score_has_its_reason(finished):
    cohort = finished("sub-a", "sub-b", "sub-c", "sub-d")
    store = Store(cohort.out)
    store.note(Outcome("sub-b_seg-vert_msk", "sub-b", "failed", "sub-b_seg-vert_msk.nii.gz is cut off."))
    (cohort.out / "sub-c" / "sub-c_seg-vert_msk" / "scores.csv").unlink()
    (cohort.source / "sub-d_seg-vert_msk.nii.gz").write_bytes(b"other bytes")
    group = write_group(cohort)
    reasons = {row["participant_id"]: (row["status"], row["reason"]) for row in table_of(cohort, FAILURES)}
    assert reasons["sub-b"] == ("failed", "sub-b_seg-vert_msk.nii.gz is cut off.")
    assert reasons["sub-c"] == ("waiting", "sub-c_seg-vert_msk has not been scored yet; run the participant level.")
    assert reasons["sub-d"][0] == "waiting"
    assert "has changed since it was scored" in reasons["sub-d"][1]
    assert {row["participant_id"] for row in table_of(cohort)} == {"sub-a"}
    assert [one.status for one in group.outcomes] == ["scored", "failed", "waiting", "waiting"]


def test_nothing_is_written_again_until_something_changes(finished):
    cohort = finished("sub-a", "sub-b")
    assert write_group(cohort).written
    before = {path: path.stat().st_mtime_ns for path in cohort.out.rglob("*")}
    assert not write_group(cohort).written
    assert {path: path.stat().st_mtime_ns for path in cohort.out.rglob("*")} == before
    for change in (
        lambda: (cohort.source / "participants.tsv").write_text("participant_id\tsex\nsub-a\tF\n"),
        lambda: (cohort.out / FAILURES).unlink(),
        lambda: (cohort.out / REPORT).write_text("cut"),
        lambda: Store(cohort.out).note(Outcome("sub-b_seg-vert_msk", "sub-b", "failed", "gone.")),
    ):
        change()
        assert write_group(cohort).written
        assert not write_group(cohort).written


def test_scans_that_were_scored_in_different_ways_are_told(finished):
    cohort = finished("sub-a")
    cohort = finished("sub-b", predictor="linear")  # writes sub-a again, too
    Store(cohort.out).forget("sub-a")
    assert write_group(cohort).notes == ()
    record = cohort.out / "sub-a" / "sub-a_seg-vert_msk" / "record.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"made_with": {"predictor": "neighbours"}}))
    assert "scored in 2 ways" in write_group(cohort).notes[0]


def test_the_sidecar_describes_every_column(finished):
    cohort = finished("sub-a")
    write_group(cohort)
    said = json.loads((cohort.out / SIDECAR).read_text())
    assert tuple(said) == GROUP_COLUMNS
    assert set(ABOUT) == set(GROUP_COLUMNS)
    assert set(COLUMNS) < set(GROUP_COLUMNS)
    assert said["ha_mm"]["Units"] == "mm"
    assert said["actual_mm3"]["Units"] == "mm^3"
    assert said["rotation_axial_deg"]["Units"] == "degree"


def test_words_from_outside_stay_in_their_cell(finished):
    cohort = finished("sub-a", "sub-b")
    Store(cohort.out).note(Outcome("sub-b_seg-vert_msk", "sub-b", "failed", "one\ttwo\nthree"))
    write_group(cohort)
    assert [row["reason"] for row in table_of(cohort, FAILURES)] == ["one two three"]


def test_a_folder_that_is_another_data_set_is_refused(finished):
    cohort = finished("sub-a")
    (cohort.out / "dataset_description.json").write_text('{"Name": "theirs"}')
    with pytest.raises(sk.UsageError, match="holds another data set"):
        write_group(cohort)
    assert not (cohort.out / FAILURES).exists()
