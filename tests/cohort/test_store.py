"""What is on disk is a finished scan or nothing, whoever else writes."""

import errno
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import shapekit as sk
from shapekit.cohort.scans import Outcome, scan_of
from shapekit.cohort.store import HIDDEN, RECORD, STALE_S, Record, Store
from shapekit.datasets import Case

SCAN = scan_of(Case("sub-01_seg-vert_msk", "sub-01", Path("sub-01_seg-vert_msk.nii.gz"), "verse"))


def publish(store, text="scores", **files):
    with store.stage() as stage:
        folder = stage / "case"
        folder.mkdir()
        for name, content in ({"scores.csv": text} | files).items():
            (folder / name).write_text(content)
        store.publish(SCAN, folder, Record(SCAN.case.name, "input", {"how": text}, 1, 2, "L1 9", "", {}))


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "out")
    made.open()
    return made


def test_a_scan_appears_whole_and_is_read_again(store):
    assert store.record(SCAN) is None
    publish(store)
    record = store.record(SCAN)
    assert (record.input, record.made_with, record.files) == ("input", {"how": "scores"}, {"scores.csv": 6})
    assert record.outcome("sub-01") == Outcome(SCAN.case.name, "sub-01", "scored", "", 1, 2, "L1 9")
    assert not list((store.root / HIDDEN).iterdir())


def test_a_newer_result_takes_the_whole_place(store):
    publish(store, **{"report.html": "old"})
    publish(store, "newer")
    place = store.root / SCAN.place
    assert sorted(path.name for path in place.iterdir()) == [RECORD, "scores.csv"]
    assert (place / "scores.csv").read_text() == "newer"


@pytest.mark.parametrize("harm", ["cut", "gone", "record cut", "record of another shape", "record a list"])
def test_what_is_not_complete_is_not_finished(store, harm):
    publish(store)
    place = store.root / SCAN.place
    {
        "cut": lambda: (place / "scores.csv").write_text("sco"),
        "gone": lambda: (place / "scores.csv").unlink(),
        "record cut": lambda: (place / RECORD).write_text((place / RECORD).read_text()[:40]),
        "record of another shape": lambda: (place / RECORD).write_text('{"case": 1, "files": 3}'),
        "record a list": lambda: (place / RECORD).write_text("[]"),
    }[harm]()
    assert store.record(SCAN) is None


@pytest.mark.parametrize("name", ["notes.txt", "deeper/notes.txt"])
def test_a_file_that_no_run_wrote_is_never_lost(store, name):
    publish(store)
    strange = store.root / SCAN.place / name
    strange.parent.mkdir(exist_ok=True)
    strange.write_text("mine")
    with pytest.raises(sk.OutputError, match=r"holds what no cohort run has written \(.*notes\.txt\); move it away"):
        publish(store, "newer")
    assert strange.read_text() == "mine"
    assert store.record(SCAN).made_with == {"how": "scores"}


def test_results_without_a_record_are_somebody_elses(store):
    place = store.root / SCAN.place
    place.mkdir(parents=True)
    (place / "scores.csv").write_text("by shapekit score")
    with pytest.raises(sk.OutputError, match="move it away"):
        publish(store)
    assert (place / "scores.csv").read_text() == "by shapekit score"


def test_a_file_in_the_place_of_a_scan_stays(store):
    place = store.root / SCAN.place
    place.parent.mkdir()
    place.write_text("mine")
    with pytest.raises(sk.OutputError):
        publish(store)
    assert place.read_text() == "mine"


def test_runs_that_write_at_once_never_mix(store):
    texts = [f"{n}" * (n + 1) for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(publish, store, text, **{"other.csv": text}) for text in texts * 6]:
            future.result()
    place = store.root / SCAN.place
    text = (place / "scores.csv").read_text()
    assert text in texts
    assert (place / "other.csv").read_text() == text
    assert store.record(SCAN).made_with == {"how": text}


def test_a_folder_of_another_data_set_is_left_alone(tmp_path):
    (tmp_path / "dataset_description.json").write_text('{"Name": "their study"}')
    with pytest.raises(sk.UsageError, match="holds another data set"):
        Store(tmp_path).check()


def test_the_description_says_what_bids_asks_for(store):
    said = json.loads((store.root / "dataset_description.json").read_text())
    assert said["DatasetType"] == "derivative"
    assert said["BIDSVersion"]
    assert said["GeneratedBy"][0]["Name"] == "shapekit"
    store.check()


def test_what_killed_runs_were_writing_is_cleared_and_what_lives_stays(store):
    with store.stage() as living:
        mine = living.name
        ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True)
        _, namespace, *_ = mine.split("-")
        dead = store.hidden / f"part-{namespace}-{ended.stdout.strip()}-x"
        elsewhere, old = store.hidden / "part-000000000000-1-x", store.hidden / "part-000000000000-1-y"
        for folder in (dead, elsewhere, old):
            folder.mkdir()
        before = time.time() - STALE_S - 10
        os.utime(old, (before, before))
        store.open()
        assert sorted(path.name for path in store.hidden.iterdir()) == sorted([mine, elsewhere.name])


def test_a_failure_is_remembered_until_the_scan_is_there(store):
    store.note(Outcome("a", "a", "failed", "a is empty."))
    store.note(Outcome("b", "b", "failed", "b is no image."))
    store.forget("a")
    assert store.noted() == {"b": "b is no image."}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES])
def test_what_the_system_says_of_a_write_becomes_one_sentence(store, number):
    with pytest.raises(sk.OutputError) as complaint, store.writing():
        raise sk.OutputError("part-1 cannot be written") from OSError(number, os.strerror(number), "/secret/place")
    assert str(complaint.value).startswith(f"out cannot be written ({os.strerror(number)}); ")
    assert ("finished scans are kept" in str(complaint.value)) == (number != errno.EACCES)
    assert "secret" not in str(complaint.value)
