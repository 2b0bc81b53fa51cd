"""``shapekit score`` with several masks: what one of them cannot do must not cost the others anything."""

import csv

import pytest

from tests.cli.conftest import files_in

RESULTS = ("deficit.nii.gz", "expected.nii.gz", "report.html", "scores.csv", "scores.json")


def rows_of(folder):
    with (folder / "scores.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_cut_off_mask_between_good_ones_is_the_only_one_without_results(command, only, tmp_path):
    pair, half, lone = only("pair.nii.gz", 23, 24), only("half.nii.gz"), only("lone.nii.gz", 21)
    half.write_bytes(half.read_bytes()[: half.stat().st_size // 2])
    ended = command("score", pair, half, lone, "-o", tmp_path / "out", "--scheme", "verse")
    assert (ended.code, ended.out) == (2, "")
    first, second = ended.err.splitlines()
    assert first.startswith("shapekit: half.nii.gz is cut off")
    assert second == "shapekit: no vertebra of lone could be scored (L2 no_context); its scores.csv says why."
    assert files_in(tmp_path / "out") == [f"{case}/{name}" for case in ("lone", "pair") for name in RESULTS]
    assert [row["status"] for row in rows_of(tmp_path / "out" / "pair")] == ["ok", "ok"]


@pytest.mark.parametrize("order", [("lone.nii.gz", "whole.nii.gz"), ("whole.nii.gz", "lone.nii.gz")])
def test_one_scored_vertebra_anywhere_is_success(command, only, tmp_path, monkeypatch, crushed_result, order):
    lone, whole = only("lone.nii.gz", 21), only("whole.nii.gz")
    from shapekit.results import score

    def only_the_lone_one(spine, **options):
        return score(spine, **options) if spine.name == "lone" else crushed_result

    monkeypatch.setattr("shapekit.results.score", only_the_lone_one)
    masks = [{"lone.nii.gz": lone, "whole.nii.gz": whole}[name] for name in order]
    ended = command("score", *masks, "-o", tmp_path / "out", "--scheme", "verse")
    assert (ended.code, ended.out, ended.err.count("\n")) == (0, "", 1)
    assert [row["status"] for row in rows_of(tmp_path / "out" / "lone")] == ["no_context"]


def test_the_second_mask_of_a_name_is_refused_and_the_first_ones_results_stay(command, only, tmp_path, scored_before):
    first, second = only("a/case.nii.gz"), only("b/case.nii.gz", 21, 22)
    ended = command("score", first, second, "-o", tmp_path / "out", "--scheme", "verse")
    assert ended == (2, "", "shapekit: case is the name of two masks; their results would overwrite each other: rename one.\n")
    assert files_in(tmp_path / "out") == [f"case/{name}" for name in RESULTS]


def test_a_name_is_free_for_the_next_mask_when_the_first_could_not_be_read(command, only, tmp_path, scored_before):
    first, second = only("a/case.nii.gz"), only("b/case.nii.gz")
    first.write_bytes(b"no image")
    ended = command("score", first, second, "-o", tmp_path / "out")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert files_in(tmp_path / "out") == [f"case/{name}" for name in RESULTS]


@pytest.mark.parametrize("wrong", [("--predictor", "nosuch"), ("--bodies", "nosuch"), ("--scheme", "nosuch"), ("-d", "gpu:99")])
def test_a_wrong_option_is_told_once_not_once_a_mask(command, only, tmp_path, wrong):
    ended = command("score", only("a.nii.gz"), only("b.nii.gz"), only("c.nii.gz"), "-o", tmp_path / "out", *wrong)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert not (tmp_path / "out").exists()


def test_a_body_mask_belongs_to_one_mask(command, only, tmp_path):
    mask, bodies = only("pair.nii.gz", 21, 22), only("bodies.nii.gz")
    ended = command("score", mask, "-o", tmp_path / "out", "--body-mask", bodies, "--scheme", "verse", "-v")
    assert ended.code == 0
    assert "pair: bodies from bodies.nii.gz (given)" in ended.err.splitlines()
    assert [row["status"] for row in rows_of(tmp_path / "out" / "pair")] == ["ok", "ok"]
    refused = command("score", mask, only("other.nii.gz"), "-o", tmp_path / "new", "--body-mask", bodies)
    assert refused == (2, "", "shapekit: --body-mask goes with one mask at a time; score the others without it.\n")
    assert not (tmp_path / "new").exists()
