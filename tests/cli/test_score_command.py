import errno
import gzip
import json

import nibabel as nib
import numpy as np
import pandas
import pytest

import shapekit as sk
from shapekit.cli import main
from shapekit.io.nifti import write_label_map

COLUMNS = """
    case level label status reason score score_lo score_hi relative_loss deformity genant_grade height_loss height_loss_neighbours ha_mm
    hm_mm hp_mm expected_ha_mm expected_hm_mm expected_hp_mm predicted_ha_mm predicted_hm_mm predicted_hp_mm weighted_surplus_mm3
    surplus_anterior_mm3 surplus_middle_mm3 surplus_posterior_mm3 surplus_mm3 excess_mm3 expected_mm3 actual_mm3 l_ap_mm l_lr_mm
    tilt_sagittal_deg tilt_coronal_deg rotation_axial_deg frame_error_deg surface_distance_mm neighbours_used neighbours_repaired predictor
    weights_id shapekit_version
""".split()
FILES = {"scores.csv", "scores.json", "expected.nii.gz", "deficit.nii.gz", "report.html"}


def run(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def names(folder):
    return {path.name for path in folder.iterdir()}


@pytest.fixture(scope="module")
def saved(crushed_mask, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    assert main(["score", str(crushed_mask), "-o", str(folder), "--scheme", "verse"]) == 0
    return folder / "lumbar"


def test_the_files_and_columns_are_the_promised_ones(saved):
    assert names(saved) == FILES
    table = pandas.read_csv(saved / "scores.csv")
    assert list(table.columns) == COLUMNS
    assert list(table.level) == ["L2", "L3", "L4", "L5"]
    assert list(table.label) == [21, 22, 23, 24]
    assert set(table.status) == {"ok"}
    assert set(table.case) == {"lumbar"}
    assert table.score.idxmax() == 1
    assert table.neighbours_used[1] == "L2 L4 L5"


def test_the_expected_bodies_lie_on_the_inputs_grid_under_its_labels(saved, crushed_mask):
    given, expected = nib.load(crushed_mask), nib.load(saved / "expected.nii.gz")
    assert expected.shape == given.shape
    assert expected.affine == pytest.approx(given.affine, abs=1e-4)
    actual, wanted = np.asanyarray(given.dataobj), np.asanyarray(expected.dataobj)
    assert set(np.unique(wanted)) == {0, 21, 22, 23, 24}
    # the crushed body is expected taller than it is, and nearly all that is left of it is expected
    assert (wanted == 22).sum() > 1.15 * (actual == 22).sum()
    assert (wanted[actual == 22] == 22).mean() > 0.93


def test_the_json_says_the_same_with_frames_and_how_the_file_was_understood(saved):
    record = json.loads((saved / "scores.json").read_text())
    table = pandas.read_csv(saved / "scores.csv")
    assert [row["level"] for row in record["vertebrae"]] == list(table.level)
    assert [row["score"] for row in record["vertebrae"]] == pytest.approx(list(table.score), abs=1e-3)
    for row in record["vertebrae"]:
        axes = np.array(row["expected_frame"]["axes"])
        assert axes.T @ axes == pytest.approx(np.eye(3), abs=1e-9)
        assert row["score_lo"] <= row["score"] <= row["score_hi"]
    assert record["options"] == {"bodies": "auto", "predictor": "generative", "preset": "botros2022", "scheme": "verse"}
    assert any("verse" in note for note in record["notes"])


def test_it_is_silent_in_a_pipe_and_talks_when_asked(crushed_mask, tmp_path, capsys):
    assert run(capsys, "score", crushed_mask, "-o", tmp_path, "--scheme", "verse") == (0, "", "")
    code, out, err = run(capsys, "score", crushed_mask, "-o", tmp_path, "--scheme", "verse", "-v")
    assert code == 0
    assert "L3" in out
    assert "verse" in err


def test_a_second_run_writes_the_same_bytes_and_leaves_other_files_alone(saved, crushed_mask, tmp_path):
    folder = tmp_path / "lumbar"
    folder.mkdir()
    (folder / "mine.txt").write_text("keep me")
    (folder / "scores.csv").write_text("old")
    assert main(["score", str(crushed_mask), "-o", str(tmp_path), "--scheme", "verse"]) == 0
    assert names(folder) == FILES | {"mine.txt"}
    assert (folder / "mine.txt").read_text() == "keep me"
    for name in FILES:
        assert (folder / name).read_bytes() == (saved / name).read_bytes()


def test_a_full_disk_leaves_the_old_files_and_nothing_half_written(crushed_mask, tmp_path, capsys, monkeypatch):
    folder = tmp_path / "lumbar"
    folder.mkdir()
    (folder / "scores.csv").write_text("old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shapekit.results.write_label_map", full)
    code, out, err = run(capsys, "score", crushed_mask, "-o", tmp_path, "--scheme", "verse")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "No space left" in err
    assert names(folder) == {"scores.csv"}
    assert (folder / "scores.csv").read_text() == "old"


def test_a_lone_vertebra_keeps_its_row_and_ends_with_1(crushed_spine, tmp_path, capsys):
    array = np.where(crushed_spine.array == 22, crushed_spine.array, 0).astype(np.uint8)
    write_label_map(tmp_path / "one.nii.gz", array, crushed_spine.grid)
    code, out, err = run(capsys, "score", tmp_path / "one.nii.gz", "-o", tmp_path / "out", "--scheme", "verse")
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert "L3 no_context" in err
    row = pandas.read_csv(tmp_path / "out" / "one" / "scores.csv").iloc[0]
    assert (row.level, row.status) == ("L3", "no_context")
    assert np.isnan(row.score)
    assert "neighbour" in row.reason


def test_one_bad_mask_does_not_stop_the_others_and_names_do_not_collide(crushed_mask, tmp_path, capsys):
    (tmp_path / "bad.nii.gz").write_bytes(crushed_mask.read_bytes()[:900])
    twin = tmp_path / "twin" / "lumbar.nii.gz"
    twin.parent.mkdir()
    twin.write_bytes(crushed_mask.read_bytes())
    out = tmp_path / "out"
    code, _, err = run(capsys, "score", tmp_path / "bad.nii.gz", crushed_mask, twin, "-o", out, "--scheme", "verse")
    assert code == 2
    assert err.count("\n") == 2
    assert "bad.nii.gz" in err
    assert "two masks" in err
    assert names(out) == {"lumbar"}
    assert names(out / "lumbar") == FILES


def test_metaimage_and_nrrd_give_the_scores_of_the_nifti(saved, crushed_spine, tmp_path):
    import SimpleITK

    image = SimpleITK.GetImageFromArray(crushed_spine.array.transpose(2, 1, 0))
    flip = np.diag([-1.0, -1.0, 1.0])
    spacing = crushed_spine.grid.spacing_mm
    image.SetSpacing(spacing.tolist())
    image.SetDirection((flip @ crushed_spine.grid.affine[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin((flip @ crushed_spine.grid.affine[:3, 3]).tolist())
    truth = pandas.read_csv(saved / "scores.csv").score
    for name in ("lumbar.mha", "lumbar.nrrd"):
        SimpleITK.WriteImage(image, str(tmp_path / name), useCompression=True)
        assert main(["score", str(tmp_path / name), "-o", str(tmp_path / name[-3:]), "--scheme", "verse"]) == 0
        assert pandas.read_csv(tmp_path / name[-3:] / "lumbar" / "scores.csv").score.to_numpy() == pytest.approx(truth.to_numpy(), abs=0.1)


def test_a_totalsegmentator_folder_is_one_case(crushed_spine, tmp_path):
    folder = tmp_path / "segmentations"
    folder.mkdir()
    for value, level in crushed_spine.levels.items():
        write_label_map(folder / f"vertebrae_{level}.nii.gz", (crushed_spine.array == value).astype(np.uint8), crushed_spine.grid)
    write_label_map(folder / "vertebrae_T12.nii.gz", np.zeros_like(crushed_spine.array), crushed_spine.grid)
    assert main(["score", str(folder), "-o", str(tmp_path / "out")]) == 0
    table = pandas.read_csv(tmp_path / "out" / "segmentations" / "scores.csv")
    assert list(table.level) == ["L2", "L3", "L4", "L5"]
    assert table.score.idxmax() == 1


def test_nothing_of_a_header_reaches_an_output(crushed_spine, tmp_path):
    secret = "DOE^JANE 1950"
    image = nib.Nifti1Image(crushed_spine.array, crushed_spine.grid.affine)
    image.header["descrip"] = image.header["db_name"] = secret
    image.header["aux_file"] = image.header["intent_name"] = secret
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", secret.encode()))
    nib.save(image, tmp_path / "scan.nii.gz")
    assert secret.encode() in gzip.decompress((tmp_path / "scan.nii.gz").read_bytes())
    assert main(["score", str(tmp_path / "scan.nii.gz"), "-o", str(tmp_path / "out"), "--scheme", "verse"]) == 0
    for path in (tmp_path / "out").rglob("*.*"):
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        assert b"DOE^" not in content  # base64 has no such character: chance does not write it
        assert str(tmp_path).encode() not in content


def test_labels_that_are_whole_vertebrae_can_be_said_to_be_bodies(crushed_mask, tmp_path):
    assert main(["score", str(crushed_mask), "-o", str(tmp_path), "--scheme", "verse", "--bodies", "given"]) == 0
    assert set(pandas.read_csv(tmp_path / "lumbar" / "scores.csv").status) == {"ok"}
    split = sk.score(sk.load(crushed_mask, scheme="verse"), bodies="split")
    assert {v.status for v in split} == {"no_body"}
    assert "canal" in split["L3"].reason


def test_the_report_is_written_unless_it_is_declined(command, crushed_mask, tmp_path, scored_before):
    assert command("score", crushed_mask, "-o", tmp_path, "-q") == (0, "", "")
    assert (tmp_path / "lumbar" / "report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert command("score", crushed_mask, "-o", tmp_path, "-q", "--no-report") == (0, "", "")
    assert names(tmp_path / "lumbar") == FILES - {"report.html"}  # an older run's would not tell of these scores
