"""Is ``compare.py`` right on real rounds? Ten repeats without a change, then one with a stage made a fifth slower: ``python benchmarks/repeats.py``.

Every repeat is a process of its own and is compared with the first. Each stage's rounds in each repeat are also multiplied by 1.2, and how often that
is caught is counted. Ends with 1 where an alarm was false, where the slowed stage was not the only one named, or where too few rounds were quiet.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import compare

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "out" / "benchmarks" / "repeats"
FIFTH = 1.2


def run(path: Path, *options: str) -> None:
    """Let ``gate.py`` write a file in a process of its own."""
    command = [sys.executable, str(ROOT / "benchmarks" / "gate.py"), str(path), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"repeats.py: gate.py failed: {(done.stdout + done.stderr)[-500:]}")


def alarms(rows: list[compare.Row]) -> list[str]:
    """The stages that are called slower."""
    return [row[0] for row in rows if row[-1] == "SLOWER"]


def caught(before: compare.Rounds, after: compare.Rounds) -> int:
    """Of how many stages it is noticed when their rounds take a fifth longer."""
    longer = {name: [(FIFTH * on, *rest) for on, *rest in rounds] for name, rounds in after.items()}
    return len(alarms(compare.compare(before, longer)))


def main() -> int:
    """Run, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=10, help="repeats without a change")
    parser.add_argument("--stage", default="bodies[small]", help="the stage to slow down")
    options = parser.parse_args()
    first = FOLDER / "0.json"
    run(first)
    before = compare.read(first)
    wrong, noticed, planted = 0, 0, 0
    for number in range(1, options.number + 2):
        path, slowed = FOLDER / f"{number}.json", number > options.number
        run(path, *(("--slower", options.stage) if slowed else ()))
        after = compare.read(path)
        rows = compare.compare(before, after)
        unsure = sum(row[-1] == "unsure" for row in rows)
        wrong += alarms(rows) != ([options.stage] if slowed else []) or unsure > 0
        if not slowed:
            noticed, planted = noticed + caught(before, after), planted + len(rows)
        print(
            f"{f'{options.stage} a fifth slower' if slowed else f'repeat {number}'}: {', '.join(alarms(rows)) or 'no alarm'}, "
            f"{unsure} unsure, factors {rows[-1][1]:.2f} to {rows[0][1]:.2f}",
            flush=True,
        )
    print(f"rounds multiplied by {FIFTH}: {noticed} of {planted} caught")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
