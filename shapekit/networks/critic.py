"""The Wasserstein critic: how much a shape among its neighbours looks like a real one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from shapekit.networks.blocks import SLOT_COUNT, Condition, folded

SOFTNESS_MM = 1.0
"""Occupancy is the logistic function of -distance over this: soft, so that its slope reaches the generator."""


def occupancy(field: Tensor) -> Tensor:
    """Signed distance (mm, negative inside) → soft occupancy, 0-1."""
    return torch.sigmoid(-field / SOFTNESS_MM)


class Critic(nn.Module):
    """Neighbours' and the target's soft occupancies (B, 5, 40, 32, 32) → one number each (B,); higher is more real.

    The first layer has ``width`` channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.condition = Condition(4 * width)
        steps: list[nn.Module] = [nn.Conv3d(8 * (SLOT_COUNT + 1), width, 3, padding=1), nn.LeakyReLU(0.2)]
        for n in range(2):
            steps += [nn.Conv3d(width << n, width << (n + 1), 3, stride=2, padding=1), nn.LeakyReLU(0.2)]
        self.convolutions = nn.Sequential(*steps)
        self.head = nn.Linear(4 * width * 5 * 4 * 4, 1)
        self.match = nn.Linear(4 * width, 4 * width)

    def forward(self, context: Tensor, shape: Tensor, level: Tensor, present: Tensor) -> Tensor:
        """Judge shapes; ``context`` (B, 4, …) and ``shape`` (B, 1, …) are soft occupancies."""
        there = present[:, :, None, None, None].to(context.dtype)
        h = self.convolutions(folded(torch.cat([context * there, shape], dim=1)))
        h = h * (1 + self.match(self.condition(level, present)))[:, :, None, None, None]
        out: Tensor = self.head(h.flatten(1)).squeeze(1)
        return out


def gradient_penalty(critic: nn.Module, context: Tensor, real: Tensor, made: Tensor, level: Tensor, present: Tensor, share: Tensor) -> Tensor:
    """Mean squared departure of the critic's slope from 1 between real and made shapes (Gulrajani et al. 2017, eq. 3).

    Parameters
    ----------
    critic : torch.nn.Module
        Takes what ``Critic.forward`` does.
    context, real, made : Tensor
        Soft occupancies: (B, 4, I, J, K) and twice (B, 1, I, J, K).
    level, present : Tensor
        As ``Critic.forward`` takes them.
    share : (B,) float
        Where between the two each sample is taken, 0-1.
    """
    share = share[:, None, None, None, None]
    between = (share * real + (1 - share) * made).detach().requires_grad_()
    (slope,) = torch.autograd.grad(critic(context, between, level, present).sum(), between, create_graph=True)
    penalty: Tensor = ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()
    return penalty
