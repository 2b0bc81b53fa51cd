"""Write what ``compare.py`` compares: ``python benchmarks/gate.py FILE.json`` before a change and after it.

The benchmarks of ``make bench`` check their answers as ever, but are timed afterwards, in turns: a slow spell of the machine then meets one round of
each stage instead of all rounds of one, and is waited out. Every round lies between two looks at the core's pace, and everything runs on one thread.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import threadpoolctl
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.compare import QUIET, Round, quiet
from benchmarks.operators import machine
from benchmarks.pace import pace, waited

OUT = ("cuda", "export", "report", "save", "cohort", "scipy", "find_objects", "cc3d", "vtk", "SimpleITK", "nibabel", "limit")
SELECTED = " and not ".join(("small", *OUT))
"""The stages at the small size, without what writes files and without the libraries that stand beside them."""
ENOUGH = 10
"""Quiet rounds of each stage."""
LEAST = 0.05
"""Seconds that a round takes at least: short stages are called as often as that needs."""


class Stages:
    """In place of pytest-benchmark: the benchmarks run with their checks, and what they would have timed is kept."""

    def __init__(self) -> None:
        self.calls: dict[str, Callable[[], object]] = {}

    @pytest.fixture
    def benchmark(self, request):
        return SimpleNamespace(pedantic=partial(self._keep, request.node.name.removeprefix("test_bench_")))

    def _keep(self, name, target, args=(), kwargs=None, **_rounds):
        self.calls[name] = partial(target, *args, **(kwargs or {}))


def seconds(call: Callable[[], object]) -> tuple[float, float]:
    """Seconds of a call on the core, and seconds that it waited for one; the means of as many calls as ``LEAST`` needs."""
    number, begin, line = 0, time.perf_counter(), waited()
    while number == 0 or time.perf_counter() - begin < LEAST:
        call()
        number += 1
    off = waited() - line
    return (time.perf_counter() - begin - off) / number, off / number


def in_turns(calls: dict[str, Callable[[], object]], patience: float) -> dict[str, list[Round]]:
    """Rounds of each stage, begun while the core is quiet, until ``ENOUGH`` of each also ended so or patience is at an end."""
    taken: dict[str, list[Round]] = {name: [] for name in calls}
    best, end = min(pace() for _ in range(50)), time.monotonic() + patience
    while time.monotonic() < end and (left := [name for name in calls if len(quiet(taken[name], best)) < ENOUGH]):
        for name in left:
            before = pace()
            while before > QUIET * best and time.monotonic() < end:
                before = pace()
            on, off = seconds(calls[name])
            after = pace()
            taken[name].append((on, off, before, after))
            best = min(best, before, after)
    return taken


def slower(call: Callable[[], object]) -> None:
    """Make a call, and keep the core for a fifth of what it took."""
    begin, line = time.perf_counter(), waited()
    call()
    until = time.thread_time() + 0.2 * (time.perf_counter() - begin - (waited() - line))
    while time.thread_time() < until:
        pass


def main() -> int:
    """Check, time, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--select", default=SELECTED, help="pytest's -k: the part of the suite")
    parser.add_argument("--patience", type=float, default=100, help="seconds to wait for quiet rounds at most")
    parser.add_argument("--slower", help="a stage to make a fifth slower, as repeats.py does")
    given = parser.parse_args()
    stages = Stages()
    with threadpoolctl.threadpool_limits(1):
        torch.set_num_threads(1)
        code = pytest.main([str(Path(__file__).parent), "-q", "-p", "no:benchmark", "-p", "no:cacheprovider", "-k", given.select], plugins=[stages])
        if code:
            return int(code)
        if given.slower and given.slower not in stages.calls:
            sys.exit(f"gate.py: no stage is called {given.slower}; take one of {', '.join(stages.calls)}.")
        if given.slower:
            stages.calls[given.slower] = partial(slower, stages.calls[given.slower])
        told = {"machine": machine(), "stages": in_turns(stages.calls, given.patience)}
    given.file.parent.mkdir(parents=True, exist_ok=True)
    given.file.write_text(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
