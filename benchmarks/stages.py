"""One version's stages, for ``gate.py``: checked, and then called as often as it asks, each round timed.

    PYTHON benchmarks/stages.py CHECKOUT SELECTED SLOWED SCANS

runs another checkout's benchmarks with that checkout's interpreter on the scans of a folder, and imports nothing from this one. It tells the
stages' names, reads a line ``[stage, number of calls]`` for each round from standard input and answers with the seconds that a call took; JSON
by lines.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import threadpoolctl
import torch

SCHEDULE = Path("/proc/thread-self/schedstat")
FIFTH = 0.2


class Stages:
    """In place of pytest-benchmark: the benchmarks run with their checks, and what they would have timed is kept."""

    def __init__(self) -> None:
        self.calls: dict[str, Callable[[], object]] = {}

    def pytest_addhooks(self, pluginmanager):
        """Know the hooks that a conftest may offer to pytest-benchmark."""

        class Hooks:
            @staticmethod
            def pytest_benchmark_update_machine_info(config, machine_info):
                """See pytest-benchmark."""

        pluginmanager.add_hookspecs(Hooks)

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
    off = waited() - line
    return (time.perf_counter() - begin - off) / number


def slower(call: Callable[[], object]) -> None:
    """Make a call, and keep the core for a fifth of what it took."""
    begin = time.thread_time()
    call()
    until = time.thread_time() + FIFTH * (time.thread_time() - begin)
    while time.thread_time() < until:
        pass


def main(checkout: str, selected: str, slowed: str, scans: str) -> int:
    """Check, tell, and time until nobody asks."""
    told = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever else is printed is no answer
    sys.path[0] = checkout  # in place of this file's folder
    with contextlib.suppress(ImportError):
        importlib.import_module("benchmarks.scans").KEPT = Path(scans)  # type: ignore[attr-defined]  # both versions read the same
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    stages = Stages()
    with threadpoolctl.threadpool_limits(1):
        torch.set_num_threads(1)
        code = pytest.main([f"{checkout}/benchmarks", "-q", "-p", "no:benchmark", "-p", "no:cacheprovider", "-k", selected], plugins=[stages])
        if code:
            return int(code)
        with contextlib.suppress(KeyError):
            stages.calls[slowed] = partial(slower, stages.calls[slowed])
        print(json.dumps(sorted(stages.calls)), file=told)
        for line in sys.stdin:
            name, number = json.loads(line)
            print(json.dumps(seconds(stages.calls[name], number)), file=told)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
