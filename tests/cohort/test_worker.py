"""What a worker finds wrong before it begins, and what it makes of one scan."""

from dataclasses import replace

import pytest

import shapekit as sk
from shapekit.cohort import Options, open_cohort, worker
from shapekit.cohort.job import Job
from shapekit.cohort.store import Store
from tests.cohort.conftest import write_masks

OPTIONS = Options(predictor="neighbours", report=False, bodies="given")


def job(out, options=OPTIONS, **changes):
    return replace(Job(options, options.identity(), out, "cpu", False), **changes)


@pytest.mark.parametrize("option", ["predictor", "preset", "bodies"])
def test_an_unknown_option_is_found_before_the_first_scan(tmp_path, option):
    wrong = worker.prepare(job(tmp_path, replace(OPTIONS, **{option: "nosuch"})))
    assert isinstance(wrong, sk.UsageError)
    assert str(wrong).startswith(f"{option} is 'nosuch', but must be one of: ")


def test_a_machine_with_another_version_or_other_weights_refuses(tmp_path):
    assert worker.prepare(job(tmp_path)) is None
    other = worker.prepare(job(tmp_path, made_with=OPTIONS.identity() | {"weights": "other"}))
    assert "other weights or another version" in str(other)


def test_the_model_is_made_once(tmp_path):
    assert worker._model("neighbours", None, "cpu") is worker._model("neighbours", None, "cpu")


def test_a_mask_that_changes_while_it_is_read_is_not_finished(tmp_path, monkeypatch):
    cohort = open_cohort(write_masks(tmp_path / "bids", 1), tmp_path / "out")
    (scan,) = cohort.scans
    given = sk.score

    def score(spine, **options):
        with scan.case.mask.open("ab") as file:
            file.write(b"more")
        return given(spine, **options)

    monkeypatch.setattr("shapekit.results.score", score)
    outcome = worker.work(job(cohort.out), scan)
    assert (outcome.status, outcome.reason) == ("failed", f"{scan.case.name} was changed while it was read; run again.")
    assert Store(cohort.out).record(scan) is None
    monkeypatch.undo()
    assert worker.work(job(cohort.out), scan).status == "scored"  # what was added comes after the image
    assert Store(cohort.out).record(scan) is not None


def test_a_scan_that_another_run_has_finished_meanwhile_is_taken_as_it_is(tmp_path, monkeypatch):
    cohort = open_cohort(write_masks(tmp_path / "bids", 1), tmp_path / "out")
    (scan,) = cohort.scans
    Store(cohort.out).open()
    first = worker.work(job(cohort.out), scan)
    assert (first.status, first.scored, first.found) == ("scored", 2, 2)
    assert first.seconds > 0
    assert first.peak_mb > 100
    monkeypatch.setattr("shapekit.results.score", pytest.fail)
    again = worker.work(job(cohort.out), scan)
    assert (again.status, again.worst) == ("scored", first.worst)
