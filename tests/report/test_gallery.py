"""The gallery's examples run as they stand and print what they promise, on small inputs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GALLERY = ROOT / "docs" / "gallery"


def run(name, *arguments):
    command = [sys.executable, "-W", "error", str(GALLERY / name), *map(str, arguments)]
    settings = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"}
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=True, env=settings).stdout


def test_every_example_is_run_here():
    run_here = {"score_a_mask.py", "compare_with_heights.py", "view_and_draw.py", "cohort_figure.py", "group_morphometry.py"}
    assert {path.name for path in GALLERY.glob("*.py")} == run_here


def test_a_mask_is_scored(crushed_mask, tmp_path):
    said = run("score_a_mask.py", crushed_mask, "-o", tmp_path)
    assert "worst: L3, score" in said
    assert (tmp_path / "lumbar" / "report.html").is_file()


def test_scores_are_compared_with_heights(crushed_mask):
    said = run("compare_with_heights.py", crushed_mask)
    (row,) = (line.split() for line in said.splitlines() if line.split()[:1] == ["L3"])
    assert float(row[2]) == pytest.approx(0.25, abs=0.06)
    assert "rank correlation" in said


def test_shapes_are_taken_and_drawn(crushed_mask, tmp_path):
    assert run("view_and_draw.py", crushed_mask, "-o", tmp_path).startswith("L3: missing along its height")
    assert (tmp_path / "spine.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (tmp_path / "vertebra.svg").read_bytes()


def test_a_cohort_becomes_a_figure(tmp_path):
    said = run("cohort_figure.py", "-n", 1, "-o", tmp_path)
    assert "grade 0:" in said
    assert (tmp_path / "cohort.png").read_bytes().startswith(b"\x89PNG")


def test_a_group_is_measured(tmp_path):
    said = run("group_morphometry.py", "-n", 2, "-o", tmp_path)
    (row,) = (line.split() for line in said.splitlines() if line.split()[:1] == ["ha_mm"] and len(line.split()) == 8)
    assert int(row[1]) == 8
    assert 0.0 < float(row[2]) < 1.0  # a height is repeated to within a millimetre
    assert float(row[4]) > 0.8
    assert "L2: 2 bodies" in said
    assert (tmp_path / "mean_shapes.png").read_bytes().startswith(b"\x89PNG")
