"""The networks of Botros et al. 2022 as they were: masks of 64 x 64 x 64 voxels of 1 mm, full resolution throughout, no skips, no normalisation.

Sizes and layers follow the paper's first implementation. Its critic, six strided convolutions after Yu et al. 2019 (Free-form image
inpainting with gated convolution), was held by spectral norm and clipped weights; here the gradient penalty holds it, as it holds the other one.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shapekit.core.conventions import LR, PATCH_SHAPE, PATCH_SPACING_MM
from shapekit.core.grid import Grid
from shapekit.networks.blocks import SLOT_COUNT
from shapekit.sdf import sdf_from_mask

SIDE = 64
"""Voxels of 1 mm along every side of these networks' patch: the middle of the 80 mm left to right."""
GROWTH = (1, 2, 4, 8)
"""Channels of the four levels, in widths."""
CRITIC_GROWTH = (1, 2, 4, 4, 4, 4)
AWAY_MM = float(SIDE)
"""Distance everywhere on a patch without a body."""

_BESIDE = (PATCH_SHAPE[LR] - SIDE) // 2


class PaperGenerator(nn.Sequential):
    """Occupancies → logits of the expected body; (B, ``inputs``, 64, 64, 64) → (B, 1, 64, 64, 64).

    Parameters
    ----------
    inputs : int
        4 for coarse: the neighbours, zeros where there is none; 5 for refine: coarse's occupancy beside them.
    width : int
        Channels at 1 mm; the paper's is 64, so that its levels have 64, 128, 256 and 512.
    """

    def __init__(self, inputs: int, width: int = 64) -> None:
        widths = [width * growth for growth in GROWTH]
        layers = _pair(inputs, widths[0])
        for before, after in pairwise(widths):
            layers += [nn.MaxPool3d(2), *_pair(before, after)]
        for before, after in pairwise(reversed(widths)):
            layers += [nn.ConvTranspose3d(before, after, 2, stride=2), *_pair(after, after)]
        super().__init__(*layers, nn.Conv3d(widths[0], 1, 1))


class PaperCritic(nn.Module):
    """Neighbours' and the target's occupancies (B, 4 + 1, 64, 64, 64) → one number each (B,); higher is more real.

    Parameters
    ----------
    width : int
        Channels of the first of six layers.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        widths = [SLOT_COUNT + 1, *(width * growth for growth in CRITIC_GROWTH)]
        steps: list[nn.Module] = []
        for before, after in pairwise(widths):
            steps += [nn.Conv3d(before, after, 5, stride=2, padding=2), nn.LeakyReLU(0.2)]
        self.convolutions = nn.Sequential(*steps)
        self.head = nn.Linear(widths[-1], 1)

    def forward(self, context: Tensor, shape: Tensor, *_: Tensor) -> Tensor:
        """Judge shapes by themselves and their neighbours; what else ``Critic`` is told does not matter here."""
        out: Tensor = self.head(self.convolutions(torch.cat([context, shape], dim=1)).flatten(1)).squeeze(1)
        return out


def _pair(before: int, after: int) -> list[nn.Module]:
    """Two 3 x 3 x 3 convolutions that go on beyond the edge with the edge's values."""
    convolutions = [nn.Conv3d(inputs, after, 3, padding=1, padding_mode="replicate") for inputs in (before, after)]
    return [convolutions[0], nn.LeakyReLU(0.2), convolutions[1], nn.LeakyReLU(0.2)]


def masks_of(fields: Tensor) -> Tensor:
    """Signed distances (..., 80, 64, 64) in mm → masks (..., 64, 64, 64) of 0 and 1; a field of zeros, where nobody is, gives none."""
    return (fields[..., _BESIDE : _BESIDE + SIDE, :, :] < 0).to(fields.dtype)


def distance_of(logits: NDArray[np.floating]) -> NDArray[np.float32]:
    """Turn what a network says into a field for the rest of the pipeline, by the way every mask takes.

    Parameters
    ----------
    logits : (64, 64, 64) float
        Above 0 inside.

    Returns
    -------
    (80, 64, 64) float32, mm
        Signed distance on the usual patch; 64 mm everywhere where there is no body.
    """
    mask = np.pad(logits > 0, ((_BESIDE, _BESIDE), (0, 0), (0, 0)))
    if not mask.any():
        return np.full(PATCH_SHAPE, AWAY_MM, dtype=np.float32)
    return sdf_from_mask(mask, Grid(PATCH_SHAPE, np.diag([*[PATCH_SPACING_MM] * 3, 1.0]))).values
