"""Did anything get slower? ``python benchmarks/compare.py BEFORE.json AFTER.json`` on two files that ``make bench`` wrote.

A benchmark is slower when its faster rounds took at least 10 % longer *and* that is more than their own scatter explains: the difference exceeds
three of its standard errors, taken from the spread of both files' rounds. When most benchmarks moved alike the machine did, so
the common factor is taken out first and told; it counts as a slowdown of its own beyond 1.5. Ends with 1 when something is slower.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

SIZE = 1.10
"""Least factor that is called slower."""
ERRORS = 3.0
"""Standard errors of the difference that chance may explain."""
MACHINE = 1.5
"""A common factor beyond this is no mood of the machine."""
MANY = 5
"""Benchmarks from which a common factor can be told."""


def read(path: Path) -> dict[str, list[float]]:
    """Seconds of every round by benchmark.

    Raises
    ------
    SystemExit
        If the file is not pytest-benchmark's, or was written without its rounds.
    """
    try:
        kept = json.loads(path.read_text())["benchmarks"]
        return {one["fullname"]: [float(seconds) for seconds in one["stats"]["data"]] for one in kept}
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.exit(f"compare.py: {path.name} holds no rounds of pytest-benchmark ({type(error).__name__}); write it with `make bench`.")


def speed(rounds: list[float]) -> tuple[float, float]:
    """Seconds and their relative standard error, from the faster half of the rounds: whatever disturbs a round makes it longer.

    The median of that half stands at the first quarter of all rounds, whose standard error in nine is 0.45 of their deviation; from the fastest to
    the middle one are about 1.5 deviations. No error counts as less than 1 %; a single round as 10 %.
    """
    half = sorted(rounds)[: len(rounds) // 2 + 1]
    seconds = statistics.median(half)
    return seconds, max(0.01, 0.3 * (half[-1] - half[0]) / seconds) if len(half) > 1 else 0.1


def compare(before: dict[str, list[float]], after: dict[str, list[float]]) -> tuple[list[tuple[str, float, float, str]], float]:
    """For each benchmark of both: name, factor without the machine's, chance's share of it, verdict; and the machine's factor."""
    names = [name for name in before if name in after]
    was, now = ({name: speed(rounds[name]) for name in names} for rounds in (before, after))
    raw = {name: now[name][0] / was[name][0] for name in names}
    machine = statistics.median(raw.values()) if len(names) >= MANY else 1.0
    rows = []
    for name in names:
        factor = raw[name] / machine
        chance = ERRORS * (was[name][1] ** 2 + now[name][1] ** 2) ** 0.5
        slower, faster = factor >= max(SIZE, 1 + chance), 1 / factor >= max(SIZE, 1 + chance)
        rows.append((name, factor, chance, "SLOWER" if slower else "faster" if faster else "same"))
    return rows, machine


def main(arguments: list[str]) -> int:
    """Print a line for each benchmark; 1 where one is slower."""
    if len(arguments) != 2:
        sys.exit("usage: python benchmarks/compare.py BEFORE.json AFTER.json")
    before, after = (read(Path(path)) for path in arguments)
    rows, machine = compare(before, after)
    if not rows:
        sys.exit("compare.py: the two files share no benchmark; compare runs of the same suite.")
    for name, factor, chance, verdict in sorted(rows, key=lambda row: -row[1]):
        print(f"{verdict:7} {factor:6.2f} x  (chance explains {1 + chance:.2f} x)  {name}")
    for name in sorted(before.keys() ^ after.keys()):
        print(f"only in {'the first' if name in before else 'the second'}: {name}")
    print(f"the machine as a whole: {machine:.2f} x")
    return int(machine > MACHINE or any(row[3] == "SLOWER" for row in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
