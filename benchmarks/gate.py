"""Did this change make anything slower? ``python benchmarks/gate.py BEFORE``, where BEFORE is a checkout of the older version with its own ``.venv``.

Two processes, one of each version, run the stages of ``make bench`` in turns on one core and one thread: a round of one right after a round of
the other, so that a core which is slow for minutes is slow for both. They check their answers first. What looks slower is timed anew by two other
processes, and those rounds decide. Writes ``before.json`` and ``after.json`` for ``compare.py``, and ends as it does; with 2 where there is nothing
to compare.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import compare

ROOT = Path(__file__).resolve().parents[1]
SCANS = ROOT / "out" / "benchmarks" / "scans"
"""What both versions read, drawn by whichever needs them first."""
OUT = ("cuda", "export", "report", "save", "cohort", "scipy", "find_objects", "cc3d", "vtk", "SimpleITK", "nibabel", "limit")
SELECTED = " and not ".join(("small", *OUT))
"""The stages at the small size, without what writes files and without the libraries that stand beside them."""
PAIRS = 12
"""Rounds of each version."""
LEAST = 0.05
"""Seconds that a round is meant to take: short stages are called as often as that needs."""

Round = Callable[[str, int], float]
"""Makes so many calls of a stage in one of the processes, and returns the seconds that one took."""
Sides = tuple[compare.Rounds, compare.Rounds]
"""Before and after."""


class GateError(Exception):
    """Nothing could be compared; says why."""


@contextlib.contextmanager
def worker(checkout: Path, selected: str, slowed: str = "") -> Iterator[tuple[list[str], Round]]:
    """Start a version's process; its stages, and what lets it make a round.

    Raises
    ------
    GateError
        If the checkout has no environment, or its benchmarks fail.
    """
    pythons = [Path(sys.executable)] if checkout == ROOT else [checkout / ".venv" / "bin" / "python", checkout / ".venv" / "Scripts" / "python.exe"]
    python = next((path for path in pythons if path.exists()), None)
    if python is None:
        raise GateError(f"{checkout.name} has no .venv; run `make .venv/installed` there.")
    command = [str(python), str(Path(__file__).with_name("stages.py")), str(checkout), selected, slowed, str(SCANS)]
    with tempfile.TemporaryFile() as said, _started(command, checkout, said) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asked, told = process.stdin, process.stdout

        def answer() -> bytes:
            if not (line := told.readline()):
                process.wait()
                said.seek(0)
                raise GateError(f"the benchmarks of {checkout.name} failed: {said.read()[-500:].decode(errors='replace')}")
            return line

        def taken(name: str, number: int) -> float:
            with contextlib.suppress(BrokenPipeError):  # the answer will tell why
                asked.write(json.dumps([name, number]).encode() + b"\n")
            return float(answer())

        try:
            yield json.loads(answer()), taken
        finally:
            process.kill()


def _started(command: Sequence[str], folder: Path, said: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, bufsize=0, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said)


def in_turns(before: Round, after: Round, names: Sequence[str]) -> Sides:
    """Rounds of both versions, stage by stage in turns; the version that goes first changes from pair to pair."""
    taken: Sides = ({name: [] for name in names}, {name: [] for name in names})
    number = {}
    for name in names:
        after(name, 1)
        before(name, 1)
        number[name] = math.ceil(LEAST / max(before(name, 1), 1e-6))
    for pair in range(PAIRS):
        for name in names:
            for side in (0, 1) if pair % 2 else (1, 0):
                taken[side][name].append((before, after)[side](name, number[name]))
    return taken


def against(before: Path, selected: str = SELECTED, slowed: str = "") -> Sides:
    """Rounds of another checkout's stages and of this one's, and of what looks slower those of two more processes instead.

    Parameters
    ----------
    before : Path
    selected : str
        pytest's ``-k``.
    slowed : str
        A stage of this version to make a fifth slower.

    Raises
    ------
    GateError
        See ``worker``; also if the two have no stage in common, or no stage is called ``slowed``.
    """

    def timed(wanted: Sequence[str] | None) -> Sides:
        with worker(before, selected) as (old, first), worker(ROOT, selected, slowed) as (new, second):
            both = [name for name in new if name in old]
            if not both:
                raise GateError(f"{before.name} and this checkout have no stage in common; time the same part of the suite.")
            if slowed not in ("", *both):
                raise GateError(f"no stage is called {slowed}; these are: {', '.join(both)}.")
            for side, only in (("before", set(old) - set(new)), ("after", set(new) - set(old))):
                if only and wanted is None:
                    print(f"only {side}: {', '.join(sorted(only))}", file=sys.stderr)
            return in_turns(first, second, both if wanted is None else wanted)

    sides = timed(None)
    if suspects := compare.alarms(compare.compare(*sides)):
        for side, anew in zip(sides, timed(suspects), strict=True):
            side.update(anew)
    return sides


def write(folder: Path, before: Path, sides: Sides) -> tuple[Path, Path]:
    """Write the two files that belong together: run, side, machine and commit beside the rounds."""
    from benchmarks.operators import machine

    folder.mkdir(parents=True, exist_ok=True)
    run, paths = secrets.token_hex(8), (folder / "before.json", folder / "after.json")
    for path, checkout, rounds in zip(paths, (before, ROOT), sides, strict=True):
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=checkout, capture_output=True, text=True, check=False).stdout.strip()
        path.write_text(json.dumps({"run": run, "side": path.stem, "machine": machine() | {"commit": commit}, "stages": rounds}))
    return paths


def main() -> int:
    """Time both versions, write, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="a checkout of the older version, made ready by `make .venv/installed`")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "out" / "benchmarks" / "gate", help="folder for before.json and after.json")
    parser.add_argument("--select", default=SELECTED, help="pytest's -k: the part of the suite")
    given = parser.parse_args()
    before = given.before.resolve()
    try:
        sides = against(before, given.select)
    except GateError as error:
        print(f"gate.py: {error}", file=sys.stderr)
        return 2
    return compare.main([str(path) for path in write(given.output, before, sides)])


if __name__ == "__main__":
    sys.exit(main())
