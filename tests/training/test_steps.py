import dataclasses
from multiprocessing.reduction import ForkingPickler

import pytest
import torch

from shapekit.core.checks import InputError
from shapekit.networks import read_weights
from shapekit.segmentation import draw_volume
from shapekit.training import LevelConfig, SegmenterConfig, train_levels, train_segmenter
from shapekit.training.levels import LevelTrainer
from shapekit.training.segmenter import SegmenterTrainer
from shapekit.training.steps import held_out

LEVELS = LevelConfig(patients=2, width=8, growth=8, batch=1, steps=2, checkpoint_every=1, watched=1)
PATCHES = SegmenterConfig(patients=2, width=8, growth=8, patch=32, spacing_mm=4.0, batch=1, steps=2, checkpoint_every=1, watched=1)


@pytest.fixture(scope="module")
def volumes():
    return [draw_volume(index, seed=3, spacing_mm=4.0) for index in range(2)]


class KilledError(Exception):
    pass


@pytest.mark.parametrize(("train", "config"), [(train_levels, LEVELS), (train_segmenter, PATCHES)])
def test_a_run_that_was_killed_goes_on_to_the_same_bit(volumes, tmp_path, train, config):
    config = dataclasses.replace(config, steps=5, checkpoint_every=3)
    _, whole = train(config, volumes, tmp_path / "whole")
    for after in (1, 4):  # before the first checkpoint, and between two

        def kill(step, steps, figures, after=after):
            if step == after:
                raise KilledError

        with pytest.raises(KilledError):
            train(config, volumes, tmp_path / str(after), progress=kill)
        assert train(config, volumes, tmp_path / str(after))[1] == whole


@pytest.mark.parametrize(("train", "config", "kind"), [(train_levels, LEVELS, "levels"), (train_segmenter, PATCHES, "segmentation")])
def test_training_goes_on_from_weights_and_says_from_which(volumes, tmp_path, train, config, kind):
    path, identity = train(config, volumes, tmp_path / "one")
    still = dataclasses.replace(config, rate=1e-9, seed=2)  # another seed than that which the start came from
    on, _ = train(still, volumes, tmp_path / "two", start=path, cohort="ten CTs")
    card = read_weights(on, kind)[1]
    assert card["started_from"] == identity
    assert card["cohort"] == "ten CTs; before it: synthetic patients drawn by shapekit.phantom from published morphometry; no patient's data"
    before, after = (read_weights(one, kind)[0] for one in (path, on))
    for name, value in before.items():  # hardly a step was taken
        torch.testing.assert_close(after[name].float(), value.float(), atol=2e-3, rtol=1e-3)
    anew, _ = train(still, volumes, tmp_path / "three")
    assert any(not torch.allclose(read_weights(anew, kind)[0][name].float(), value.float(), atol=1e-2) for name, value in before.items())
    with pytest.raises(InputError, match="from another start"):
        train(still, volumes, tmp_path / "two", cohort="ten CTs")
    third, _ = train(still, volumes, tmp_path / "five", start=on)  # phantoms again, after scans
    assert "ten CTs" in read_weights(third, kind)[1]["cohort"]
    assert "the scans' own terms" in read_weights(third, kind)[1]["licence"]
    with pytest.raises(InputError, match="no start for this configuration"):
        train(dataclasses.replace(config, width=16), volumes, tmp_path / "four", start=path)


def test_weights_of_another_task_are_no_start(volumes, tmp_path):
    path, _ = train_levels(LEVELS, volumes, tmp_path)
    with pytest.raises(InputError, match="holds weights of another kind"):
        train_segmenter(PATCHES, volumes, tmp_path / "other", start=path)


def test_one_in_twenty_watches_at_least_one_of_several_and_none_of_one():
    for count, watching in ((1, 0), (2, 1), (19, 1), (40, 2), (120, 6)):
        learnt, watched = held_out(range(count), None)
        assert (list(learnt), list(watched)) == (list(range(count - watching)), list(range(count - watching, count)))


def test_who_is_named_watches():
    assert held_out("ab", "c") == ("ab", "c")


def test_a_training_that_goes_on_counts_everything_from_its_first_step(volumes, tmp_path):
    path, _ = train_levels(LEVELS, volumes, tmp_path)
    anew, on = (LevelTrainer(LEVELS, volumes, [], tmp_path, start=start) for start in (None, path))
    batch = anew.draw(0)
    with torch.no_grad():
        assert float(on.objective(batch, 0.0)) == float(on.objective(batch, 1.0))
        assert float(anew.objective(batch, 0.0)) > float(anew.objective(batch, 1.0))


def test_processes_that_draw_get_no_network(volumes, tmp_path):
    trainer = SegmenterTrainer(PATCHES, volumes, [], tmp_path)
    sent = bytes(ForkingPickler.dumps(trainer.draw))
    assert b"segmentation.network" not in sent
    again = ForkingPickler.loads(sent)(1)
    assert torch.equal(again.image, trainer.draw(1).image)
