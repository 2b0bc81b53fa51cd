"""Workers that die, for real: processes that are killed while they hold a scan."""

import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest

import shapekit as sk
from shapekit.cohort.crew import LOST, WORKER_BYTES, Process, affordable, outcomes
from shapekit.cohort.scans import Outcome, scan_of
from shapekit.datasets import Case

SCANS = [scan_of(Case(f"sub-{n}", f"sub-{n}", Path(f"sub-{n}.nii.gz"), "auto")) for n in range(6)]


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def task(folder, scan, resident=0.0):
    """Do what the scan's name asks for, and leave a mark that it was begun."""
    with (Path(folder) / scan.case.name).open("a") as file:
        file.write(f"{os.getpid()}\n")
    begun = len((Path(folder) / scan.case.name).read_text().split())
    asked = {"sub-1": "once", "sub-3": "always", "sub-4": "bug"}.get(scan.case.name, "")
    if asked == "always" or (asked == "once" and begun == 1):
        die()
    if asked == "bug":
        raise FileNotFoundError(2, "No such file or directory", "/secret/place")
    return Outcome(scan.case.name, scan.case.subject, "scored", resident_mb=resident * begun)


class Fragile(Process):
    """A real process whose work is the task above."""

    def __init__(self, folder, ready=int, growth=0.0):
        super().__init__(None)
        self.folder, self.ready, self.growth, self.scans = folder, ready, growth, 0

    def prepare(self):
        return self.pool.submit(self.ready)

    def work(self, scan):
        self.scans += 1
        return self.pool.submit(task, self.folder, scan, 1.0 + self.growth * self.scans)


def nothing():
    """Find nothing wrong."""


def wrong():
    return sk.UsageError("preset is 'x'.")


@pytest.mark.parametrize("count", [1, 2])
def test_a_lost_scan_is_tried_once_more_and_every_other_is_done(tmp_path, count):
    begun = []
    ended = {one.case: one for one in outcomes(SCANS, partial(Fragile, tmp_path, nothing), count, begin=lambda: begun.append(True))}
    assert begun == [True]
    assert sorted(ended) == [scan.case.name for scan in SCANS]
    assert [name for name, one in sorted(ended.items()) if one.status == "scored"] == ["sub-0", "sub-1", "sub-2", "sub-5"]
    assert ended["sub-3"].reason == f"sub-3: {LOST}"
    assert ended["sub-4"].reason == "sub-4 ended with an unforeseen FileNotFoundError (No such file or directory); please report it with the mask."
    times = {scan.case.name: len((tmp_path / scan.case.name).read_text().split()) for scan in SCANS}
    assert times == {"sub-0": 1, "sub-1": 2, "sub-2": 1, "sub-3": 2, "sub-4": 1, "sub-5": 1}


def test_what_the_first_worker_finds_wrong_stops_the_run_before_it_begins(tmp_path):
    with pytest.raises(sk.UsageError, match="preset is 'x'"):
        list(outcomes(SCANS, partial(Fragile, tmp_path, wrong), 2, begin=pytest.fail))
    assert list(tmp_path.iterdir()) == []


def test_workers_that_never_begin_end_the_run(tmp_path):
    with pytest.raises(sk.InputError, match="before they have begun"):
        list(outcomes(SCANS[:1], partial(Fragile, tmp_path, die), 1, begin=pytest.fail))


def test_a_worker_that_grows_is_replaced(tmp_path):
    scans = [SCANS[0], SCANS[2], SCANS[5]]
    assert len(list(outcomes(scans, partial(Fragile, tmp_path, nothing, 500.0), 1, begin=nothing))) == 3
    pids = [(tmp_path / scan.case.name).read_text() for scan in scans]
    assert pids[0] == pids[1] != pids[2]


def alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]


def test_workers_are_gone_when_nobody_wants_more(tmp_path):
    ended = outcomes(SCANS[:3:2], partial(Fragile, tmp_path, nothing), 1, begin=nothing)
    first = next(ended)
    worker = int((tmp_path / first.case).read_text())
    ended.close()
    limit = time.monotonic() + 10
    while alive(worker) and time.monotonic() < limit:
        time.sleep(0.05)
    assert not alive(worker)


def full(scan):
    return Outcome(scan.case.name, scan.case.subject, "failed", full=True)


class Full(Fragile):
    def work(self, scan):
        return self.pool.submit(full, scan)


def test_no_scan_is_begun_on_a_full_disk(tmp_path):
    assert [one.case for one in outcomes(SCANS, partial(Full, tmp_path, nothing), 1, begin=nothing)] == ["sub-0"]


def test_workers_are_as_many_as_cores_and_memory_allow(monkeypatch):
    monkeypatch.setattr("shapekit.cohort.crew._free_bytes", lambda: 3 * WORKER_BYTES)
    monkeypatch.setattr("joblib.cpu_count", lambda: 64)
    assert (affordable("cpu"), affordable("auto"), affordable("gpu:1")) == (3, 3, 1)
    monkeypatch.setattr("shapekit.cohort.crew._free_bytes", lambda: 1000)
    assert affordable("cpu") == 1


def test_there_is_one_worker_where_auto_finds_a_gpu(monkeypatch):
    monkeypatch.setattr("shapekit.cohort.crew._free_bytes", lambda: 3 * WORKER_BYTES)
    monkeypatch.setattr("joblib.cpu_count", lambda: 64)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert (affordable("cpu"), affordable("auto")) == (3, 1)
