"""What the efficient networks are built of. Every tensor is (batch, channels, LR, AP, SI)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

LEVEL_COUNT = 19
"""T1 … T12, T13, L1 … L6."""
SLOT_COUNT = 4
BLOCKS = (1, 2, 2)
"""Of the encoder at 4, 8 and 16 mm: most of the work is done where a voxel is 8 or 16 mm, which is where neighbours and target differ."""


class Condition(nn.Module):
    """What is known beside the shapes: the target's level and which neighbours are there; (B,), (B, 4) → (B, ``size``)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        # drawn here: on torch's meta device the layer's own start would import torch's compiler
        self.level = nn.Embedding(LEVEL_COUNT, 24, _weight=torch.randn(LEVEL_COUNT, 24, device="cpu"))
        self.mix = nn.Sequential(nn.Linear(24 + SLOT_COUNT, size), nn.SiLU(), nn.Linear(size, size), nn.SiLU())

    def forward(self, level: Tensor, present: Tensor) -> Tensor:
        """Mix level and presence."""
        out: Tensor = self.mix(torch.cat([self.level(level), present.to(self.level.weight.dtype)], dim=1))
        return out


class Block(nn.Module):
    """Two 3 x 3 x 3 convolutions around a shortcut, shifted and scaled by the condition."""

    def __init__(self, width: int, condition: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(4, width)
        self.first = nn.Conv3d(width, width, 3, padding=1)
        self.second = nn.Conv3d(width, width, 3, padding=1)
        self.film = nn.Linear(condition, 2 * width)
        _zero(self.film)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Return a tensor of the same shape."""
        scale, shift = self.film(condition)[:, :, None, None, None].chunk(2, dim=1)
        h = self.first(functional.silu(self.norm(x)))
        out: Tensor = x + self.second(functional.silu(h * (1 + scale) + shift))
        return out


class Trunk(nn.Module):
    """An encoder-decoder on a patch of 2 mm voxels that works at 4, 8 and 16 mm; (B, 4 + 1, 40, 32, 32) → (B, ``outputs``, 40, 32, 32).

    Eight voxels become eight channels on the way in and channels become voxels on the way out, so that no convolution runs at
    2 mm: what is fine in a shape comes from its neighbours' own fields, not from here. ``width`` is the number of channels at 4 mm; there are
    three times as many at 8 mm and six times at 16 mm.
    """

    def __init__(self, outputs: int, width: int) -> None:
        super().__init__()
        size = 4 * width
        self.condition = Condition(size)
        self.stem = nn.Conv3d(8 * (2 * SLOT_COUNT + 1 + 3), width, 1)
        widths = (width, 3 * width, 6 * width)
        self.encoder = nn.ModuleList([nn.ModuleList([Block(w, size) for _ in range(n)]) for w, n in zip(widths, BLOCKS, strict=True)])
        self.down = nn.ModuleList([nn.Conv3d(w, wider, 2, stride=2) for w, wider in pairwise(widths)])
        self.up = nn.ModuleList([nn.ConvTranspose3d(wider, w, 2, stride=2) for w, wider in pairwise(widths)])
        self.decoder = nn.ModuleList([Block(w, size) for w in widths[:2]])
        self.head = nn.Conv3d(width, 8 * outputs, 1)
        _zero(self.head)

    def forward(self, x: Tensor, level: Tensor, present: Tensor) -> Tensor:
        """See the class."""
        condition = self.condition(level, present)
        h = self.enter(x, present)
        skips = []
        for n, blocks in enumerate(self.encoder):
            for block in blocks:  # type: ignore[attr-defined]
                h = block(h, condition)
            if n < len(self.down):
                skips.append(h)
                h = self.down[n](h)
        for n in reversed(range(len(self.up))):
            h = self.decoder[n](self.up[n](h) + skips[n], condition)
        return unfolded(self.head(h))

    def enter(self, x: Tensor, present: Tensor) -> Tensor:
        """Bring neighbours and guess (B, 5, 40, 32, 32) to 4 mm, with who is there and where each voxel lies: ``stem`` on all of them, ``folded``.

        Who is there is the same at every voxel, and where one lies is a sum over axes, so neither is laid out in full.
        """
        weight = self.stem.weight.view(len(self.stem.weight), -1, 2, 2, 2)
        neighbours, there, guess, places = weight[:, :SLOT_COUNT], weight[:, SLOT_COUNT : 2 * SLOT_COUNT], weight[:, -4:-3], weight[:, -3:]
        same = present.to(there.dtype) @ there.sum(dim=(2, 3, 4)).T
        h: Tensor = functional.conv3d(x, torch.cat([neighbours, guess], dim=1), self.stem.bias, stride=2) + same[:, :, None, None, None]
        for axis in range(3):
            along = torch.linspace(-1.0, 1.0, x.shape[2 + axis], device=x.device).view(-1, 2)
            share = places[:, axis].sum(dim=[1 + other for other in range(3) if other != axis]) @ along.T.to(places)
            h = h + share.reshape([-1, *(share.shape[1] if other == axis else 1 for other in range(3))])
        return h


def _zero(layer: nn.Module) -> None:
    """Let a layer say nothing at first."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()


def folded(x: Tensor) -> Tensor:
    """Eight voxels → eight channels at half the resolution."""
    b, c, i, j, k = x.shape
    x = x.reshape(b, c, i // 2, 2, j // 2, 2, k // 2, 2)
    return x.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(b, 8 * c, i // 2, j // 2, k // 2)


def unfolded(x: Tensor) -> Tensor:
    """Undo ``folded``."""
    b, c, i, j, k = x.shape
    x = x.reshape(b, c // 8, 2, 2, 2, i, j, k)
    return x.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(b, c // 8, 2 * i, 2 * j, 2 * k)
