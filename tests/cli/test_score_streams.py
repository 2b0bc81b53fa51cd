"""What ``shapekit score`` says to a pipe and to a terminal, and what it leaves when it is stopped in the middle."""

import errno
import sys

import pytest

from tests.cli.conftest import files_in

RESULTS = ("deficit.nii.gz", "expected.nii.gz", "report.html", "scores.csv", "scores.json")


def test_verbose_tells_how_the_mask_was_understood_and_quiet_outweighs_it(command, crushed_mask, tmp_path, scored_before):
    ended = command("score", crushed_mask, "-o", tmp_path, "-v")
    assert ended.code == 0
    assert "lumbar: scheme verse: 21 = L2, 22 = L3, 23 = L4, 24 = L5" in ended.err.splitlines()
    assert all(line.startswith("lumbar: ") for line in ended.err.splitlines())
    places = [ended.out.index(f" {level} ") for level in ("L2", "L3", "L4", "L5")]
    assert places == sorted(places)
    assert str(crushed_mask.parent) not in ended.out + ended.err
    assert command("score", crushed_mask, "-o", tmp_path, "-v", "-q") == (0, "", "")


def test_a_terminal_gets_the_table_without_asking(command, crushed_mask, crushed_result, tmp_path, monkeypatch, scored_before):
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    ended = command("score", crushed_mask, "-o", tmp_path, "--predictor", "neighbours")
    assert ended.code == 0
    (line,) = (line for line in ended.out.splitlines() if "L3" in line.split())
    assert f"{crushed_result['L3'].score:.1f}" in line
    assert "scheme" not in ended.err
    assert command("score", crushed_mask, "-o", tmp_path, "-q") == (0, "", "")


@pytest.mark.parametrize("step", ["SpineScore._write_table", "write_label_map", "json.dumps"])
def test_a_disk_that_fills_up_in_the_middle_costs_no_old_file(command, crushed_mask, tmp_path, monkeypatch, scored_before, step):
    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    folder = tmp_path / "lumbar"
    folder.mkdir()
    for name in RESULTS:
        (folder / name).write_text(f"old {name}")
    monkeypatch.setattr(f"shapekit.results.{step}", full)
    for target in (tmp_path, tmp_path / "new"):
        ended = command("score", crushed_mask, "-o", target)
        assert (ended.code, ended.out) == (2, "")
        (line,) = ended.err.splitlines()
        assert line.startswith("shapekit: lumbar cannot be written")
        assert "No space left on device" in line
        assert str(tmp_path) not in line
    assert sorted(files_in(tmp_path)) == [f"lumbar/{name}" for name in RESULTS]
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []
    assert all((folder / name).read_text() == f"old {name}" for name in RESULTS)


def test_ctrl_c_leaves_nothing_behind(command, crushed_mask, tmp_path, monkeypatch, scored_before):
    def stop(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("shapekit.results.write_label_map", stop)
    assert command("score", crushed_mask, "-o", tmp_path) == (130, "", "shapekit: stopped.\n")
    assert files_in(tmp_path) == []
    assert list((tmp_path / "lumbar").iterdir()) == []


def test_the_expected_labels_keep_the_masks_affine_to_the_bit(command, crushed_mask, tmp_path, scored_before):
    import nibabel as nib

    assert command("score", crushed_mask, "-o", tmp_path).code == 0
    given, expected = nib.load(crushed_mask), nib.load(tmp_path / "lumbar" / "expected.nii.gz")
    assert (expected.affine == given.affine).all()
    assert expected.get_data_dtype() == given.get_data_dtype()
    assert expected.header.get_xyzt_units()[0] == "mm"
