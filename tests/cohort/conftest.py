"""Small cohorts on disk, and the command as a user's process."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

import shapekit as sk
from shapekit.cohort import Options, open_cohort
from shapekit.cohort.scans import input_digest
from shapekit.cohort.store import Record, Store
from shapekit.io.nifti import write_label_map
from tests.factories import body_spine

FLAGS = ("--predictor", "neighbours", "--no-report", "--bodies", "given")


def write_masks(folder: Path, count: int) -> Path:
    """Write scans of two lumbar bodies, the lower of which has lost more height from scan to scan."""
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(count):
        spine, _ = body_spine((1.7, 1.4, 2.2), crushed=sk.Level.L4, keep=0.95 - 0.06 * n, levels=(sk.Level.L3, sk.Level.L4))
        write_label_map(folder / f"sub-{n:02d}_ses-a_seg-vert_msk.nii.gz", spine.array, spine.grid)
    return folder


def start(*arguments: object, **options: object) -> subprocess.Popen:
    """Start the command in a process of its own."""
    command = [sys.executable, "-W", "error", "-m", "shapekit", *map(str, arguments)]
    threads = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=threads, **options)


def run(*arguments: object) -> tuple[int, str, str]:
    process = start(*arguments)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def descendants(process: subprocess.Popen, word: str) -> list[int]:
    """Processes below the command whose command line holds a word."""
    parents, lines = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                lines[int(entry.name)] = (entry / "cmdline").read_text()
            except OSError:
                continue
    below = {process.pid}
    while more := {child for child, parent in parents.items() if parent in below} - below:
        below |= more
    return sorted(child for child in below & lines.keys() if word in lines[child])


def end(process: int) -> None:
    os.kill(process, signal.SIGKILL)


def until(found, seconds: float = 180.0):
    """Wait for something to be there, and return it."""
    limit = time.monotonic() + seconds
    while not (there := found()):
        assert time.monotonic() < limit
        time.sleep(0.02)
    return there


def tree(folder: Path) -> dict[str, bytes]:
    """Everything that a user sees below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".shapekit" not in path.relative_to(folder).parts
    }


@pytest.fixture(scope="session")
def masks(tmp_path_factory) -> Path:
    return write_masks(tmp_path_factory.mktemp("bids"), 3)


@pytest.fixture(scope="session")
def scored_once(masks, tmp_path_factory) -> tuple[Path, float]:
    """The masks scored by one worker, and how long that took."""
    out = tmp_path_factory.mktemp("scored") / "out"
    began = time.monotonic()
    code, _, err = run("cohort", masks, out, *FLAGS, "--workers", 1)
    assert code == 0, err
    return out, time.monotonic() - began


@pytest.fixture
def finished(crushed_result, tmp_path):
    """Write a cohort's masks as any bytes, and its results as if it had been scored."""

    def make(*names: str, **changes: object):
        source = tmp_path / "bids"
        source.mkdir(exist_ok=True)
        for name in names:
            (source / f"{name}_seg-vert_msk.nii.gz").write_bytes(name.encode())
        cohort = open_cohort(source, tmp_path / "out")
        store = Store(cohort.out)
        store.open()
        made_with = Options(predictor="neighbours").identity() | changes
        for scan in cohort.scans:
            result = replace(crushed_result, name=scan.case.name)
            with store.stage() as stage:
                folder = result.save(stage)
                table = result.table()
                table.to_csv(folder / scan.table, sep="\t", index=False, float_format="%.4f", na_rep="n/a", lineterminator="\n")
                record = Record(scan.case.name, input_digest(scan.case), made_with, len(table), len(table), "L3 50", "", {})
                store.publish(scan, folder, record)
        return cohort

    return make
