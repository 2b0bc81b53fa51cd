"""``shapekit score``: what it writes, where, and what it says."""

import csv
import errno
import gzip
import math
import sys

import nibabel as nib
import numpy as np
import pytest

import shapekit as sk
from shapekit.core.levels import Level
from tests.cli.conftest import files_in
from tests.cli.spines import BROKEN, KEPT, LABELS, lumbar, only, write

COLUMNS = (
    "case,level,label,status,reason,score,score_lo,score_hi,relative_loss,deformity,genant_grade,height_loss,height_loss_neighbours,"
    "ha_mm,hm_mm,hp_mm,expected_ha_mm,expected_hm_mm,expected_hp_mm,"
    "weighted_surplus_mm3,surplus_anterior_mm3,surplus_middle_mm3,surplus_posterior_mm3,surplus_mm3,excess_mm3,expected_mm3,actual_mm3,"
    "l_ap_mm,l_lr_mm,tilt_sagittal_deg,tilt_coronal_deg,rotation_axial_deg,frame_error_deg,surface_distance_mm,"
    "neighbours_used,neighbours_repaired,predictor,weights_id,shapekit_version"
)
RESULTS = ["expected.nii.gz", "scores.csv", "scores.json"]


def rows_of(folder) -> list[dict[str, str]]:
    with (folder / "scores.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_three_files_with_the_right_rows_columns_and_grid_and_not_a_word(command, mask, tmp_path):
    assert command("score", mask, "-o", tmp_path / "new" / "out") == (0, "", "")
    folder = tmp_path / "new" / "out" / "sub-1_seg"
    assert sorted(path.name for path in folder.iterdir()) == RESULTS
    assert [path.name for path in folder.parent.iterdir()] == ["sub-1_seg"]

    text = (folder / "scores.csv").read_bytes().decode("utf-8")
    assert text.splitlines()[0] == COLUMNS
    assert "\r" not in text
    assert "nan" not in text.lower()
    rows = rows_of(folder)
    assert [row["level"] for row in rows] == ["L2", "L3", "L4", "L5"]
    assert [row["label"] for row in rows] == ["21", "22", "23", "24"]
    assert {row["case"] for row in rows} == {"sub-1_seg"}
    assert {row["status"] for row in rows} == {"ok"}
    for row in rows:
        if row["level"] == str(BROKEN):
            assert float(row["relative_loss"]) == pytest.approx(1 - KEPT, abs=0.02)
            assert float(row["score"]) > 95
        else:
            assert float(row["score"]) < 5
        assert row["genant_grade"] == row["score_lo"] == row["ha_mm"] == row["weights_id"] == ""

    given, expected = nib.load(mask), nib.load(folder / "expected.nii.gz")
    assert expected.shape == given.shape
    assert np.array_equal(expected.affine, given.affine)
    assert expected.get_data_dtype() == np.uint8
    before, after = np.asarray(given.dataobj), np.asarray(expected.dataobj)
    assert set(np.unique(after)) == {0, 21, 22, 23, 24}
    for label in LABELS.values():
        assert (after[before == label] == label).mean() > 0.85
    spine, volumes = lumbar()
    assert (after == LABELS[BROKEN]).sum() * spine.grid.voxel_mm3 == pytest.approx(volumes[BROKEN] / KEPT, rel=0.03)

    first = {name: (folder / name).read_bytes() for name in RESULTS}
    (folder / "my notes.txt").write_text("keep")
    assert command("score", mask, "-o", folder.parent) == (0, "", "")
    assert {name: (folder / name).read_bytes() for name in RESULTS} == first
    assert gzip.decompress(first["expected.nii.gz"])
    assert files_in(folder) == ["expected.nii.gz", "my notes.txt", "scores.csv", "scores.json"]
    assert (folder / "my notes.txt").read_text() == "keep"


@pytest.mark.parametrize("suffix", ["mha", "nrrd"])
def test_other_formats_give_the_same_scores_on_the_same_grid(command, tmp_path, suffix, mask):
    assert command("score", write(tmp_path / f"case.{suffix}"), "-o", tmp_path) == (0, "", "")
    losses = [float(row["relative_loss"]) for row in rows_of(tmp_path / "case")]
    assert losses == pytest.approx([one.measures.relative_loss for one in sk.score(sk.load(mask), device="cpu")], abs=1e-4)
    expected = nib.load(tmp_path / "case" / "expected.nii.gz")
    assert np.allclose(expected.affine, lumbar()[0].grid.affine, atol=1e-4)
    assert expected.shape == lumbar()[0].grid.shape


def test_verbose_tells_how_the_mask_was_understood(command, mask, tmp_path, scored_before):
    ended = command("score", mask, "-o", tmp_path, "-v")
    assert ended.code == 0
    assert "sub-1_seg: scheme verse: 21 = L2, 22 = L3, 23 = L4, 24 = L5" in ended.err.splitlines()
    assert all(line.startswith("sub-1_seg: ") for line in ended.err.splitlines())
    places = [ended.out.index(f" {level} ") for level in LABELS]
    assert places == sorted(places)
    assert str(tmp_path) not in ended.out + ended.err
    assert command("score", mask, "-o", tmp_path, "-v", "-q") == (0, "", "")


def test_a_terminal_shows_a_table_and_the_stages(command, mask, tmp_path, monkeypatch, scored_before):
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    ended = command("score", mask, "-o", tmp_path)
    assert ended.code == 0
    line = next(line for line in ended.out.splitlines() if str(BROKEN) in line.split())
    assert "99" in line
    assert command("score", mask, "-o", tmp_path, "-q") == (0, "", "")


def test_one_vertebra_alone_cannot_be_scored_and_its_table_says_why(command, tmp_path):
    mask = write(tmp_path / "lone.nii.gz", only(Level.L3))
    ended = command("score", mask, "-o", tmp_path / "out", "--scheme", "verse")
    assert ended == (1, "", "shapekit: no vertebra of lone could be scored (L3 no_context); its scores.csv says why.\n")
    (row,) = rows_of(tmp_path / "out" / "lone")
    assert (row["level"], row["label"], row["status"]) == ("L3", "22", "no_context")
    assert "no whole neighbour" in row["reason"]
    assert row["score"] == row["expected_mm3"] == row["predictor"] == ""
    assert not np.asarray(nib.load(tmp_path / "out" / "lone" / "expected.nii.gz").dataobj).any()
    assert files_in(tmp_path / "out" / "lone") == RESULTS


def test_a_folder_of_classes_is_one_case(command, tmp_path):
    for level in LABELS:
        write(tmp_path / "s0011" / f"vertebrae_{level}.nii.gz", (only(level) > 0).astype(np.uint8))
    assert command("score", tmp_path / "s0011", "-o", tmp_path / "out", "--bodies", "given") == (0, "", "")
    assert files_in(tmp_path / "out") == [f"s0011/{name}" for name in RESULTS]
    rows = rows_of(tmp_path / "out" / "s0011")
    assert [(row["level"], row["label"]) for row in rows] == [("L2", "21"), ("L3", "22"), ("L4", "23"), ("L5", "24")]
    assert float(rows[2]["relative_loss"]) == pytest.approx(1 - KEPT, abs=0.02)


def test_bodies_without_an_arch_cannot_be_split(command, mask, tmp_path):
    ended = command("score", mask, "-o", tmp_path, "--bodies", "split")
    assert ended.code == 1
    assert {row["status"] for row in rows_of(tmp_path / "sub-1_seg")} == {"no_body"}
    assert {row["level"]: row["reason"] for row in rows_of(tmp_path / "sub-1_seg")}["L3"].startswith("no spinal canal was found")


def test_a_cut_off_mask_among_good_ones_stops_none_of_them(command, mask, tmp_path):
    half = tmp_path / "half.nii.gz"
    half.write_bytes(mask.read_bytes()[: mask.stat().st_size // 2])
    pair = write(tmp_path / "pair.nii.gz", only(Level.L2, Level.L3))
    lone = write(tmp_path / "lone.nii.gz", only(Level.L2))
    ended = command("score", pair, half, lone, "-o", tmp_path / "out", "--scheme", "verse")
    assert (ended.code, ended.out) == (2, "")
    lines = ended.err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("shapekit: half.nii.gz is cut off")
    assert lines[1].startswith("shapekit: no vertebra of lone could be scored")
    assert files_in(tmp_path / "out") == [f"{case}/{name}" for case in ("lone", "pair") for name in RESULTS]
    assert [row["status"] for row in rows_of(tmp_path / "out" / "pair")] == ["ok", "ok"]


def test_something_scored_is_success_even_beside_what_could_not_be(command, mask, tmp_path, monkeypatch):
    pair, lone = write(tmp_path / "pair.nii.gz", only(Level.L4, Level.L5)), write(tmp_path / "lone.nii.gz", only(Level.L2))
    ended = command("score", lone, pair, "-o", tmp_path / "out", "--scheme", "verse")
    assert ended.code == 0
    assert ended.err.count("\n") == 1


def test_the_second_mask_of_a_name_is_refused(command, tmp_path, scored_before):
    first, second = write(tmp_path / "a" / "case.nii.gz"), write(tmp_path / "b" / "case.mha")
    ended = command("score", first, second, "-o", tmp_path / "out")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == "shapekit: case is the name of two masks; their results would overwrite each other: rename one.\n"
    assert files_in(tmp_path / "out") == [f"case/{name}" for name in RESULTS]


@pytest.mark.parametrize("writer", ["write_label_map", "SpineScore.table", "json.dumps"])
def test_a_full_disk_in_the_middle_leaves_the_old_files_and_nothing_else(command, mask, tmp_path, monkeypatch, scored_before, writer):
    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    assert command("score", mask, "-o", tmp_path).code == 0
    folder = tmp_path / "sub-1_seg"
    for name in RESULTS:
        (folder / name).write_text(f"old {name}")
    monkeypatch.setattr(f"shapekit.results.{writer}", full)
    ended = command("score", mask, "-o", tmp_path)
    assert (ended.code, ended.out) == (2, "")
    (line,) = ended.err.splitlines()
    assert line.startswith("shapekit: sub-1_seg cannot be written")
    assert "No space left on device" in line
    assert str(tmp_path) not in line
    assert files_in(tmp_path) == [f"sub-1_seg/{name}" for name in RESULTS]
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []
    assert all((folder / name).read_text() == f"old {name}" for name in RESULTS)

    new = command("score", mask, "-o", tmp_path / "new")
    assert new.code == 2
    assert files_in(tmp_path / "new") == []


def test_ctrl_c_leaves_nothing_behind(command, mask, tmp_path, monkeypatch, scored_before):
    def stop(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("shapekit.results.write_label_map", stop)
    assert command("score", mask, "-o", tmp_path) == (130, "", "shapekit: stopped.\n")
    assert files_in(tmp_path) == []


def test_a_body_mask_cuts_the_labels_and_belongs_to_one_mask(command, mask, tmp_path):
    spine = lumbar()[0]
    bodies = write(tmp_path / "bodies.nii.gz", (spine.array > 0).astype(np.uint8))
    wide = write(tmp_path / "wide.nii.gz", only(Level.L2, Level.L3))
    ended = command("score", wide, "-o", tmp_path, "--body-mask", bodies, "--scheme", "verse", "-v")
    assert ended.code == 0
    assert "wide: bodies from bodies.nii.gz (given)" in ended.err.splitlines()
    assert all(math.isfinite(float(row["score"])) for row in rows_of(tmp_path / "wide"))
    refused = command("score", mask, wide, "-o", tmp_path / "out", "--body-mask", bodies)
    assert refused == (2, "", "shapekit: --body-mask goes with one mask at a time; score the others without it.\n")
    assert not (tmp_path / "out").exists()
