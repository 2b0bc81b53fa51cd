"""``shapekit cohort`` at size: throughput, memory, resuming, Ray; every answer is checked before a figure is told.

``python benchmarks/cohort.py DIR --number 200`` draws the phantoms once into DIR and goes on where an earlier call stopped;
``--parts`` chooses (``run``, ``again``, ``kill``, ``ray``, ``ratio``), ``--minutes`` stops the long run so that it can be split.
Figures are kept in DIR/figures.json.
"""

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from benchmarks.operators import machine
from shapekit.datasets import write_cohort
from tests.cli.test_bad_files import BAD
from tests.cohort.conftest import descendants, end, start, tree

PARTS = ("run", "again", "kill", "ray", "ratio")
TABLES = ("group_desc-vcf_scores.tsv", "group_desc-vcf_scores.parquet", "failures.tsv", "desc-vcf_scores.json")


def masks_in(folder, number, distinct, acquisition):
    """Lay out ``number`` phantoms, of which ``distinct`` are drawn and the others copies, and a tenth as many broken files as one plain folder."""
    masks = folder / "masks"
    if not (folder / "drawn").exists():
        cases = write_cohort(folder / "phantoms", distinct or number, seed=8, acquisition=acquisition, workers=2)
        shutil.rmtree(masks, ignore_errors=True)
        masks.mkdir()
        for n in range(number):
            shutil.copy(cases[n % len(cases)].mask, masks / f"sub-phantom{n + 1:04d}_seg-vert_msk.nii.gz")
        kinds = [(make, suffix) for make, suffix, _ in BAD if suffix not in (".png", "", ".dcm", ".ply") or make.__name__ != "text"]
        for n in range(number // 10):
            make, suffix = kinds[n % len(kinds)]
            shutil.rmtree(folder / "one", ignore_errors=True)
            (folder / "one").mkdir()
            made = make(folder / "one", suffix)
            shutil.move(made, masks / f"bad{n:02d}{''.join(made.suffixes)}")
        (folder / "drawn").write_text(str(number))
    return masks


def peak_mb(process):
    """The most memory that a process has held."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def watched(*arguments, limit_s=None):
    """Run the command, and watch its memory and its workers'; stop it politely at the limit."""
    process, began, peaks = start(*arguments), time.monotonic(), {}
    while process.poll() is None:
        for one in [process.pid, *descendants(process, "popen_loky_posix")]:
            peaks[one] = max(peaks.get(one, 0.0), peak_mb(one))
        if limit_s is not None and time.monotonic() - began > limit_s:
            process.send_signal(signal.SIGTERM)
            limit_s = None
        time.sleep(0.25)
    out, err = process.communicate()
    main = peaks.pop(process.pid, 0.0)
    return process.returncode, out, err, time.monotonic() - began, main, max(peaks.values(), default=0.0)


def tables(out):
    return {name: (out / name).read_bytes() for name in TABLES if (out / name).exists()}


def long_run(masks, out, flags, number, minutes, figures):
    before = len(list(out.rglob("record.json")))
    code, _, err, seconds, main, worker = watched("cohort", masks, out, *flags, "--workers", 2, limit_s=60 * minutes)
    done = len(list(out.rglob("record.json"))) - before
    rows = figures.setdefault("run", [])
    if done:
        rows.append({"scans": done, "seconds": seconds, "main_mb": main, "worker_mb": worker})
    if code == -signal.SIGTERM:
        print(f"stopped after {minutes:.0f} min with {before + done} of {number} scans; call it again")
        return False
    assert code == 0, err
    failures = (out / "failures.tsv").read_text().splitlines()[1:]
    broken = sorted(path.name.partition(".")[0] for path in masks.glob("bad*"))
    assert sorted(line.split("\t")[1] for line in failures) == broken, failures
    assert len(list(out.rglob("record.json"))) == number
    scans, seconds = sum(row["scans"] for row in rows), sum(row["seconds"] for row in rows)
    print(f"{scans} scans in {seconds / 60:.1f} min on 2 workers: {60 * scans / seconds:.1f} a minute, {len(broken)} broken ones listed")
    print(f"peak memory: {max(row['main_mb'] for row in rows):.0f} MB, a worker {max(row['worker_mb'] for row in rows):.0f} MB")
    return True


def again(masks, out, flags, figures):
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    code, said, _, seconds, main, _ = watched("cohort", masks, out, *flags, "--workers", 2)
    assert code == 0
    assert "are finished already" in said
    assert "tables and report are as they were" in said
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if ".shapekit" not in path.parts} == {
        path: stamp for path, stamp in before.items() if ".shapekit" not in path.parts
    }
    figures["again"] = {"seconds": seconds, "main_mb": main}
    print(f"a second run: {seconds:.1f} s, {main:.0f} MB; it changed nothing")


def kills(few, folder, flags, reference, full_s, count, figures):
    generator, killed, rounds = random.Random(8), 0, 0
    while killed < count:
        out = folder / "killed"
        shutil.rmtree(out, ignore_errors=True)
        rounds += 1
        while killed < count:
            process = start("cohort", few, out, *flags, "--workers", 2)
            try:
                process.communicate(timeout=generator.uniform(0.05, 0.9) * full_s)
            except subprocess.TimeoutExpired:
                end(process.pid)
                process.communicate()
                killed += 1
                continue
            break
        code, _, err, *_ = watched("cohort", few, out, *flags, "--workers", 2)
        assert code == 0, err
        assert tree(out) == reference, "tables differ after a kill"
    figures["kill"] = {"kills": killed, "rounds": rounds}
    print(f"kill -9 at {killed} random moments, {rounds} times resumed to the end: every file identical")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--number", type=int, default=200)
    parser.add_argument("--distinct", type=int, default=0, help="phantoms that are drawn, the others being copies; 0 for all")
    parser.add_argument("--few", type=int, default=8, help="scans of the parts that run several times")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--minutes", type=float, default=1e6)
    parser.add_argument("--predictor", default="neighbours")
    parser.add_argument("--acquisition", default="varied")
    given = parser.parse_args()
    parts = given.parts.split(",")
    flags = ("--kind", "plain", "--predictor", given.predictor, "--no-report", "-d", "cpu")
    print(machine(), f"predictor {given.predictor}, phantoms {given.acquisition}, torch {torch.__version__}")
    masks = masks_in(given.folder, given.number, given.distinct, given.acquisition)
    kept = given.folder / "figures.json"
    figures = json.loads(kept.read_text()) if kept.exists() else {}
    if "run" in parts and not long_run(masks, given.folder / "out", flags, given.number, given.minutes, figures):
        kept.write_text(json.dumps(figures, indent=1) + "\n")
        return
    if "again" in parts:
        again(masks, given.folder / "out", flags, figures)
    if {"kill", "ray", "ratio"} & set(parts):
        few = given.folder / "few"
        shutil.rmtree(few, ignore_errors=True)
        few.mkdir()
        for mask in sorted(masks.glob("sub-*"))[: given.few]:
            shutil.copy(mask, few / mask.name)
        times, trees = {}, {}
        ways = {"2 workers": ("--workers", 2)}
        ways |= {"1 worker": ("--workers", 1)} if "ratio" in parts else {}
        ways |= {"Ray, 2 actors": ("--ray", "local", "--workers", 2)} if "ray" in parts else {}
        for name, way in ways.items():
            out = given.folder / "way"
            shutil.rmtree(out, ignore_errors=True)
            code, _, err, times[name], *_ = watched("cohort", few, out, *flags, *way)
            assert code == 0, err
            trees[name] = tree(out)
            assert trees[name] == trees["2 workers"], f"{name}: tables differ"
            print(f"{given.few} scans, {name}: {times[name]:.1f} s, start included; every file identical")
        figures["ways"] = figures.get("ways", {}) | times
        if "ratio" in parts:
            print(f"2 workers are {times['1 worker'] / times['2 workers']:.2f} times as fast as 1")
        if "ray" in parts:
            print(f"Ray costs {times['Ray, 2 actors'] - times['2 workers']:+.1f} s, its own start included")
        if "kill" in parts:
            kills(few, given.folder, flags, trees["2 workers"], times["2 workers"], given.kills, figures)
    kept.write_text(json.dumps(figures | {"machine": machine()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
