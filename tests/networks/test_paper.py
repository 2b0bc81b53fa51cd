import numpy as np
import pytest
import torch
from torch import nn

from shapekit.core.conventions import PATCH_SHAPE
from shapekit.networks import PaperCritic, PaperGenerator, distance_of, gradient_penalty, masks_of
from tests.factories import ellipsoid_distance

CUBE = (64, 64, 64)
RADII = (22.0, 16.0, 12.0)


def points(shape):
    """Voxels' centres from the patch's middle, mm."""
    return np.stack(np.meshgrid(*[np.arange(side) - (side - 1) / 2 for side in shape], indexing="ij"), axis=-1)


def inside(*radii):
    return ((points(CUBE) / radii) ** 2).sum(axis=-1) < 1


@pytest.fixture(scope="module")
def masks():
    """Four neighbours of two targets; the second has one only."""
    made = torch.stack([torch.from_numpy(inside(20 + n, 15, 11 + n)).float() for n in range(4)])
    return torch.stack([made, made * torch.tensor([0.0, 1.0, 0.0, 0.0])[:, None, None, None]])


def test_the_generator_has_the_papers_layers():
    network = PaperGenerator(4)
    convolutions = [layer for layer in network if isinstance(layer, nn.Conv3d)]
    assert [layer.out_channels for layer in convolutions] == [64, 64, 128, 128, 256, 256, 512, 512, 256, 256, 128, 128, 64, 64, 1]
    assert {(layer.kernel_size, layer.padding_mode) for layer in convolutions[:-1]} == {((3, 3, 3), "replicate")}
    assert {layer.negative_slope for layer in network if isinstance(layer, nn.LeakyReLU)} == {0.2}
    assert {type(layer) for layer in network.modules()} == {PaperGenerator, nn.Conv3d, nn.LeakyReLU, nn.MaxPool3d, nn.ConvTranspose3d}
    with torch.inference_mode():
        assert network(torch.zeros(1, 4, 16, 16, 16)).shape == (1, 1, 16, 16, 16)


def test_the_critics_slope_reaches_every_weight_of_refine(masks):
    torch.manual_seed(0)
    refine, critic = PaperGenerator(5, 4), PaperCritic(4)
    logits = refine(torch.cat([masks, masks[:, :1]], dim=1))
    critic(masks, torch.sigmoid(logits)).mean().backward()
    slopes = {name: float(parameter.grad.abs().max()) for name, parameter in refine.named_parameters()}
    assert min(slopes.values()) > 0, [name for name, slope in slopes.items() if slope == 0]
    assert not (logits > 0).float().requires_grad  # what the first implementation fed its critic


def test_the_critic_sees_shape_and_neighbours_and_its_penalty_reaches_it(masks):
    torch.manual_seed(0)
    critic = PaperCritic(4)
    real, made = masks[:, 1:2], 0.5 * masks[:, 1:2]
    verdict = critic(masks, real)
    assert verdict.shape == (2,)
    assert not torch.equal(verdict, critic(masks, made))
    assert not torch.equal(verdict, critic(masks.flip(0), real))
    level, present = torch.zeros(2, dtype=torch.int64), torch.ones(2, 4, dtype=torch.bool)
    gradient_penalty(critic, masks, real, made, level, present, torch.tensor([0.2, 0.9])).backward()
    assert all(float(parameter.grad.abs().max()) > 0 for name, parameter in critic.named_parameters() if name.endswith("weight"))


def test_masks_are_the_middle_of_the_patch_and_nobody_has_none():
    field = torch.from_numpy(((points(PATCH_SHAPE) / RADII) ** 2).sum(axis=-1) - 1).float()
    mask = masks_of(torch.stack([field, torch.zeros_like(field)]))
    assert mask.shape == (2, *CUBE)
    assert float(mask[0].sum()) == float((field < 0).sum())
    assert torch.equal(mask[0], mask[0].flip(0))
    assert float(mask[1].sum()) == 0


def test_logits_become_the_distance_of_the_shape_they_draw():
    true = ellipsoid_distance(points(PATCH_SHAPE), RADII)
    made = distance_of(np.where(inside(*RADII), 0.3, -7.0))
    near = np.abs(true) < 3
    assert made.shape == PATCH_SHAPE
    assert made.dtype == np.float32
    assert np.sqrt(((made - true)[near] ** 2).mean()) < 0.25
    assert abs((made - true)[near].mean()) < 0.05
    assert float(distance_of(np.full(CUBE, -1.0)).min()) == 64.0


def test_a_shape_as_wide_as_the_patch_ends_with_it():
    made = distance_of(np.full(CUBE, 1.0))
    assert (made[8:72] < 0).all()
    assert (made[:8] > 0).all()
