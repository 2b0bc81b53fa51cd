"""Did anything get slower? ``python benchmarks/compare.py BEFORE.json AFTER.json`` on two files that ``gate.py`` wrote on one machine.

Only quiet rounds count: those that had a core to themselves, at its best pace before and after. Each round of BEFORE is set against each of AFTER: a
stage is slower when the middle of all these factors is at least 1.10 *and* chance does not explain it, that is, when its confidence interval lies
above 1 (Hodges and Lehmann, Ann Math Stat 34:598, 1963: nothing is assumed of how rounds scatter). Ends with 1 when something is slower, with 2 when
too few rounds were quiet.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
from pathlib import Path

SIZE = 1.10
"""Least factor that is called slower."""
DEVIATIONS = 3.0
"""Standard deviations that the confidence interval is wide to either side."""
QUIET = 1.2
"""A core's pace counts as its best up to this factor."""
SHARE = 0.05
"""Part of a round for which another process may have had the core."""

Round = tuple[float, float, float, float]
"""Seconds on the core, seconds waited for it, and its pace before and after."""
Rounds = dict[str, list[Round]]
Row = tuple[str, float, float, float, str]
"""Stage, factor, the ends of its confidence interval, verdict."""


def read(path: Path) -> Rounds:
    """Rounds of each stage.

    Raises
    ------
    SystemExit
        If ``gate.py`` did not write the file.
    """
    try:
        stages = json.loads(path.read_text())["stages"]
        return {name: [(float(on), float(off), float(before), float(after)) for on, off, before, after in rounds] for name, rounds in stages.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        sys.exit(f"compare.py: {path.name} holds no rounds ({type(error).__name__}); write it with `python benchmarks/gate.py {path.name}`.")


def quiet(rounds: list[Round], best: float) -> list[float]:
    """Rounds that had the core to themselves, and it at its best pace before and after: in units of that pace."""
    return [on / math.sqrt(before * after) for on, off, before, after in rounds if off <= SHARE * on and max(before, after) <= QUIET * best]


def change(before: list[float], after: list[float]) -> tuple[float, float, float] | None:
    """The middle of all pairs' factors and the ends of its confidence interval; None where the rounds are too few for one."""
    factors = sorted(now / was for was in before for now in after)
    outside = math.floor(len(factors) / 2 - DEVIATIONS * math.sqrt(len(factors) * (len(before) + len(after) + 1) / 12))
    return (statistics.median(factors), factors[outside - 1], factors[-outside]) if outside > 0 else None


def compare(before: Rounds, after: Rounds) -> list[Row]:
    """A row for each stage of both, the slowest first."""
    best = min((pace for rounds in (*before.values(), *after.values()) for _, _, *paces in rounds for pace in paces), default=0.0)
    rows = []
    for name in before.keys() & after.keys():
        factor, low, high = change(quiet(before[name], best), quiet(after[name], best)) or (1.0, 0.0, math.inf)
        verdict = "SLOWER" if factor >= SIZE and low > 1 else "faster" if factor <= 1 / SIZE and high < 1 else "same" if low else "unsure"
        rows.append((name, factor, low, high, verdict))
    return sorted(rows, key=lambda row: (-row[1], row[0]))


def main(arguments: list[str]) -> int:
    """Print a line for each stage; 1 where one is slower, else 2 where one has too few quiet rounds."""
    if len(arguments) != 2:
        sys.exit("usage: python benchmarks/compare.py BEFORE.json AFTER.json")
    before, after = (read(Path(path)) for path in arguments)
    rows = compare(before, after)
    if not rows:
        sys.exit("compare.py: the two files share no stage; compare runs of the same part of the suite.")
    for name, factor, low, high, verdict in rows:
        told = "too few quiet rounds" if verdict == "unsure" else f"{factor:5.2f} x  ({low:.2f} to {high:.2f})"
        print(f"{verdict:7} {told}  {name}")
    for name in sorted(before.keys() ^ after.keys()):
        print(f"only in {'the first' if name in before else 'the second'}: {name}")
    verdicts = {row[-1] for row in rows}
    return 1 if "SLOWER" in verdicts else 2 if "unsure" in verdicts else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
