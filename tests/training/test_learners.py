import dataclasses

import numpy as np
import pytest
import torch

from shapekit.core.checks import InputError, UsageError
from shapekit.core.conventions import COARSE_SHAPE, COARSE_SPACING_MM
from shapekit.networks import Critic, Generator, masks_of
from shapekit.phantom import body_patch, draw_patient
from shapekit.sdf import double_patch
from shapekit.training import TrainingConfig, fit_linear, read_config, train_networks
from shapekit.training.batches import assembled, full_seats
from shapekit.training.learners import EfficientLearner, PaperLearner, learner_of
from shapekit.training.loop import Trainer

TINY = TrainingConfig(
    networks="paper", coarse_width=4, width=4, critic_width=2, batch=2, coarse_steps=2, refine_steps=2, checkpoint_every=2, critic_weight=1.0
)


class KilledError(Exception):
    pass


@pytest.fixture(scope="module")
def batch(cohort):
    return assembled([cohort[0]] * 2, [full_seats(cohort[0], 0), full_seats(cohort[0], 3)])


def test_the_papers_networks_are_trained_by_the_same_loop_and_resumed_to_the_same_bit(cohort, tmp_path):
    told = []

    def watch(stage, step, steps, figures):
        told.append((stage, step, figures))

    def kill(stage, step, steps, figures):
        if (stage, step) == ("refine", 1):
            raise KilledError

    whole = train_networks(TINY, None, cohort[2:], cohort[:1], tmp_path / "whole", progress=watch)
    with pytest.raises(KilledError):
        train_networks(TINY, None, cohort[2:], [], tmp_path / "killed", progress=kill)
    again = train_networks(TINY, None, cohort[2:], [], tmp_path / "killed")
    assert whole.keys() == again.keys()
    assert all(torch.equal(again[name], value) for name, value in whole.items())
    assert [what[:2] for what in told] == [("coarse", 1), ("coarse", 2), ("refine", 1), ("refine", 2)]
    assert {"loss", "critic", "validation_mm"} <= set(told[-1][2])


def test_the_adversarial_term_moves_refine(cohort, tmp_path):
    trainer = Trainer(TINY, None, cohort[2:], [], tmp_path)
    shown = trainer._batch("refine", 0)
    trainer._verdict(shown, trainer._made("refine", shown)).backward()
    slopes = [float(parameter.grad.abs().max()) for parameter in trainer.networks["refine"].parameters()]
    assert min(slopes) > 0
    assert all(parameter.grad is None for parameter in trainer.networks["coarse"].parameters())


def test_learning_lowers_the_loss(cohort, tmp_path):
    config = dataclasses.replace(TINY, coarse_steps=8, refine_steps=1, rate=0.4, critic_weight=0.0)
    losses = []
    train_networks(config, None, cohort[2:], [], tmp_path, progress=lambda stage, step, steps, told: losses.append(told["loss"]))
    assert min(losses[:8]) < 0.9 * losses[0]


def test_what_the_papers_networks_see_are_masks_at_1_mm(cohort, batch):
    shown = PaperLearner(TINY).shown(batch)
    assert shown.fields.shape == (2, 4, 64, 64, 64)
    assert shown.target.shape == (2, 1, 64, 64, 64)
    assert set(shown.fields.unique().tolist()) == {0.0, 1.0}
    assert float(shown.fields[~batch.present].sum()) == 0
    own = double_patch(cohort[0].healthy[3].astype(np.float32))[8:72]
    clear = np.abs(own) > 0.2  # there straight lines and cubics agree
    assert np.array_equal(shown.target[1, 0].numpy()[clear] > 0, own[clear] < 0)


def test_samples_at_2_mm_draw_nearly_the_mask_that_1_mm_would(batch):
    spine = draw_patient(3, levels=["T4", "T12", "L4"], fractures="none")
    fine, half = (
        torch.from_numpy(np.stack([body_patch(vertebra, vertebra.frame("healthy"), which="healthy", **size).values for vertebra in spine]))
        for size in ({}, {"shape": COARSE_SHAPE, "spacing_mm": COARSE_SPACING_MM})
    )
    stored = half.clamp(-12, 12).half().float()[:, None]
    got = PaperLearner(TINY).shown(dataclasses.replace(batch, target=stored)).target[:, 0]
    for one, want in zip(got, masks_of(fine), strict=True):
        assert abs(float(one.sum() / want.sum()) - 1) < 0.003
        assert float(2 * (one * want).sum() / (one.sum() + want.sum())) > 0.996


def test_its_error_is_told_in_mm_of_the_surface(batch):
    learner = PaperLearner(TINY)
    logits = 9.0 * (2 * learner.shown(batch).target - 1)
    assert float(learner.error_mm(logits, batch).max()) < 0.5
    thinner = torch.nn.functional.max_pool3d(-logits, 3, stride=1, padding=1).neg()  # a voxel less all around
    assert learner.error_mm(thinner, batch).tolist() == pytest.approx([1.5, 1.5], abs=0.4)  # a cube's support over all directions
    assert float(learner.error_mm(-logits.abs(), batch).min()) > 60  # no shape


def test_the_efficient_networks_start_where_the_shipped_ones_did(cohort):
    config = TrainingConfig(coarse_width=4, width=8, critic_width=6)
    torch.manual_seed(3)
    then = {"critic": Critic(6), "coarse": Generator(4), "refine": Generator(8)}  # in the order of that training
    model = fit_linear(cohort[2:], components=6)
    torch.manual_seed(3)
    now = EfficientLearner(config, model).networks()
    for name, network in then.items():
        assert all(torch.equal(value, now[name].state_dict()[key]) for key, value in network.state_dict().items()), name


def test_the_efficient_networks_need_a_guess():
    with pytest.raises(UsageError, match="none was given"):
        learner_of(TrainingConfig(), None)


def test_the_papers_configuration_is_known_by_name_and_changed_by_a_file(tmp_path):
    paper = read_config("paper")
    assert (paper.networks, paper.coarse_width, paper.width, paper.rate, paper.critic_weight) == ("paper", 64, 64, 1e-4, 1.0)
    assert read_config("efficient") == TrainingConfig()
    path = tmp_path / "c.yaml"
    path.write_text("networks: paper\nwidth: 8\n")
    assert read_config(path) == dataclasses.replace(paper, width=8)
    path.write_text("networks: unet\n")
    with pytest.raises(InputError, match="networks is 'unet', but must be one of: efficient, paper"):
        read_config(path)
    path.write_text("networks: [paper]\n")
    with pytest.raises(InputError, match=r"networks is .* but must be str"):
        read_config(path)
