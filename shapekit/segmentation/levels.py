"""Which levels bodies are, told from the whole scan at once: a network sees every body and all that lies around it.

A patch of 10 cm often holds nothing by which one thoracic body can be told from the next. Here one look takes in all that the scan shows:
how many bodies lie above the sacrum or below the neck, where ribs end, how sizes and curves change. What the network says of each body counts
only as part of a sequence: the probability of a sequence is the softmax, over all that are possible, of the sum of its bodies' figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from shapekit.core.checks import InputError
from shapekit.core.levels import Level
from shapekit.networks import read_weights
from shapekit.segmentation.labelling import TRUNK, candidates
from shapekit.segmentation.network import LEAST_SHARE, Pyramid, channels_of, check_tensors
from shapekit.segmentation.views import View

KIND = "levels"
"""What a weights file's card calls them."""
CLASSES: tuple[Level | None, ...] = (*sorted((*TRUNK, Level.T13)), None)
"""What a body may be: T1 ... T13, L1 ... L6, or none of them, but a part of the sacrum."""
HIDDEN = 128


@dataclass(frozen=True)
class LevelSizes:
    """What a network of levels is built for; recorded beside its weights.

    Parameters
    ----------
    width : int
        Channels at the finest level; a multiple of 4.
    growth : int
        How many channels each coarser level has more; a multiple of 4.

    Raises
    ------
    InputError
        If a size cannot be built.
    """

    width: int = 24
    growth: int = 24

    def __post_init__(self) -> None:
        if self.width < 4 or self.width % 4 or self.growth < 0 or self.growth % 4:
            raise InputError(f"width {self.width} and growth {self.growth} build no network; give multiples of 4.")

    @property
    def channels(self) -> tuple[int, ...]:
        """Of each level, from the finest."""
        return channels_of(self.width, self.growth)


class LevelNetwork(Pyramid):
    """A scan and its bodies → a figure for every body and level; their sums rank sequences.

    Parameters
    ----------
    sizes : LevelSizes
    """

    def __init__(self, sizes: LevelSizes) -> None:
        super().__init__(2, sizes.channels)
        self.sizes = sizes
        self.about = nn.Sequential(nn.Linear(sum(sizes.channels), HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, len(CLASSES)))

    def forward(self, image: Tensor, bodies: Tensor, counts: Sequence[int]) -> list[Tensor]:
        """Look at views.

        Parameters
        ----------
        image : (B, 1, I, J, K) float
            Scaled intensities (see ``working.scaled``); sides in multiples of 16.
        bodies : (B, 1, I, J, K) integer
            Which body a voxel belongs to, 1 ... n from the head downward; 0: none.
        counts : sequence of int
            How many bodies each has.

        Returns
        -------
        list of (n, 20) Tensor
            Of each view, for its bodies: a figure for every one of ``CLASSES``.
        """
        h = self.features(torch.cat([image, (bodies > 0).to(image.dtype)], dim=1))
        told = []
        for b, count in enumerate(counts):
            share = (bodies[b] == torch.arange(1, count + 1, device=bodies.device)[:, None, None, None]).to(image.dtype)  # (n, I, J, K)
            found = []
            for n, one in enumerate(h):
                here = functional.avg_pool3d(share[:, None], 2 ** (n + 1))[:, 0].flatten(1)
                found.append(here @ one[b].float().flatten(1).T / here.sum(dim=1, keepdim=True).clamp(min=LEAST_SHARE))
            told.append(self.about(torch.cat(found, dim=1)))
        return told


@lru_cache
def _table(count: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The possible sequences as places in ``CLASSES`` and after them C7, (S, count), and the logarithms of how usual they are, (S,)."""
    sequences, shares = candidates(count)
    places = {level: n for n, level in enumerate((*CLASSES, Level.C7))}
    return np.array([[places[level] for level in sequence] for sequence in sequences]), np.log(np.array(shares, np.float32))


def sequence_scores(told: Tensor) -> Tensor:
    """Log-probability of each of ``candidates``; (n, 20) figures of a scan's bodies → (S,).

    A body of the neck is not known to the network: whatever it is taken for, this neither speaks for nor against a sequence.
    """
    places, usual = _table(len(told))
    told = torch.cat([told, told.amax(dim=1, keepdim=True)], dim=1)
    where = torch.as_tensor(places, device=told.device)
    scores = told[torch.arange(len(told), device=told.device), where].sum(dim=1) + torch.as_tensor(usual, device=told.device)
    return functional.log_softmax(scores, dim=0)


@dataclass(frozen=True)
class Named:
    """What a scan's bodies are.

    Parameters
    ----------
    levels : tuple of Level or None
        The most probable sequence, from the head downward; None: of the sacrum, or above T1 of the neck.
    probability : tuple of float
        Of each body's being that level, over all sequences.
    other : tuple of Level or None
        The next most probable sequence; empty where there is none.
    other_probability : float
        Its probability.
    """

    levels: tuple[Level | None, ...]
    probability: tuple[float, ...]
    other: tuple[Level | None, ...]
    other_probability: float


class LevelReader:
    """Trained networks as a segmentation uses them: the mean of their figures counts.

    Parameters
    ----------
    networks : sequence of LevelNetwork
        One at least.
    identity : str
        Of their weights.
    device : str
        A torch device.
    """

    def __init__(self, networks: Sequence[LevelNetwork], *, identity: str = "", device: str = "cpu") -> None:
        self.networks, self.identity, self.device = [network.eval().to(device) for network in networks], identity, device

    def scores(self, view: View) -> NDArray[np.float64]:
        """Log-probability of each of ``candidates`` for the bodies of a view, which shows one at least; (S,).

        Raises
        ------
        InputError
            If there are more than a spine has.
        """
        candidates(view.count)
        with torch.inference_mode():
            image, bodies = (torch.from_numpy(np.ascontiguousarray(part))[None, None].to(self.device) for part in (view.image, view.bodies))
            told = torch.stack([network(image, bodies, [view.count])[0] for network in self.networks]).mean(dim=0)
            return np.asarray(sequence_scores(told.cpu()).double().numpy())

    def __call__(self, view: View, likelihood: NDArray[np.float64] | None = None) -> Named:
        """Name the bodies of a view.

        Parameters
        ----------
        view : View
        likelihood : (S,) float, optional
            Logarithm of how well what else is known agrees with each of ``candidates``.

        Returns
        -------
        Named

        Raises
        ------
        InputError
            See ``scores``.
        """
        scores, (sequences, _) = self.scores(view), candidates(view.count)
        scores = scores if likelihood is None else scores + likelihood
        share = np.exp(scores - np.logaddexp.reduce(scores))
        order = np.argsort(-share, kind="stable")
        best, others = sequences[order[0]], [(sequences[n], float(share[n])) for n in order[1:2]]
        own = tuple(float(sum(p for p, one in zip(share, sequences, strict=True) if one[n] is level)) for n, level in enumerate(best))
        other, probability = others[0] if others else ((), 0.0)
        return Named(_below_neck(best), own, _below_neck(other), probability)


def _below_neck(levels: Sequence[Level | None]) -> tuple[Level | None, ...]:
    return tuple(None if level is Level.C7 else level for level in levels)


def read_levels(paths: Sequence[str | Path], *, device: str = "cpu") -> LevelReader:
    """Read a trained network of levels, or several that look together.

    Parameters
    ----------
    paths : sequence of paths
        What ``shapekit train --task levels`` wrote.
    device : str
        A torch device.

    Returns
    -------
    LevelReader

    Raises
    ------
    InputError
        If a file is missing, damaged or holds something else.
    """
    networks, identities = [], []
    for path in paths:
        tensors, card, identity = read_weights(path, KIND)
        try:
            sizes = LevelSizes(**card["sizes"])  # type: ignore[arg-type]
            check_tensors(tensors, sizes.channels)
            network = LevelNetwork(sizes)
            network.load_state_dict({name: value.float() for name, value in tensors.items()})
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise InputError(
                f"{Path(path).name} does not hold what its card promises; train it again with `shapekit train --task levels`."
            ) from error
        networks.append(network)
        identities.append(identity)
    return LevelReader(networks, identity="+".join(identities), device=device)


def levels_card(sizes: LevelSizes, config: dict[str, object]) -> dict[str, object]:
    """Say in a weights file's card what the network is and how it was trained."""
    return {"kind": KIND, "sizes": asdict(sizes), "config": config}
