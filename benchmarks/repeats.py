"""Is ``compare.py`` right on real rounds? Repeats of the suite without a change, then one with a stage made slower: ``python benchmarks/repeats.py``.

Every repeat is a process of its own and is compared with the first. In the last one every call of the chosen stage's benchmarks waits
for a fifth of what it took. Prints who raised an alarm; ends with 1 where one was false or the slowdown was missed.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import compare

ROOT = Path(__file__).resolve().parents[1]
SELECTED = "small and not export and not report and not save and not cohort"
FOLDER = ROOT / "out" / "benchmarks" / "repeats"


def run(path: Path, select: str, slower: str = "") -> None:
    """Run a part of the suite in a process of its own, a stage slower."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "benchmarks",
        "--benchmark-only",
        "-q",
        "-k",
        select,
        f"--benchmark-json={path}",
        "-p",
        "no:cacheprovider",
    ]
    environment = os.environ | {"SHAPEKIT_BENCH_SLOWER": slower}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"repeats.py: the suite failed: {done.stdout[-500:]}")


def alarms(before: Path, after: Path) -> tuple[int, list[str], str]:
    """What ``compare.py`` ends with, whom it calls slower, and its last line."""
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        code = compare.main([str(before), str(after)])
    lines = told.getvalue().splitlines()
    return code, [line.split()[-1].split("::")[-1] for line in lines if line.startswith("SLOWER")], lines[-1]


def main() -> int:
    """Run, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=10, help="repeats without a change")
    parser.add_argument("--stage", default="test_bench_bodies[small]", help="the benchmark to slow down")
    parser.add_argument("--select", default=SELECTED, help="pytest's -k: the part of the suite")
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    paths = [FOLDER / f"{n}.json" for n in range(options.number + 2)]
    wrong = 0
    for n, path in enumerate(paths):
        planted = n == len(paths) - 1
        run(path, options.select, options.stage if planted else "")
        if n:
            code, slower, machine = alarms(paths[0], path)
            wrong += (slower != [options.stage]) if planted else code
            print(f"{'a fifth slower' if planted else f'repeat {n}'}: {', '.join(slower) or 'no alarm'} ({machine})", flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
