"""The yardstick scores as it should, and the table says what was measured."""

import json
import math

import numpy as np
import pytest

from benchmarks import naive, report
from shapekit.core.grid import Grid
from shapekit.io.nifti import write_label_map


def box(height):
    mask = np.zeros((64, 64, 64), np.float32)
    mask[12:52, 18:46, 32 - 11 : 32 - 11 + height] = 1  # 40 x 28 mm
    return mask


def test_the_yardsticks_score_is_the_papers_formula():
    """A loss of h mm all over the plate: h times the Gaussian's integral over L_AP L_LR, 2π/36 but for its tails, over 1.5 mm."""
    assert naive.surplus_score(box(22), box(22), 0.0) == pytest.approx(0, abs=1e-9)
    for lost in (3, 5):
        share = 2 * math.pi / 36 * math.erf(3 / math.sqrt(2)) ** 2
        assert naive.surplus_score(box(22), box(22 - lost), 0.0) == pytest.approx(100 * lost * share / 1.5, rel=0.08)


def test_it_scores_every_label_of_a_file(tmp_path):
    labels = np.zeros((40, 36, 60), np.uint8)
    for number, label in enumerate((22, 21, 20)):
        labels[5:35, 6:30, 3 + 19 * number : 18 + 19 * number] = label
    write_label_map(tmp_path / "mask.nii.gz", labels, Grid(labels.shape, np.diag([1.2, 1.1, 1.5, 1])))
    scores = naive.score(tmp_path / "mask.nii.gz", None)
    assert set(scores) == {20, 21, 22}
    assert 0 <= scores[21] < 10  # alike its neighbours


def test_the_table_names_machine_versions_commit_and_command(tmp_path, capsys, monkeypatch):
    told = {
        "machine_info": {"cpu": {"brand_raw": "Model X"}, "threads": 2, "python_version": "3.11.7", "packages": {"torch": "2.13"}},
        "commit_info": {"id": "0123456789abcdef", "dirty": False},
        "datetime": "2026-01-02T03:04:05",
        "benchmarks": [
            {"name": "test_bench_read[small]", "fullname": "b", "stats": {"median": 0.0123, "q1": 0.0120, "q3": 0.0131, "rounds": 5}},
            {"name": "test_bench_mesh[small]", "fullname": "a", "stats": {"median": 1.5, "q1": 1.4, "q3": 1.6, "rounds": 3}},
        ],
    }
    text = report.table(told)
    for word in ("`make bench` at commit 0123456", "Model X, 2 threads", "Python 3.11.7, torch 2.13", "2026-01-02"):
        assert word in text
    assert text.splitlines()[4:] == [
        "| mesh[small] | 1.5 s | 1.4 s to 1.6 s | 3 |",
        "| read[small] | 12.3 ms | 12 ms to 13.1 ms | 5 |",
    ]
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    (tmp_path / "suite.json").write_text(json.dumps(told))
    monkeypatch.setattr(report, "PAGE", page)
    report.main([str(tmp_path / "suite.json"), "--write"])
    assert page.read_text() == f"before\n{report.BEGIN}\n{text}\n{report.END}\nafter\n"
    with pytest.raises(SystemExit, match="run `make bench`"):
        report.main([str(tmp_path / "none.json")])
