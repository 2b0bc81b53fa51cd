"""Render ``make bench``'s JSON as the table of docs/performance.md: ``python benchmarks/report.py [FILE] [--write]``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- table: benchmarks/report.py --write -->", "<!-- end of table -->"
UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))


def shown(seconds: float) -> str:
    """Three digits with a unit."""
    scale, unit = next((pair for pair in UNITS if seconds >= pair[0]), UNITS[-1])
    return f"{seconds / scale:.3g} {unit}"


def table(told: dict) -> str:
    """Markdown: the machine and how it was measured, then a row a benchmark."""
    machine, commit = told["machine_info"], told["commit_info"]
    versions = ", ".join(f"{name} {version}" for name, version in machine.get("packages", {}).items())
    lines = [
        f"`make bench` at commit {commit.get('id', 'unknown')[:7]}{' with changes' if commit.get('dirty') else ''}, {told['datetime'][:10]}: "
        f"{machine.get('cpu', {}).get('brand_raw', machine.get('processor', ''))}, {machine.get('threads', '?')} threads; "
        f"Python {machine['python_version']}, {versions}.",
        "",
        "| benchmark | median | middle half of the rounds | rounds |",
        "|---|---|---|---|",
    ]
    for one in sorted(told["benchmarks"], key=lambda one: one["fullname"]):
        stats = one["stats"]
        name = one["name"].removeprefix("test_bench_").replace("|", "\\|")
        lines.append(f"| {name} | {shown(stats['median'])} | {shown(stats['q1'])} to {shown(stats['q3'])} | {stats['rounds']} |")
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    """Print the table, or put it in its place in the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, default=ROOT / "out" / "benchmarks" / "suite.json")
    parser.add_argument("--write", action="store_true", help="write it into docs/performance.md")
    given = parser.parse_args(arguments)
    if not given.file.exists():
        sys.exit(f"report.py: {given.file.name} is not there; run `make bench` first.")
    text = table(json.loads(given.file.read_text()))
    if not given.write:
        print(text)
        return
    page = PAGE.read_text()
    head, rest = page.split(BEGIN)
    PAGE.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main(sys.argv[1:])
