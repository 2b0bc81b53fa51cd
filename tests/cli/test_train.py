import pytest

from shapekit.cli import main
from shapekit.networks import read_weights
from shapekit.predictors import make_predictor


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
    (folder / "tiny.yaml").write_text("width: 8\ncritic_width: 4\nbatch: 2\ncoarse_steps: 2\nrefine_steps: 2\n")
    drawn = {path: path.stat().st_mtime_ns for path in (folder / "samples").iterdir()}
    assert train(folder, "--config", str(folder / "tiny.yaml")) == 0
    assert {path: path.stat().st_mtime_ns for path in (folder / "samples").iterdir()} == drawn
    assert make_predictor("generative", folder / "generative.safetensors").name == "generative"
    assert make_predictor("coarse", folder / "generative.safetensors").name == "coarse"


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
