import json

import pandas
import pytest

from shapekit.cli import main

SEED = 4321


def test_the_command_writes_rows_figures_table_and_picture(tmp_path, capsys):
    assert main(["evaluate", "-o", str(tmp_path), "-n", "1", "--seed", str(SEED), "--predictors", "neighbours,linear-+", "--workers", "1"]) == 0
    rows = pandas.read_csv(tmp_path / "rows.csv")
    figures = json.loads((tmp_path / "summary.json").read_text())
    assert set(rows["predictor"]) == set(figures) == {"neighbours", "linear without repair from neighbours alone"}
    scored = rows[(rows["predictor"] == "neighbours") & rows["status"].isin(["ok", "uncertain"])]
    assert figures["neighbours"]["vertebrae"] == len(scored)
    healthy = scored[(scored["grade"] == 0) & (scored["context"] == "intact")]
    assert figures["neighbours"]["surface_mm"]["intact"][0] == pytest.approx(healthy["surface_mm"].mean(), rel=1e-3)
    assert (tmp_path / "table.md").read_text() == capsys.readouterr().out
    assert (tmp_path / "scores.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--predictors", "prophet"], "prophet"),
        (["--predictors", "generative:none.safetensors"], "none.safetensors is not there"),
        (["-n", "0"], "--number is 0"),
        (["--predictors", "neighbours", "--build", "stout"], "build"),
    ],
)
def test_what_cannot_be_judged_is_told_in_one_line(tmp_path, capsys, arguments, said):
    assert main(["evaluate", "-o", str(tmp_path / "out"), "-n", "1", "--workers", "1", *arguments]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_missing_matplotlib_is_told_before_anything_is_judged(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("shapekit.evaluation.tables.find_spec", lambda name: None)
    monkeypatch.setattr("shapekit.evaluation.evaluate_phantoms", None)
    assert main(["evaluate", "-o", str(tmp_path / "out"), "-n", "1"]) == 2
    assert "shapekit[viz]" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
