"""Is ``compare.py`` right? Ten runs of ``gate.py`` on this version against itself, after one with a stage made a fifth slower.

``python benchmarks/repeats.py`` ends with 1 where an alarm was false, or where the slowed stage was not the only one named. Each stage's rounds in
each repeat are also multiplied by 1.2, and how often that is caught is counted.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import compare, gate

FOLDER = gate.ROOT / "out" / "benchmarks" / "repeats"
LONGER = 1.2


def caught(before: compare.Rounds, after: compare.Rounds) -> int:
    """Of how many stages it is noticed when their rounds take a fifth longer."""
    return len(compare.alarms(compare.compare(before, {name: [LONGER * one for one in rounds] for name, rounds in after.items()})))


def main() -> int:
    """Run, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=10, help="repeats without a change")
    parser.add_argument("--stage", default="bodies[small]", help="the stage to slow down")
    options = parser.parse_args()
    wrong, noticed, planted = 0, 0, 0
    for number in range(options.number + 1):
        slowed = "" if number else options.stage  # first, so that a stage which does not exist is told at once
        try:
            sides = gate.against(gate.ROOT, slowed=slowed)
        except gate.GateError as error:
            print(f"repeats.py: {error}", file=sys.stderr)
            return 2
        gate.write(FOLDER / str(number), gate.ROOT, sides)
        rows = compare.compare(*sides)
        wrong += compare.alarms(rows) != ([slowed] if slowed else [])
        if not slowed:
            noticed, planted = noticed + caught(*sides), planted + len(rows)
        what, told = (f"{slowed} a fifth slower" if slowed else f"repeat {number}"), ", ".join(compare.alarms(rows)) or "no alarm"
        print(f"{what}: {told}, factors {rows[-1][1]:.2f} to {rows[0][1]:.2f}", flush=True)
    print(f"rounds multiplied by {LONGER}: {noticed} of {planted} caught")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
