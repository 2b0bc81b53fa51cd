"""Did anything get slower? ``python benchmarks/compare.py BEFORE.json AFTER.json`` on the two files of one run of ``gate.py``.

Each round is set against the other version's round right beside it. A stage is slower when the middle of these factors is at least 1.10 *and*
chance does not explain it, that is, when its confidence interval lies above 1 (Hodges and Lehmann's estimate, Ann Math Stat 34:598, 1963, with the
interval of Wilcoxon's signed-rank test: pairs independent and scattered evenly, however widely). Ends with 1 when something is slower, with 2 when
there are too few pairs to say or nothing to compare.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
from pathlib import Path

SIZE = 1.10
"""Least factor that is called slower."""
DEVIATIONS = 2.5
"""Standard deviations of the signed-rank sum that the confidence interval is wide to either side."""

Rounds = dict[str, list[float]]
"""Seconds of each stage, round by round."""
Row = tuple[str, float, float, float, str]
"""Stage, factor, the ends of its confidence interval, verdict."""


def read(path: Path, side: str) -> tuple[str, Rounds]:
    """The run that a file is of, and its rounds.

    Raises
    ------
    ValueError
        If ``gate.py`` did not write the file, or it is of the other side.
    """
    try:
        told = json.loads(path.read_text())
        run, of, stages = str(told["run"]), told["side"], {name: [float(one) for one in rounds] for name, rounds in told["stages"].items()}
        if not all(rounds and min(rounds) > 0 for rounds in stages.values()):
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path.name} holds no rounds ({type(error).__name__}); give a file that `python benchmarks/gate.py` wrote.") from error
    if of != side:
        raise ValueError(f"{path.name} holds what was timed {of}, but stands where {side} belongs; give before.json, then after.json.")
    return run, stages


def change(before: list[float], after: list[float]) -> tuple[float, float, float]:
    """The middle of the pairs' factors and the ends of its confidence interval; with too few pairs for one, it has no ends."""
    logs = [math.log(now / was) for was, now in zip(before, after, strict=True)]
    walsh = sorted((logs[i] + logs[j]) / 2 for i in range(len(logs)) for j in range(i + 1))  # averages of every two
    count = len(logs)
    outside = math.floor(len(walsh) / 2 - DEVIATIONS * math.sqrt(count * (count + 1) * (2 * count + 1) / 24))
    low, high = (math.exp(walsh[outside - 1]), math.exp(walsh[-outside])) if outside > 0 else (0.0, math.inf)
    return math.exp(statistics.median(walsh)), low, high


def compare(before: Rounds, after: Rounds) -> list[Row]:
    """A row for each stage of both, the slowest first."""
    rows = []
    for name in before.keys() & after.keys():
        factor, low, high = change(before[name], after[name])
        verdict = "SLOWER" if factor >= SIZE and low > 1 else "faster" if factor <= 1 / SIZE and high < 1 else "same" if low else "unsure"
        rows.append((name, factor, low, high, verdict))
    return sorted(rows, key=lambda row: (-row[1], row[0]))


def alarms(rows: list[Row]) -> list[str]:
    """The stages that are called slower."""
    return [row[0] for row in rows if row[-1] == "SLOWER"]


def main(arguments: list[str]) -> int:
    """Print a line for each stage; 1 where one is slower, else 2 where one has too few pairs."""
    try:
        one, other = arguments
        (run, before), (second, after) = read(Path(one), "before"), read(Path(other), "after")
        if run != second:
            raise ValueError("the two files are of two runs, whose rounds were not made in turns; give both files of one run of gate.py.")
        if not (rows := compare(before, after)):
            raise ValueError("the two files share no stage; time the same part of the suite.")
    except ValueError as error:
        what = str(error) if len(arguments) == 2 else "usage: python benchmarks/compare.py BEFORE.json AFTER.json"
        print(f"compare.py: {what}", file=sys.stderr)
        return 2
    for name, factor, low, high, verdict in rows:
        print(f"{verdict:7} {factor:5.2f} x  ({low:.2f} to {high:.2f})  {name}")
    return 1 if alarms(rows) else 2 if any(row[-1] == "unsure" for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
