"""The whole way against the naive one, and what else users feel: ``python benchmarks/whole.py [SECTION ...]``.

whole     a spine from its file to its scores, warm, beside ``naive.py`` in the same run; peak memory       (about 4 minutes on 2 cores)
cold      ``shapekit score`` from process start to files, ``shapekit --help``, ``import shapekit``          (20 seconds)
scaling   exponents of cost over a 16-fold range of voxels and of vertebrae                                  (1 minute; as long to draw)
memory    what a process holds over a hundred scans                                                          (3 minutes)
workers   two processes with one thread each against one                                                    (1 minute)

Without a section, all of them. ``--size small`` leaves the large scan out, ``--scans N`` shortens memory. The stages beside the best library for
each are in ``make bench`` (``benchmarks/report.py`` renders it). Answers are checked before anything is timed. Writes out/benchmarks/whole.json.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

import shapekit as sk
from benchmarks import naive
from benchmarks.operators import machine, record
from benchmarks.scans import SIZES, VERSE_004, cohort, drawn, highest, scan
from shapekit.core.values import LabelMap
from shapekit.datasets.workers import in_processes
from shapekit.spine import extract_bodies

Rows = list[tuple[str, str, str]]
SPACINGS_MM = (2.0, 1.5874, 1.26, 1.0, 0.7937)
"""A cube root of two apart: the voxels of a patient double from each to the next, 16-fold from end to end."""
MEMORY = """
import shapekit as sk
from shapekit.results import score
def peak():  # of this process alone: ru_maxrss begins with what its parent held
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
import scipy.ndimage, scipy.optimize, skimage.measure, trimesh, nibabel
sk.load({small!r}); score(sk.load({small!r}))
before = peak()
spine = sk.load({path!r}); score(spine)
print(before, peak(), spine.array.nbytes)
"""


def median(call, rounds: int = 5) -> float:
    """Seconds."""
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def whole(paths: dict[str, Path]) -> Rows:
    """Warm seconds, load included, beside the naive pipeline; peak memory in a process of its own."""
    rows: Rows = []
    for name, path in paths.items():
        result = sk.score(sk.load(path))
        scored = [one.score for one in result if one.status == "ok"]
        assert len(scored) >= 7, name
        assert np.isfinite(scored).all(), name
        ours = median(lambda path=path: sk.score(sk.load(path)))
        both, plain, count = naive.timed(path)
        rows.append((f"whole spine, {name}, {len(scored)} scored of {count}", f"{ours:.2f} s", "ours, warm, load included"))
        rows.append((f"  naive, {name}", f"{both:.1f} s", f"{both / ours:.1f} x ours"))
        rows.append((f"  naive without networks, {name}", f"{plain:.1f} s", f"{plain / ours:.1f} x ours with them"))
        code = MEMORY.format(path=str(path), small=str(scan("small")))
        before, peak, mask = map(int, subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())
        rows.append(
            (
                f"  peak memory, {name}",
                f"{peak / 1024:.0f} MiB",
                f"{(peak - before) / 1024:.0f} MiB over the warm process; mask {mask / 2**20:.0f} MiB",
            )
        )
    return rows


def cold() -> Rows:
    """Seconds from process start."""
    rows: Rows = []
    command = [sys.executable, "-m", "shapekit"]
    mask = VERSE_004 if VERSE_004.exists() else scan("small")
    with tempfile.TemporaryDirectory() as folder:

        def score_it():
            subprocess.run([*command, "score", str(mask), "-o", folder, "-q"], check=True)

        score_it()
        written = {path.name for path in next(Path(folder).iterdir()).iterdir()}
        assert {"scores.csv", "scores.json", "expected.nii.gz", "deficit.nii.gz", "report.html"} <= written
        rows.append((f"cold shapekit score, {mask.name.split('.')[0]}", f"{median(score_it, 3):.2f} s", "process start to files"))
    rows.append(("shapekit --help", f"{median(lambda: subprocess.run([*command, '--help'], capture_output=True, check=True), 7):.2f} s", ""))
    bare = median(lambda: subprocess.run([sys.executable, "-c", ""], check=True), 7)
    with_it = median(lambda: subprocess.run([sys.executable, "-c", "import shapekit"], check=True), 7)
    rows.append(("import shapekit", f"{with_it - bare:.3f} s", f"beyond an empty process of {bare:.3f} s"))
    return rows


def exponent(amounts: list[float], seconds: list[float]) -> float:
    """Slope of the logarithms by least squares."""
    return float(np.polyfit(np.log(amounts), np.log(seconds), 1)[0])


def scaling() -> Rows:
    """Voxels: one patient at five spacings. Vertebrae: one scan with ever more of its labels."""
    rows: Rows = []
    spines = {spacing: sk.load(drawn(spacing)) for spacing in SPACINGS_MM}
    voxels = [float(spine.array.size) for spine in spines.values()]
    times = [median(lambda spine=spine: sk.score(spine), 3) for spine in spines.values()]
    reads = [median(lambda spacing=spacing: sk.load(drawn(spacing)), 3) for spacing in spines]
    told = ", ".join(f"{one:.2f}" for one in times)
    rows.append((f"exponent over {voxels[-1] / voxels[0]:.0f} x the voxels, scores", f"{exponent(voxels, times):.2f}", f"{told} s"))
    told = ", ".join(f"{one:.2f}" for one in reads)
    rows.append((f"exponent over {voxels[-1] / voxels[0]:.0f} x the voxels, load", f"{exponent(voxels, reads):.2f}", f"{told} s"))
    spine = spines[1.0]
    for what, counts, call in (("bodies", (1, 2, 4, 8, 16), extract_bodies), ("scores", (2, 4, 8, 16), sk.score)):
        times = [median(lambda n=n, call=call: call(first(spine, n)), 3) for n in counts]
        told = ", ".join(f"{one:.2f}" for one in times)
        note = "" if what == "bodies" else " (a vertebra alone has nothing to be scored by)"
        rows.append((f"exponent over {counts[-1] // counts[0]} x the vertebrae, {what}", f"{exponent(list(counts), times):.2f}", f"{told} s{note}"))
    return rows


def first(spine: LabelMap, count: int) -> LabelMap:
    """The lowest vertebrae of a spine, the others erased."""
    kept = dict(list(spine.levels.items())[-count:])
    return LabelMap(np.where(np.isin(spine.array, list(kept)), spine.array, 0).astype(spine.array.dtype), spine.grid, kept, spine.name, spine.scheme)


def memory(scans: int) -> Rows:
    """What a process holds after ten scans and after all, working through them as a cohort's workers do."""
    paths = cohort(10)
    held = []
    for number, _ in enumerate(in_processes(highest, (paths[n % len(paths)] for n in range(scans)), workers=1)):
        if number + 1 in (10, scans):
            held.append(int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20)
    return [(f"memory held over {scans} scans", f"{held[-1] - held[0]:+.0f} MiB", f"from {held[0]:.0f} MiB after ten")]


def workers() -> Rows:
    """A cohort by one and by two processes, one thread each; both warm."""
    paths = cohort(10)
    alone = list(in_processes(highest, paths, workers=1))
    times = {}
    for count in (1, 2):
        assert list(in_processes(highest, paths, workers=count)) == alone
        times[count] = median(lambda count=count: list(in_processes(highest, paths, workers=count)), 3)
    return [("two workers against one, ten scans", f"{times[1] / times[2]:.2f} x", f"{times[1]:.1f} s and {times[2]:.1f} s")]


def main() -> None:
    """Run the sections that were asked for."""
    names = ("whole", "cold", "scaling", "memory", "workers")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(names))
    parser.add_argument("--size", choices=list(SIZES), action="append", help="sizes of the section whole; both by default")
    parser.add_argument("--scans", type=int, default=100)
    given = parser.parse_args()
    unknown = set(given.sections) - set(names)
    if unknown:
        parser.error(f"unknown section {', '.join(sorted(unknown))}; choose from {', '.join(names)}")
    paths = {f"{size} phantom": scan(size) for size in given.size or SIZES}
    if VERSE_004.exists():
        paths["VerSe 004"] = VERSE_004
    calls = {"whole": lambda: whole(paths), "cold": cold, "scaling": scaling, "memory": lambda: memory(given.scans), "workers": workers}
    print(machine())
    rows: Rows = []
    for name in given.sections or names:
        for row in calls[name]():
            print(f"{row[0]:55} {row[1]:>12}  {row[2]}", flush=True)
            rows.append(row)
    record("whole", rows)


if __name__ == "__main__":
    main()
