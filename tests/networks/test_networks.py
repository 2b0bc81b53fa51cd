import pytest
import torch

from shapekit.networks import Critic, Generator, gradient_penalty, joined
from shapekit.networks.blocks import folded, unfolded
from shapekit.networks.critic import occupancy
from shapekit.ops import blended
from shapekit.training.losses import shape_loss, surface_error_mm

WIDTH, CRITIC_WIDTH = 8, 4
SHAPE = (40, 32, 32)


def ball(radius_mm, shift=0.0):
    axes = [torch.arange(side) * 2.0 - (side - 1) for side in SHAPE]
    x, y, z = torch.meshgrid(*axes, indexing="ij")
    return torch.sqrt((x - shift) ** 2 + y**2 + z**2) - radius_mm


GUESS = ball(15.0).expand(2, 1, *SHAPE)


@pytest.fixture
def batch():
    torch.manual_seed(0)
    fields = torch.stack([torch.stack([ball(14 + n + k) for n in range(4)]) for k in range(2)])
    return fields, torch.tensor([3, 14]), torch.tensor([[True, True, True, False], [False, True, False, False]])


def stirred(network):
    """The same network with a head that says something, as after training."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel())))
    return network.eval()


def test_eight_voxels_become_channels_and_back():
    x = torch.randn(2, 3, 4, 6, 8)
    assert folded(x).shape == (2, 24, 2, 3, 4)
    assert torch.equal(unfolded(folded(x)), x)
    assert torch.equal(folded(x)[0, :8, 0, 0, 0].sort().values, x[0, 0, :2, :2, :2].flatten().sort().values)


def test_a_trunk_sees_neighbours_guess_who_is_there_and_where_a_voxel_lies(batch):
    _, _, present = batch
    trunk = stirred(Generator(WIDTH)).trunk
    x = torch.randn(2, 5, *SHAPE)
    there = present[:, :, None, None, None].expand(2, 4, *SHAPE).float()
    places = torch.stack(torch.meshgrid(*(torch.linspace(-1.0, 1.0, side) for side in SHAPE), indexing="ij")).expand(2, 3, *SHAPE)
    with torch.no_grad():
        whole = trunk.stem(folded(torch.cat([x[:, :4], there, x[:, 4:], places], dim=1)))
        torch.testing.assert_close(trunk.enter(x, present), whole, atol=1e-5, rtol=1e-5)


def test_an_untrained_network_leaves_nearly_all_to_the_guess_and_corrects_nothing(batch):
    fields, level, present = batch
    with torch.no_grad():
        shares, correction = Generator(WIDTH)(fields, GUESS, level, present)
    assert torch.equal(correction, torch.zeros_like(correction))
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(2, *SHAPE))
    assert float(shares[:, 4].min()) > 0.9
    assert float(shares[:, :4][~present].max()) == 0.0
    assert float((blended(fields, GUESS, shares, correction) - GUESS).abs().max()) < 0.3


def test_a_neighbour_that_is_not_there_changes_nothing(batch):
    fields, level, present = batch
    network = stirred(Generator(WIDTH))
    other = torch.where(present[:, :, None, None, None], fields, fields + 7.0)

    def run(shapes):
        return blended(shapes, GUESS, *network(shapes, GUESS, level, present))

    with torch.no_grad():
        torch.testing.assert_close(run(other), run(fields))
        assert (run(fields) - run(fields + 0.5)).abs().max() > 0.1  # those that are there do


def test_a_finer_grid_gives_the_same_shape(batch):
    fields, _, _ = batch
    ramp = torch.linspace(-1, 1, 40)[None, None, :, None, None].expand(2, 5, *SHAPE)
    shares = torch.softmax(ramp * torch.tensor([1.0, 0.0, -1.0, 2.0, 0.5])[None, :, None, None, None], dim=1)
    correction = ramp[:, :1] * 0.5
    fine, guess = (torch.nn.functional.interpolate(part, scale_factor=2, mode="trilinear", align_corners=False) for part in (fields, GUESS))
    half = blended(fields, GUESS, shares, correction)
    whole = torch.nn.functional.avg_pool3d(blended(fine, guess, shares, correction), 2)
    near = half.abs() < 6  # away from the balls' middles, where their distances have a cusp
    assert (whole - half)[near].abs().max() < 0.15


def test_both_stages_in_one_blend_give_what_one_after_the_other_gives(batch):
    fields, level, present = batch
    coarse, refine = stirred(Generator(WIDTH)), stirred(Generator(WIDTH))
    with torch.no_grad():
        first = coarse(fields, GUESS, level, present)
        made = blended(fields, GUESS, *first)
        second = refine(fields, made, level, present)
        torch.testing.assert_close(blended(fields, GUESS, *joined(first, second)), blended(fields, made, *second))


def test_the_critics_slope_reaches_every_weight_of_the_generator(batch):
    fields, level, present = batch
    refine, critic = stirred(Generator(WIDTH)), stirred(Critic(CRITIC_WIDTH))
    made = blended(fields, GUESS, *refine(fields, GUESS, level, present))
    critic(occupancy(fields), occupancy(made), level, present).mean().backward()
    slopes = {name: float(parameter.grad.abs().max()) for name, parameter in refine.named_parameters() if "level" not in name}
    assert min(slopes.values()) > 0, [name for name, slope in slopes.items() if slope == 0]


def test_a_hard_threshold_would_not_let_it_through(batch):
    made = ball(15.0).requires_grad_()
    assert occupancy(made).sum().requires_grad
    assert not (made < 0).float().requires_grad  # what the first implementation fed its critic


def test_the_penalty_is_of_the_slope_between_real_and_made(batch):
    fields, level, present = batch

    class Plane(Critic):
        def forward(self, context, shape, level, present):
            return 3.0 * shape.flatten(1)[:, 0]

    real, made = occupancy(ball(15.0)).expand(2, 1, *SHAPE), occupancy(ball(13.0)).expand(2, 1, *SHAPE)
    found = gradient_penalty(Plane(CRITIC_WIDTH), occupancy(fields), real, made, level, present, torch.tensor([0.2, 0.9]))
    assert float(found) == pytest.approx(4.0)  # (3 - 1)^2


def test_the_loss_is_none_for_the_true_shape_and_grows_with_the_error():
    real = ball(15.0)[None, None]
    losses = [float(shape_loss(ball(15.0 + off)[None, None], real)) for off in (0.0, 0.5, 1.0, -1.0)]
    assert losses[0] == pytest.approx(0.0, abs=1e-6)
    assert losses[0] < losses[1] < losses[2]
    assert float(surface_error_mm(ball(15.7)[None, None], real)[0]) == pytest.approx(0.7, abs=0.01)
