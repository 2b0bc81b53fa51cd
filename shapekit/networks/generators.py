"""Coarse and refine: from the neighbours' distance fields and a first guess to the expected field, as a correction to a blend of them.

Coarse-to-fine after Yu et al. 2018 (Generative image inpainting with contextual attention), whose attention appears here in its
simplest form: at every voxel each field gets a share. Botros et al. 2022 give both networks the four neighbours, and refine what coarse
made of them; here coarse is given a first guess as well, the linear conditional shape model's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from shapekit.networks.blocks import SLOT_COUNT, Trunk

NEAR_MM = 8.0
"""Distances are clipped here on their way into a network."""
DIFFERENCE_MM = 2.0
"""What a difference of two fields is divided by."""
OFF = -1e4
"""Added to the logit of a neighbour that is not there: far beyond what a network says."""
GUESS_FIRST = -4.0
"""Logit of a neighbour before anything is learnt; the guess's is 0."""


class Generator(nn.Module):
    """Four neighbours and a guess → the shares of the five at every voxel, and a correction.

    ``forward`` takes the fields (B, 4, 40, 32, 32) in mm, absent ones of any finite value, the guess (B, 1, 40, 32, 32) in mm, the
    target's level (B,) int64 and who is there (B, 4) bool, and returns the shares (B, 5, 40, 32, 32), which sum to 1 and of which the
    last is the guess's, and the correction (B, 1, 40, 32, 32) in mm; ``shapekit.ops.blended`` makes a field of them on this or a finer
    grid. ``width`` is that of its ``Trunk``.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.trunk = Trunk(SLOT_COUNT + 2, width)

    def forward(self, fields: Tensor, guess: Tensor, level: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        there = present.to(fields.dtype)
        base = guess.clamp(-NEAR_MM, NEAR_MM)
        apart = (fields.clamp(-NEAR_MM, NEAR_MM) - base) * (there / DIFFERENCE_MM)[:, :, None, None, None]
        out = self.trunk(torch.cat([apart, base / NEAR_MM], dim=1), level, present).float()
        first = functional.pad(GUESS_FIRST + OFF * (1 - there), (0, 1))
        shares = torch.softmax(torch.add(first[:, :, None, None, None], out[:, : SLOT_COUNT + 1], alpha=2.0), dim=1)
        return shares, DIFFERENCE_MM * out[:, SLOT_COUNT + 1 :]


def joined(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Shares and correction of two stages in one: what neighbours and first guess get directly and through the first stage's field.

    Parameters
    ----------
    first, second : shares (B, 5, i, j, k), correction (B, 1, i, j, k)
        Of two ``Generator``; the second's guess is what the first's blend to.

    Returns
    -------
    shares : (B, 5, i, j, k)
    correction : (B, 1, i, j, k), mm
        Blending with these is blending with the first stage's and then with the second's.
    """
    (shares, correction), (outer, more) = first, second
    through = outer[:, SLOT_COUNT:]
    direct = functional.pad(outer[:, :SLOT_COUNT], (0, 0, 0, 0, 0, 0, 0, 1))
    return direct + through * shares, through * correction + more
