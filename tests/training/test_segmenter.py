import dataclasses

import numpy as np
import pytest
import torch

from shapekit.core.checks import InputError
from shapekit.networks import read_weights
from shapekit.segmentation import Sample, draw_volume, read_segmenter
from shapekit.training import SegmenterConfig, draw_volumes, read_config, train_segmenter
from shapekit.training.segmenter import SegmenterTrainer, draw_batch_of_patches, gathered, nearness, off_centre, segmenter_loss

TINY = SegmenterConfig(patients=2, width=8, growth=8, patch=32, spacing_mm=4.0, batch=2, steps=6, checkpoint_every=2, watched=2)


@pytest.fixture(scope="module")
def volumes():
    return [draw_volume(index, seed=3, spacing_mm=4.0) for index in range(2)]


@pytest.fixture(scope="module")
def whole(volumes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    told = []
    path, identity = train_segmenter(TINY, volumes, folder, progress=lambda *what: told.append(what))
    return path, identity, told


def test_the_weights_can_be_used_and_say_how_they_came_about(whole):
    path, identity, told = whole
    assert [what[0] for what in told] == [1, 2, 3, 4, 5, 6]
    assert read_segmenter(path).identity == identity
    card = read_weights(path, "segmentation")[1]
    assert card["config"] == dataclasses.asdict(TINY)
    assert "not a medical device" in card["intended_use"]
    assert {"T10", "L1"} <= set(card["scatter"])
    assert all(error >= 0.2 for error in card["scatter"].values())
    assert max(card["scatter"].values()) > 1.0  # hardly anything was learnt


def test_how_far_bodies_lie_from_their_patches_middle():
    target = torch.zeros(2, 1, 16, 16, 16)
    target[0, 0, 4:7, 7:9, 7:9] = 1.0
    assert off_centre(target).tolist() == pytest.approx([2.5, 0.0])


def test_the_loss_falls_and_a_body_appears_where_it_is(volumes, tmp_path):
    config = dataclasses.replace(TINY, rate=1e-2, steps=60)
    trainer = SegmenterTrainer(config, volumes[:1], [], tmp_path)
    batch = draw_batch_of_patches(volumes[:1], dataclasses.replace(config, batch=2, seed=2), 0)
    assert batch.present.sum() >= 2
    losses = []
    for step in range(120):  # small bodies at the ends take longer
        trainer._step(batch, step + 200)  # beyond the warm-up
        losses.append(float(trainer.loss(batch).detach()))
    assert min(losses[-5:]) < 0.3 * losses[0]
    with torch.no_grad():
        logits = trainer.network(batch.image, batch.memory)[0]
    made, real = logits > 0, batch.target > 0.5
    assert 2 * float((made & real).sum()) / float(made.sum() + real.sum()) > 0.6


@pytest.mark.skipif(
    not torch.cpu._is_amx_tile_supported(), reason="no AMX: torch's bfloat16 gradients of weights hold unwritten memory (seen on AMD EPYC)"
)
def test_bfloat16_loses_and_learns_alike(volumes, tmp_path):
    exact, rough = (SegmenterTrainer(dataclasses.replace(TINY, precision=name), volumes, [], tmp_path) for name in ("32-true", "bf16-mixed"))
    batch = draw_batch_of_patches(volumes, TINY, 0)
    losses = [trainer.loss(batch) for trainer in (exact, rough)]
    assert losses[0] != losses[1]
    assert losses[1].item() == pytest.approx(losses[0].item(), rel=0.03)
    for loss in losses:
        loss.backward()
    one, other = (torch.cat([part.grad.flatten() for part in trainer.network.parameters()]) for trainer in (exact, rough))
    assert float(torch.nn.functional.cosine_similarity(one, other, dim=0)) > 0.98


def sample(target, complete=1.0, value=20.0):
    return Sample(np.zeros_like(target), np.zeros_like(target), target, complete, value)


def test_the_loss_is_the_papers_on_a_body_of_one_voxel():
    target = np.zeros((16, 16, 16), np.float32)
    target[8, 8, 8] = 1.0
    batch = gathered([sample(target)])
    flat = (torch.zeros(1, 1, 16, 16, 16), torch.zeros(1), torch.tensor([22.0]))
    near = nearness(batch.target, 2.0)
    own = float(near[0, 0, 8, 8, 8])
    wrong = 0.5 * own + 0.1 * 0.5 * (float(near.sum().double()) - own)
    wanted = 8.0 / 150_000.0 * wrong + np.log(2) + 0.02 * (20.0 + 4.0)
    loss = float(segmenter_loss(flat, batch, fp_weight=0.1, cross_entropy=0.0, spacing_mm=2.0))
    assert loss == pytest.approx(wanted, rel=1e-5)
    # four voxels away, nearly 8 mm from the surface, which lies half a voxel nearer or farther by the distance's own convention
    assert 1 + 8 * np.exp(-(8.0**2) / 36) <= float(near[0, 0, 12, 8, 8]) <= 1 + 8 * np.exp(-(7.0**2) / 36)


def test_patches_without_a_body_teach_nothing_of_levels():
    batch = gathered([sample(np.zeros((16, 16, 16), np.float32), 0.0, 0.0)])
    outputs = (torch.full((1, 1, 16, 16, 16), -30.0), torch.tensor([5.0]), torch.tensor([3.0]))
    assert float(segmenter_loss(outputs, batch, fp_weight=1.0, cross_entropy=1.0, spacing_mm=2.0)) == pytest.approx(0.0, abs=1e-6)


def test_phantoms_are_drawn_once_and_read_again(volumes, tmp_path):
    config = dataclasses.replace(TINY, patients=1, seed=3)
    first = draw_volumes(tmp_path, config)
    (path,) = tmp_path.iterdir()
    stamp = path.stat().st_mtime_ns
    again = draw_volumes(tmp_path, config)
    assert path.stat().st_mtime_ns == stamp
    for name in ("hu", "labels", "body", "bone"):
        assert np.array_equal(getattr(first[0], name), getattr(again[0], name))
        assert np.array_equal(getattr(first[0], name), getattr(volumes[0], name))


def test_another_configurations_checkpoint_is_refused(volumes, whole):
    with pytest.raises(InputError, match="belongs to another configuration"):
        train_segmenter(dataclasses.replace(TINY, rate=1e-4), volumes, whole[0].parent)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("critic_width: 3", "names critic_width"),
        ("steps: 0", "steps is 0"),
        ("patch: 40", "build no network"),
        ("rate: fast", "rate is"),
        ("precision: half", "precision is"),
    ],
)
def test_a_wrong_configuration_is_told_in_one_sentence(tmp_path, text, said):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        read_config(path, SegmenterConfig)
    path.write_text("steps: 7\n")
    assert read_config(path, SegmenterConfig) == SegmenterConfig(steps=7)
