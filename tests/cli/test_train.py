import shutil
from dataclasses import replace

import pandas
import pytest

from shapekit.cli import main
from shapekit.networks import read_weights
from shapekit.predictors import make_predictor
from shapekit.training import read_config, read_samples
from shapekit.training.loop import Trainer
from tests.factories import pass_through


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("train")


def train(folder, *more):
    return main(["train", "-o", str(folder), "--patients", "2", "--calibration", "0", "-q", *more])


def test_a_linear_model_is_trained_and_can_be_used(folder):
    assert train(folder, "--predictor", "linear") == 0
    assert sorted(path.name for path in folder.iterdir()) == ["linear.safetensors", "samples"]
    _, card, identity = read_weights(folder / "linear.safetensors", "linear")
    assert "not a medical device" in card["intended_use"]
    assert card["config"]["patients"] == 2
    predictor = make_predictor("linear", folder / "linear.safetensors")
    assert predictor.identity == identity
    assert predictor.spread is None


def test_networks_are_trained_on_the_same_samples(folder):
    (folder / "tiny.yaml").write_text("coarse_width: 4\nwidth: 8\ncritic_width: 4\nbatch: 2\ncoarse_steps: 2\nrefine_steps: 2\n")
    drawn = {path: path.stat().st_mtime_ns for path in (folder / "samples").iterdir()}
    assert train(folder, "--config", str(folder / "tiny.yaml")) == 0
    assert {path: path.stat().st_mtime_ns for path in (folder / "samples").iterdir()} == drawn
    assert make_predictor("generative", folder / "generative.safetensors").name == "generative"
    assert make_predictor("coarse", folder / "generative.safetensors").name == "coarse"


def test_the_papers_networks_go_the_whole_way(folder, tmp_path, crushed_mask):
    """From a checkpoint of networks that draw what they see, because learning that takes longer than a test may."""
    run, options = tmp_path / "run", tmp_path / "paper.yaml"
    shutil.copytree(folder / "samples", run / "samples")
    options.write_text("networks: paper\ncoarse_width: 4\nwidth: 4\ncritic_width: 2\nbatch: 2\ncoarse_steps: 1\nrefine_steps: 1\n")
    trainer = Trainer(replace(read_config(options), patients=2), None, read_samples(sorted((run / "samples").iterdir())), [], run)
    for name, seen in (("coarse", (1, 2)), ("refine", (4,))):
        trainer.average[name] = {key: value.clone() for key, value in pass_through(trainer.networks[name], seen).state_dict().items()}
    trainer.save_checkpoint()
    assert train(run, "--config", str(options)) == 0
    weights = run / "generative.safetensors"
    _, card, identity = read_weights(weights, "generative")
    assert (card["config"]["networks"], card["config"]["width"]) == ("paper", 4)
    assert "not a medical device" in card["intended_use"]
    assert main(["score", str(crushed_mask), "-o", str(tmp_path / "out"), "--weights", str(weights), "-q", "--no-report"]) == 0
    rows = pandas.read_csv(tmp_path / "out" / "lumbar" / "scores.csv").set_index("level")
    assert set(rows["status"]) == {"ok"}
    assert set(rows["weights_id"]) == {identity}
    assert (rows["expected_mm3"] / rows["actual_mm3"]).drop("L3").between(0.7, 1.6).all()
    assert rows["score"].idxmax() == "L3"  # the crushed one
    assert main(["evaluate", "-o", str(tmp_path / "judged"), "-n", "1", "--predictors", f"generative:{weights}", "-q"]) == 0
    judged = pandas.read_csv(tmp_path / "judged" / "rows.csv")
    assert set(judged["predictor"]) == {"generative generative"}
    assert 0.5 < judged["surface_mm"].median() < 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--predictor", "oracle"], "oracle"), (["--config", "none.yaml"], "none.yaml cannot be read"), (["--patients", "-1"], "patients is -1")],
)
def test_what_cannot_be_trained_is_told_in_one_line(tmp_path, capsys, arguments, said):
    assert main(["train", "-o", str(tmp_path / "out"), *arguments]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


def test_a_users_own_masks_with_grades_train_a_model(folder, tmp_path, capsys):
    assert main(["phantom", "-o", str(tmp_path / "cohort"), "-n", "2", "--seed", "5", "-q"]) == 0
    (tmp_path / "cohort" / "dataset_description.json").unlink()  # now they are just masks
    masks = sorted((tmp_path / "cohort" / "derivatives").rglob("*_msk.nii.gz"))
    plain = tmp_path / "plain"
    plain.mkdir()
    for mask in masks:
        mask.rename(plain / mask.name)
    lines = [
        f"{mask.name.removesuffix('.nii.gz')},{level},{int(level == 'L1')}" for mask in masks for level in ("T10", "T11", "T12", "L1", "L2", "L3")
    ]
    (plain / "grades.csv").write_text("\n".join(["case,level,grade", *lines]) + "\n")
    assert main(["train", "-o", str(tmp_path / "run"), "--predictor", "linear", "--data", str(plain), "--calibration", "0", "-q"]) == 0
    _, card, _ = read_weights(tmp_path / "run" / "linear.safetensors", "linear")
    assert card["cohort"] == "plain, vertebrae of grade 0"
    (plain / "grades.csv").write_text("case,level,grade\n" + lines[3] + "\n")  # only a fractured one is graded
    assert main(["train", "-o", str(tmp_path / "none"), "--predictor", "linear", "--data", str(plain), "--calibration", "0", "-q"]) == 2
    assert "plain has no vertebra with a grade of 0" in capsys.readouterr().err
