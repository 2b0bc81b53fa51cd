import dataclasses

import pytest
import torch

from shapekit.core.checks import InputError
from shapekit.networks import read_weights
from shapekit.segmentation import draw_volume, read_levels
from shapekit.training import LevelConfig, read_config, train_levels
from shapekit.training.levels import LevelTrainer

TINY = LevelConfig(patients=2, width=8, growth=8, batch=2, steps=6, checkpoint_every=2, watched=2)


@pytest.fixture(scope="module")
def volumes():
    return [draw_volume(index, seed=3, spacing_mm=4.0) for index in range(2)]


@pytest.fixture(scope="module")
def whole(volumes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    told = []
    path, identity = train_levels(TINY, volumes, folder, progress=lambda *what: told.append(what))
    return path, identity, told


def test_the_weights_can_be_used_and_say_how_they_came_about(whole):
    path, identity, told = whole
    assert [what[0] for what in told] == [1, 2, 3, 4, 5, 6]
    assert {"bodies_right", "views_right", "surprise"} <= set(told[1][2])
    assert read_levels([path]).identity == identity
    card = read_weights(path, "levels")[1]
    assert card["config"] == dataclasses.asdict(TINY)
    assert "not a medical device" in card["intended_use"]
    assert 0.0 <= card["validation"]["bodies_right"] <= 1.0


def test_views_are_learnt(volumes, tmp_path):
    config = dataclasses.replace(TINY, rate=3e-3, steps=400)
    trainer = LevelTrainer(config, volumes[:1], [], tmp_path)
    batch = [min((view for step in range(6) for view in trainer.draw(step) if view.count > 2), key=lambda view: view.image.size)]
    before = float(trainer.objective(batch, 1.0).detach())
    for step in range(60):
        trainer._step(batch, 320 if step > 40 else 200)  # beyond the warm-up, bodies alone and then sequences only
    assert float(trainer.objective(batch, 1.0).detach()) < 0.1 * before


def test_at_first_bodies_alone_count_too(volumes, tmp_path):
    trainer = LevelTrainer(TINY, volumes, [], tmp_path)
    batch = trainer.draw(1)
    with torch.no_grad():
        first, half, last = (float(trainer.objective(batch, share)) for share in (0.0, 0.25, 0.5))
    assert last == float(trainer.objective(batch, 1.0).detach())
    assert half - last == pytest.approx((first - last) / 2, rel=1e-4)
    assert first - last > 1.0


def test_bfloat16_loses_alike(volumes, tmp_path):
    exact, rough = (LevelTrainer(dataclasses.replace(TINY, precision=name), volumes, [], tmp_path) for name in ("32-true", "bf16-mixed"))
    batch = exact.draw(0)
    with torch.no_grad():
        losses = [float(trainer.objective(batch, 1.0)) for trainer in (exact, rough)]
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.03)


def test_a_configuration_is_read_and_refused(tmp_path):
    path = tmp_path / "options.yaml"
    path.write_text("width: 8\nsteps: 40\n")
    assert read_config(path, LevelConfig) == LevelConfig(width=8, steps=40)
    for text, wrong in (
        ("width: 6", "build no network"),
        ("steps: 0", "at least 1"),
        ("patch: 48", "no options"),
        ("precision: half", "must be"),
        ("spacing_mm: 3.0", "part of 4 mm"),
        ("spacing_mm: 0.0", "part of 4 mm"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=wrong):
            read_config(path, LevelConfig)
