import csv

import numpy as np
import pytest
import torch

import shapekit as sk
from shapekit.cli import main
from shapekit.core.values import Image
from shapekit.io.nifti import write_ct, write_label_map
from shapekit.io.shipped import shipped_weights
from shapekit.networks import write_weights
from shapekit.segmentation import Segmenter, SegmenterSizes, segment_ct, segmenter_card
from tests.segmentation.oracle import OracleEye, known_scan

SIZES = SegmenterSizes(4, 32, 4.0)


@pytest.fixture(scope="module")
def known():
    return known_scan(["L1", "L2", "L3"], 2.0)


@pytest.fixture(scope="module")
def ct(known, tmp_path_factory):
    path = tmp_path_factory.mktemp("cts") / "case.nii.gz"
    write_ct(path, known.image)
    return path


@pytest.fixture(scope="module")
def blind(tmp_path_factory):
    """Weights of a network that says there is no body anywhere."""
    network = Segmenter(SIZES)
    torch.nn.init.zeros_(network.head.weight)
    torch.nn.init.constant_(network.head.bias, -20.0)
    path = tmp_path_factory.mktemp("weights") / "segmentation.safetensors"
    write_weights(path, network.state_dict(), segmenter_card(SIZES, {}))
    return path


@pytest.fixture(scope="module")
def seeing(known, tmp_path_factory):
    """Weights of a network that takes whatever is bright and not in memory for a body."""
    network = Segmenter(SIZES)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.stem.weight[0, 0, 1, 1, 1] = 1.0
        network.head.weight[:, 0] = 60.0
        network.head.bias[:] = -18.0
        network.about[2].bias[:] = torch.tensor([4.0, 0.7])
    path = tmp_path_factory.mktemp("weights") / "bright.safetensors"
    write_weights(path, network.state_dict(), segmenter_card(SIZES, {}))
    return path


def told(capsys):
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    return text


def test_without_weights_those_that_ship_serve(tmp_path):
    ct = tmp_path / "case.nii.gz"
    write_ct(ct, known_scan(["L1", "L2", "L3", "L4", "L5"], 2.0).image)
    given = ["--weights", str(shipped_weights("segmentation"))]
    assert [main(["segment", str(ct), "-o", str(tmp_path / name), "-q", *more]) for name, more in (("a", []), ("b", given))] == [0, 0]
    assert (tmp_path / "a" / "case_seg.nii.gz").read_bytes() == (tmp_path / "b" / "case_seg.nii.gz").read_bytes()
    assert len((tmp_path / "a" / "case_seg.csv").read_text().splitlines()) > 1


def test_a_ct_without_a_spine_ends_with_1_and_an_empty_map(ct, blind, tmp_path, capsys):
    assert main(["segment", str(ct), "-o", str(tmp_path), "--weights", str(blind), "-q"]) == 1
    assert "no vertebral body was found in case" in told(capsys)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["case_seg.csv", "case_seg.nii.gz"]
    assert len((tmp_path / "case_seg.csv").read_text().splitlines()) == 1


def test_what_the_networks_see_is_written_as_a_map_and_a_table(tmp_path, capsys):
    ct, out = tmp_path / "case.nii.gz", tmp_path / "out"
    image = known_scan(["T12", "L1", "L2", "L3"], 2.0).image
    write_ct(ct, image)
    assert main(["segment", str(ct), "-o", str(out), "-q"]) == 0
    assert capsys.readouterr().err == ""
    assert main(["segment", str(ct), "-o", str(out)]) == 0
    said = capsys.readouterr().err
    with (out / "case_seg.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows
    assert {"level", "level_probability", "label", "complete", "confidence", "volume_mm3"} <= set(rows[0])
    least = min(float(row["level_probability"]) for row in rows)
    assert ("case: levels are doubtful" in said) == (least < 0.9)
    from shapekit.io.volumes import read_volume

    written = read_volume(out / "case_seg.nii.gz")
    assert written.grid.is_close(image.grid)
    assert {int(row["label"]) for row in rows} == set(np.unique(written.array).tolist()) - {0}


def test_score_says_when_the_levels_it_found_are_doubtful(tmp_path, capsys, monkeypatch):
    ct = tmp_path / "case.nii.gz"
    write_ct(ct, known_scan(["T12", "L1", "L2", "L3"], 2.0).image)
    monkeypatch.setattr("shapekit.segmentation.iterative.SURE", 1.1)  # whatever is found is doubtful
    run = ["score", str(ct), "-o", str(tmp_path / "out"), "--segment", "iterative", "--predictor", "neighbours", "--no-report"]
    assert main(run) == 0
    assert capsys.readouterr().err.startswith("shapekit: case: levels are doubtful: ")
    assert main([*run, "-q"]) == 0
    assert capsys.readouterr().err == ""


def test_more_bodies_than_a_spine_has_are_refused_by_name(ct, seeing, tmp_path, capsys):
    assert main(["segment", str(ct), "-o", str(tmp_path), "--weights", str(seeing), "-q"]) == 2
    assert "case: 25 bodies were found, but a spine has 19 at most" in told(capsys)
    assert list(tmp_path.iterdir()) == []


def test_an_mri_is_refused_and_the_next_ct_still_segmented(ct, blind, tmp_path, capsys, known):
    mri = tmp_path / "mri.nii.gz"
    write_ct(mri, Image(np.abs(known.image.array), known.image.grid))
    assert main(["segment", str(mri), str(ct), "-o", str(tmp_path / "out"), "--weights", str(blind), "-q"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "mri" in first
    assert "none of them negative" in first
    assert "case" in second
    assert (tmp_path / "out" / "case_seg.nii.gz").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--segment", "magic"], "segment is 'magic'"),
        (["--segment", "iterative", "--scheme", "verse"], "leave out"),
        (["--segment", "totalsegmentator"], "TotalSegmentator is not installed"),
    ],
)
def test_score_says_what_cannot_be_segmented(ct, tmp_path, capsys, monkeypatch, arguments, said):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["score", str(ct), "-o", str(tmp_path / "out"), *arguments]) == 2
    assert said in told(capsys)


def test_score_of_a_ct_without_a_spine_says_so(ct, blind, tmp_path, capsys):
    arguments = ["--segment", "iterative", "--segment-weights", str(blind), "-q"]
    assert main(["score", str(ct), "-o", str(tmp_path / "out"), *arguments]) == 1
    assert "no vertebral body was found in case" in told(capsys)


def test_a_segmentation_scores_like_the_mask_that_it_is_written_as(known, tmp_path):
    found = segment_ct(known.image, name="case", eye=OracleEye(known)).labels
    write_label_map(tmp_path / "case.nii.gz", found.array, found.grid)
    direct = sk.score(found, predictor="neighbours")
    loaded = sk.score(sk.load(tmp_path / "case.nii.gz"), predictor="neighbours", bodies="given")
    assert [str(v.level) for v in direct] == [str(v.level) for v in loaded] == ["L1", "L2", "L3"]
    assert [v.score for v in direct] == pytest.approx([v.score for v in loaded], abs=1e-4, nan_ok=True)  # the header holds float32


def test_a_network_is_trained_by_one_command_and_can_be_used(tmp_path, ct, capsys):
    config = tmp_path / "tiny.yaml"
    config.write_text("width: 4\npatch: 32\nspacing_mm: 4.0\nsteps: 2\ncheckpoint_every: 2\nwatched: 1\n")
    run = ["train", "--task", "segmentation", "--config", str(config), "--patients", "1", "-o", str(tmp_path / "run"), "-q"]
    assert main(run) == 0
    assert main(["segment", str(ct), "-o", str(tmp_path / "out"), "--weights", str(tmp_path / "run" / "segmentation.safetensors"), "-q"]) in (0, 1)
    assert (tmp_path / "out" / "case_seg.nii.gz").exists()
    capsys.readouterr()
    again = [
        "train",
        "--task",
        "segmentation",
        "--config",
        str(config),
        "--patients",
        "1",
        "--start",
        str(tmp_path / "run" / "segmentation.safetensors"),
        "-q",
    ]
    assert main([*again, "-o", str(tmp_path / "run")]) == 2
    assert "would be overwritten" in told(capsys)
    assert main([*again, "-o", str(tmp_path / "on")]) == 0
    assert main([*again, "--start", "shipped", "-o", str(tmp_path / "other")]) == 2
    assert "no start for this configuration" in told(capsys)
    assert main(["train", "--task", "dreams", "-o", str(tmp_path / "x")]) == 2
    assert "task is 'dreams'" in told(capsys)


def test_a_network_of_levels_is_trained_by_one_command_and_names_what_the_shipped_one_finds(tmp_path, capsys):
    config, ct = tmp_path / "tiny.yaml", tmp_path / "case.nii.gz"
    config.write_text("width: 4\ngrowth: 4\nspacing_mm: 4.0\nsteps: 2\nbatch: 1\ncheckpoint_every: 2\nwatched: 1\n")
    write_ct(ct, known_scan(["L1", "L2", "L3", "L4", "L5"], 2.0).image)
    assert main(["train", "--task", "levels", "--config", str(config), "--patients", "1", "-o", str(tmp_path / "run"), "-q"]) == 0
    weights = ["--weights", str(tmp_path / "run" / "levels.safetensors")]
    assert main(["segment", str(ct), "-o", str(tmp_path / "own"), "-q", *weights]) == 0
    assert main(["segment", str(ct), "-o", str(tmp_path / "shipped"), "-q"]) == 0
    capsys.readouterr()
    own, shipped = (list(csv.DictReader((tmp_path / name / "case_seg.csv").read_text().splitlines())) for name in ("own", "shipped"))
    assert {row["confidence"] for row in own} & {row["confidence"] for row in shipped}  # the same bodies, whatever they are called
    assert {row["level_probability"] for row in own}.isdisjoint({row["level_probability"] for row in shipped})
    assert main(["segment", str(ct), "-o", str(tmp_path / "x"), "--weights", str(shipped_weights("linear")), "-q"]) == 2
    assert "holds weights of another kind" in told(capsys)
