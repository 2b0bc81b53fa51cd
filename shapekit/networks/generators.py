"""Coarse and refine: from the neighbours' distance fields to the expected one, as a correction to a blend of what is there.

Coarse-to-fine after Yu et al. 2018 (Generative image inpainting with contextual attention), whose attention appears here in its
simplest form: at every voxel each neighbour's field gets a share. Botros et al. 2022 give both networks the four neighbours.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from shapekit.networks.blocks import SLOT_COUNT, NetworkConfig, Trunk

NEAR_MM = 8.0
"""Distances are clipped here on their way into a network."""
DIFFERENCE_MM = 2.0
"""What a difference of two fields is divided by."""
OFF = -1e4
"""Logit of a neighbour that is not there."""


class Coarse(nn.Module):
    """Four neighbours → their shares at every voxel and a correction.

    ``forward`` takes the fields (B, 4, 40, 32, 32) in mm, absent ones of any finite value, the target's level (B,) int64 and who is
    there (B, 4) bool, and returns the shares (B, 4, 40, 32, 32), which sum to 1, and the correction (B, 1, 40, 32, 32) in mm;
    ``blended`` makes a field of them on this or a finer grid.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.trunk = Trunk(2 * SLOT_COUNT + 1, SLOT_COUNT + 1, config.width)

    def forward(self, fields: Tensor, level: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        there = present[:, :, None, None, None].to(fields.dtype)
        near = fields.clamp(-NEAR_MM, NEAR_MM) * there
        base = near.sum(dim=1, keepdim=True) / there.sum(dim=1, keepdim=True).clamp(min=1.0)
        seen = torch.cat([(near - base) * there / DIFFERENCE_MM, there.expand_as(near), base / NEAR_MM], dim=1)
        out = self.trunk(seen, level, present)
        direct = torch.tensor([-1.0, 0.0, 0.0, -1.0], device=fields.device, dtype=out.dtype)[None, :, None, None, None]
        logits = torch.where(present[:, :, None, None, None], 2.0 * out[:, :SLOT_COUNT] + 2.0 * direct, OFF)
        return torch.softmax(logits.float(), dim=1), DIFFERENCE_MM * out[:, SLOT_COUNT:].float()


class Refine(nn.Module):
    """Four neighbours and the coarse field → shares of the five of them and a correction; otherwise as ``Coarse``."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.trunk = Trunk(2 * SLOT_COUNT + 1, SLOT_COUNT + 2, config.width)

    def forward(self, fields: Tensor, coarse: Tensor, level: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """See the class; ``coarse`` is (B, 1, 40, 32, 32) mm."""
        there = present[:, :, None, None, None].to(fields.dtype)
        near = fields.clamp(-NEAR_MM, NEAR_MM)
        first = coarse.clamp(-NEAR_MM, NEAR_MM)
        seen = torch.cat([(near - first) * there / DIFFERENCE_MM, there.expand_as(near), first / NEAR_MM], dim=1)
        out = self.trunk(seen, level, present)
        shares = torch.where(present[:, :, None, None, None], 2.0 * out[:, :SLOT_COUNT] - 4.0, OFF)
        logits = torch.cat([shares, 2.0 * out[:, SLOT_COUNT : SLOT_COUNT + 1]], dim=1)
        return torch.softmax(logits.float(), dim=1), DIFFERENCE_MM * out[:, SLOT_COUNT + 1 :].float()


def blended(fields: Tensor, shares: Tensor, correction: Tensor) -> Tensor:
    """Mix fields by their shares and add the correction.

    Parameters
    ----------
    fields : (B, n, I, J, K) float, mm
        On the networks' patch or one finer by a whole number; shares and correction, which are smooth, are interpolated.
    shares : (B, n, i, j, k)
    correction : (B, 1, i, j, k), mm

    Returns
    -------
    (B, 1, I, J, K), mm
    """
    if fields.shape[2:] != shares.shape[2:]:
        size = list(fields.shape[2:])
        shares = nn.functional.interpolate(shares, size=size, mode="trilinear", align_corners=False)
        correction = nn.functional.interpolate(correction, size=size, mode="trilinear", align_corners=False)
    return (shares * fields).sum(dim=1, keepdim=True) + correction


def joined(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Coarse's shares and correction as refine's leave them: what the neighbours get directly and through the coarse field.

    Parameters
    ----------
    first : shares (B, 4, i, j, k), correction (B, 1, i, j, k)
        Of ``Coarse``.
    second : shares (B, 5, i, j, k), correction (B, 1, i, j, k)
        Of ``Refine``; the last share is the coarse field's.

    Returns
    -------
    shares : (B, 4, i, j, k)
    correction : (B, 1, i, j, k), mm
        Blending the neighbours with these is blending them and the coarse field with refine's.
    """
    (shares, correction), (outer, more) = first, second
    through = outer[:, SLOT_COUNT:]
    return outer[:, :SLOT_COUNT] + through * shares, through * correction + more
