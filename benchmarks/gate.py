"""Did this change make anything slower? ``python benchmarks/gate.py BEFORE``, where BEFORE is a checkout of the older version with its own ``.venv``.

Two processes, one of each version, run the stages of ``make bench`` in turns on one core and one thread: a round of one right after a round of
the other, so that a core which is slow for minutes is slow for both. They check their answers first. What looks slower is timed again by two new
processes, and all its rounds count. Writes ``before.json`` and ``after.json`` for ``compare.py``, and ends as it does.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import threadpoolctl
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import compare

ROOT = Path(__file__).resolve().parents[1]
OUT = ("cuda", "export", "report", "save", "cohort", "scipy", "find_objects", "cc3d", "vtk", "SimpleITK", "nibabel", "limit")
SELECTED = " and not ".join(("small", *OUT))
"""The stages at the small size, without what writes files and without the libraries that stand beside them."""
PAIRS = 12
"""Rounds of each version; as many again of what looks slower."""
LEAST = 0.05
"""Seconds that a round takes at least: short stages are called as often as that needs."""
SCHEDULE = Path("/proc/thread-self/schedstat")

Round = Callable[[str, int], float]
"""Makes so many calls of a stage in one of the processes, and returns the seconds that one took."""


class Stages:
    """In place of pytest-benchmark: the benchmarks run with their checks, and what they would have timed is kept."""

    def __init__(self) -> None:
        self.calls: dict[str, Callable[[], object]] = {}

    @pytest.fixture
    def benchmark(self, request):
        return SimpleNamespace(pedantic=partial(self._keep, request.node.name.removeprefix("test_bench_")))

    def _keep(self, name, target, args=(), kwargs=None, **_rounds):
        self.calls[name] = partial(target, *args, **(kwargs or {}))


def waited() -> float:
    """Seconds so far that this thread was ready to run and other processes had its core; 0 where the system does not tell."""
    return int(SCHEDULE.read_text().split()[1]) * 1e-9 if SCHEDULE.exists() else 0.0


def seconds(call: Callable[[], object], number: int) -> float:
    """Seconds on the core that one of so many calls took."""
    begin, line = time.perf_counter(), waited()
    for _ in range(number):
        call()
    return (time.perf_counter() - begin - (waited() - line)) / number


def slower(call: Callable[[], object]) -> None:
    """Make a call, and keep the core for a fifth of what it took."""
    begin = time.thread_time()
    call()
    until = time.thread_time() + 0.2 * (time.thread_time() - begin)
    while time.thread_time() < until:
        pass


def serve(selected: str, slowed: str) -> int:
    """Check the stages, tell their names, and then make the rounds that standard input asks for; a line of JSON for each."""
    told, sys.stdout = sys.stdout, sys.stderr  # what pytest says is none of it
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    stages = Stages()
    with threadpoolctl.threadpool_limits(1):
        torch.set_num_threads(1)
        code = pytest.main([str(ROOT / "benchmarks"), "-q", "-p", "no:benchmark", "-p", "no:cacheprovider", "-k", selected], plugins=[stages])
        if code:
            return int(code)
        if slowed:
            stages.calls[slowed] = partial(slower, stages.calls[slowed])
        print(json.dumps(sorted(stages.calls)), file=told, flush=True)
        for line in sys.stdin:
            name, number = json.loads(line)
            print(json.dumps(seconds(stages.calls[name], number)), file=told, flush=True)
    return 0


@contextmanager
def worker(checkout: Path, selected: str, slowed: str = "") -> Iterator[tuple[list[str], Round]]:
    """Start a version's process; its stages, and what lets it make a round.

    Raises
    ------
    SystemExit
        If the checkout has no environment, or its benchmarks fail.
    """
    python = next((path for path in (checkout / ".venv" / "bin" / "python", checkout / ".venv" / "Scripts" / "python.exe") if path.exists()), None)
    if python is None:
        sys.exit(f"gate.py: {checkout.name} has no .venv; run `make .venv/installed` there.")
    command = [str(python), str(checkout / "benchmarks" / "gate.py"), "--serve", f"--select={selected}", f"--slower={slowed}"]
    process = subprocess.Popen(command, cwd=checkout, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        asked, told = process.stdin, process.stdout

        def answer() -> object:
            line = told.readline()
            if not line:
                sys.exit(f"gate.py: the benchmarks of {checkout.name} failed: {process.communicate()[1][-500:]}")
            return json.loads(line)

        def taken(name: str, number: int) -> float:
            print(json.dumps([name, number]), file=asked, flush=True)
            return float(str(answer()))

        names = answer()
        assert isinstance(names, list)
        yield names, taken
    finally:
        process.terminate()
        process.communicate()


def in_turns(before: Round, after: Round, names: Sequence[str]) -> tuple[compare.Rounds, compare.Rounds]:
    """Rounds of both versions, stage by stage in turns; the version that goes first changes from pair to pair."""
    taken: tuple[compare.Rounds, compare.Rounds] = ({name: [] for name in names}, {name: [] for name in names})
    number = {name: max(1, round(LEAST / max(before(name, 1), 1e-6))) for name in names}
    for name in names:
        after(name, 1)
    for pair in range(PAIRS):
        for name in names:
            for side in (0, 1) if pair % 2 else (1, 0):
                taken[side][name].append((before, after)[side](name, number[name]))
    return taken


def against(before: Path, selected: str, slowed: str = "") -> tuple[compare.Rounds, compare.Rounds]:
    """Rounds of another checkout's stages and of this one's; twice as many of those that look slower after the first ones.

    Parameters
    ----------
    before : Path
    selected : str
        pytest's ``-k``.
    slowed : str
        A stage of this version to make a fifth slower.
    """
    sides: tuple[compare.Rounds, compare.Rounds] = ({}, {})
    suspects: list[str] | None = None
    while suspects is None or suspects:
        with worker(before, selected) as (old, first), worker(ROOT, selected, slowed) as (new, second):
            names = [name for name in old if name in new and (suspects is None or name in suspects)]
            rounds = in_turns(first, second, names)
        for side, more in zip(sides, rounds, strict=True):
            for name in names:
                side[name] = [*side.get(name, []), *more[name]]
        suspects = [] if suspects is not None else compare.alarms(compare.compare(*sides))
    return sides


def write(folder: Path, sides: tuple[compare.Rounds, compare.Rounds]) -> tuple[Path, Path]:
    """Write the two files that belong together."""
    folder.mkdir(parents=True, exist_ok=True)
    paths, run = (folder / "before.json", folder / "after.json"), secrets.token_hex(8)
    for path, rounds in zip(paths, sides, strict=True):
        path.write_text(json.dumps({"run": run, "stages": rounds}))
    return paths


def main() -> int:
    """Time both versions, write, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, nargs="?", default=ROOT, help="a checkout of the older version; without one this one, twice")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "out" / "benchmarks" / "gate", help="folder for before.json and after.json")
    parser.add_argument("--select", default=SELECTED, help="pytest's -k: the part of the suite")
    parser.add_argument("--slower", default="", help="a stage of this version to make a fifth slower")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        return serve(given.select, given.slower)
    before, after = write(given.output, against(given.before.resolve(), given.select, given.slower))
    return compare.main([str(before), str(after)])


if __name__ == "__main__":
    sys.exit(main())
