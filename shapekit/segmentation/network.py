"""The network of iterative instance segmentation (Lessmann et al. 2019, Medical Image Analysis 53:142): the next vertebral body not yet in memory.

An encoder-decoder on cubic patches. Eight voxels become eight channels on the way in and channels become voxels on the way out, so that
no convolution runs at the finest of the four levels' double resolution: the same reach for an eighth of the time. Coarser levels, which tell
one body from the next and cost little, may be wider than the finest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from shapekit.core.checks import InputError
from shapekit.core.levels import Level
from shapekit.networks import read_weights
from shapekit.networks.blocks import folded, unfolded
from shapekit.segmentation.traversal import Sight

KIND = "segmentation"
"""What a weights file's card calls them."""
LEVELS = 4
HIDDEN = 96
"""Units between what a network found and what it says about the body."""
SURFACE = 0.4
"""Networks' probability, smoothed and at the CT's resolution, at bodies' surfaces: on phantoms other than those they are judged by, volumes are
right there within 2 %, and 6 % too small at one half (``docs/segmentation_check.py --choices``)."""
LEAST_SHARE = 0.1
"""Voxels of a body, at each level, below which its features count for less."""
MIDDLE_VALUE, VALUES_PER_UNIT = 16.0, 6.0
"""Level values (C1 = 1 ... L6 = 25) that the label head's output 0 and 1 - 0 stand for."""


@dataclass(frozen=True)
class SegmenterSizes:
    """What a segmentation network is built for; recorded beside its weights.

    Parameters
    ----------
    width : int
        Channels at the finest level; a multiple of 4.
    patch : int
        Voxels along each side of a patch; a multiple of 16, at least 32.
    spacing_mm : float
        Side of its cubic voxels.
    growth : int
        How many channels each coarser level has more; a multiple of 4, 0 for the paper's constant width.

    Raises
    ------
    InputError
        If a size cannot be built.
    """

    width: int = 24
    patch: int = 48
    spacing_mm: float = 2.0
    growth: int = 24

    def __post_init__(self) -> None:
        odd = self.width < 4 or self.width % 4 or self.growth < 0 or self.growth % 4
        if odd or self.patch < 32 or self.patch % 16 or not 0.5 <= self.spacing_mm <= 4.0:
            raise InputError(
                f"width {self.width}, patch {self.patch}, spacing_mm {self.spacing_mm} and growth {self.growth} build no network; "
                "give width and growth in multiples of 4, a patch in multiples of 16 from 32 on, and a spacing from 0.5 to 4."
            )

    @property
    def channels(self) -> tuple[int, ...]:
        """Of each level, from the finest."""
        return channels_of(self.width, self.growth)


def channels_of(width: int, growth: int) -> tuple[int, ...]:
    """Return how many channels each of the four levels has, from the finest."""
    return tuple(width + n * growth for n in range(LEVELS))


class Stage(nn.Module):
    """Two 3 x 3 x 3 convolutions around a shortcut; (B, ``width``, ...) → the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.before, self.between = nn.GroupNorm(4, width), nn.GroupNorm(4, width)
        self.first, self.second = nn.Conv3d(width, width, 3, padding=1), nn.Conv3d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the same shape."""
        h = self.first(functional.silu(self.before(x)))
        out: Tensor = x + self.second(functional.silu(self.between(h)))
        return out


class Pyramid(nn.Module):
    """An encoder-decoder on ``folded`` volumes: finer levels add what they kept to what the coarser ones know.

    Parameters
    ----------
    inputs : int
        Channels before folding.
    channels : sequence of int
        Of each of the four levels, from the finest.
    """

    def __init__(self, inputs: int, channels: Sequence[int]) -> None:
        super().__init__()
        steps = list(pairwise(channels))
        self.stem = nn.Conv3d(8 * inputs, channels[0], 3, padding=1)
        self.encoder = nn.ModuleList([Stage(width) for width in channels])
        self.down = nn.ModuleList([nn.Conv3d(fine, coarse, 2, stride=2) for fine, coarse in steps])
        self.up = nn.ModuleList([nn.ConvTranspose3d(coarse, fine, 2, stride=2) for fine, coarse in steps])
        self.decoder = nn.ModuleList([Stage(width) for width in channels[:-1]])

    def features(self, x: Tensor) -> list[Tensor]:
        """Return each level's features, from the finest; (B, inputs, I, J, K), sides in multiples of 16 → (B, channels, I / 2, J / 2, K / 2) ..."""
        h = self.stem(folded(x))
        kept = []
        for n, stage in enumerate(self.encoder):
            h = stage(h)
            if n < LEVELS - 1:
                kept.append(h)
                h = self.down[n](h)
        found = [h]
        for n in reversed(range(LEVELS - 1)):
            found.append(self.decoder[n](self.up[n](found[-1]) + kept[n]))
        return found[::-1]


def check_tensors(tensors: Mapping[str, Tensor], channels: Sequence[int]) -> None:
    """Refuse what no ``Pyramid`` of these channels holds, before memory is taken for one, and what is not finite.

    Raises
    ------
    ValueError, KeyError
        If it is.
    """
    for n, width in enumerate(channels):
        if tensors[f"encoder.{n}.first.weight"].shape[0] != width:
            raise ValueError("other sizes")
    if not all(bool(value.isfinite().all()) for value in tensors.values()):
        raise ValueError("not finite")


class Segmenter(Pyramid):
    """Image and memory → the next body, whether it is whole, and which level it is.

    Parameters
    ----------
    sizes : SegmenterSizes
    """

    def __init__(self, sizes: SegmenterSizes) -> None:
        super().__init__(2, sizes.channels)
        self.sizes = sizes
        self.head = nn.Conv3d(sizes.channels[0], 8, 1)
        self.about = nn.Sequential(nn.Linear(sum(sizes.channels), HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, 2))

    def forward(self, image: Tensor, memory: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Look at patches.

        Parameters
        ----------
        image, memory : (B, 1, P, P, P) float
            Scaled intensities (see ``working.scaled``); 1 where a body has been segmented.

        Returns
        -------
        segmentation : (B, 1, P, P, P)
            Logits of the next body.
        complete : (B,)
            Logit of its being wholly visible.
        value : (B,)
            Its level's value: C1 = 1 ... T12 = 19, L1 = 20 ... L6 = 25.
        """
        *stages, coarsest = self.features(torch.cat([image, memory], dim=1))
        logits = self.head(stages[0])
        share = torch.sigmoid(logits.detach()).mean(dim=1, keepdim=True)
        found = [coarsest.mean(dim=(2, 3, 4))]
        for n, h in enumerate(stages):  # heads look where the body is, at every level
            here = functional.avg_pool3d(share, 2**n)
            found.append((h * here).sum(dim=(2, 3, 4)) / here.sum(dim=(2, 3, 4)).clamp(min=LEAST_SHARE))
        about = self.about(torch.cat(found, dim=1))
        return unfolded(logits), about[:, 0], MIDDLE_VALUE + VALUES_PER_UNIT * about[:, 1]


class NetworkEye:
    """Trained networks as the traversal uses them: what they say of a patch on average.

    Parameters
    ----------
    networks : sequence of Segmenter
        On patches and voxels of the same size.
    scatter : mapping of Level to float, optional
        By how many levels their votes err.
    identity : str
        Of their weights.
    device : str
        A torch device.

    Raises
    ------
    InputError
        If there is none, or two were built for other patches or voxels.
    """

    def __init__(
        self, networks: Sequence[Segmenter], *, scatter: Mapping[Level, float] | None = None, identity: str = "", device: str = "cpu"
    ) -> None:
        if len({(network.sizes.patch, network.sizes.spacing_mm) for network in networks}) != 1:
            raise InputError(
                f"{len(networks)} segmentation networks do not see patches of one size; give weights trained on the same patch and spacing_mm."
            )
        self.networks, self.identity, self.device = [network.eval().to(device) for network in networks], identity, device
        self.scatter = dict(scatter or {})

    @property
    def sizes(self) -> SegmenterSizes:
        """What the first network was built for; all see the same patches."""
        return self.networks[0].sizes

    def __call__(self, image: NDArray[np.float32], memory: NDArray[np.bool_], start: NDArray[np.int64]) -> Sight:  # noqa: ARG002
        """Look at one patch; where it begins does not matter."""
        with torch.inference_mode():
            pair = [torch.from_numpy(np.ascontiguousarray(part, np.float32))[None, None].to(self.device) for part in (image, memory)]
            told = [network(*pair) for network in self.networks]
            body, complete, value = (
                torch.stack(parts).mean(dim=0) for parts in zip(*((torch.sigmoid(a), torch.sigmoid(b), c) for a, b, c in told), strict=True)
            )
            return Sight(body[0, 0].cpu().numpy(), float(complete[0]), float(value[0]))


def read_segmenter(paths: str | Path | Sequence[str | Path], *, device: str = "cpu") -> NetworkEye:
    """Read a trained network, or several that look together.

    Parameters
    ----------
    paths : path or sequence of paths
        What ``shapekit train --task segmentation`` wrote.
    device : str
        A torch device.

    Returns
    -------
    NetworkEye

    Raises
    ------
    InputError
        If a file is missing, damaged or holds something else, or they do not see patches of one size.
    """
    networks, identities, scatters = [], [], []
    for path in [paths] if isinstance(paths, str | Path) else paths:
        tensors, card, identity = read_weights(path, KIND)
        try:
            sizes = SegmenterSizes(**card["sizes"])  # type: ignore[arg-type]
            check_tensors(tensors, sizes.channels)
            network = Segmenter(sizes)
            network.load_state_dict({name: value.float() for name, value in tensors.items()})
            scatter = {Level(name): float(value) for name, value in card.get("scatter", {}).items()}  # type: ignore[attr-defined]
            if not all(0.01 <= value <= len(Level) for value in scatter.values()):
                raise ValueError("no errors")
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError, RuntimeError) as error:
            raise InputError(
                f"{Path(path).name} does not hold what its card promises; train it again with `shapekit train --task segmentation`."
            ) from error
        networks.append(network)
        identities.append(identity)
        scatters.append(scatter)
    shared = set.intersection(*(set(scatter) for scatter in scatters)) if scatters else set()
    scatter = {level: float(np.mean([one[level] for one in scatters])) for level in sorted(shared)}
    return NetworkEye(networks, scatter=scatter, identity="+".join(identities), device=device)


def segmenter_card(sizes: SegmenterSizes, config: dict[str, object]) -> dict[str, object]:
    """Say in a weights file's card what the network is and how it was trained."""
    return {"kind": KIND, "sizes": asdict(sizes), "config": config}
