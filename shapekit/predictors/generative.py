"""The generative predictor: coarse, then refine, over all targets of a spine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shapekit.core.checks import InputError
from shapekit.core.conventions import PATCH_SHAPE
from shapekit.core.levels import Level
from shapekit.core.threads import each
from shapekit.networks import Generator, PaperGenerator, distance_of, joined, masks_of
from shapekit.ops import blended
from shapekit.predictors.base import Context
from shapekit.predictors.linear import Guess, Linear, LinearModel, place_of
from shapekit.predictors.sizes import SizePrior
from shapekit.scoring import Spread


class _TwoStages:
    """Two networks of one kind with their trained weights, in single precision.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        ``coarse.*`` and ``refine.*``.
    stage : {"refine", "coarse"}
        Whose shape to return.
    spread, prior, identity
        See ``Predictor``.
    device : str
        As torch names it.
    """

    repairs = True
    kinds: Mapping[str, Callable[[int], nn.Module]]
    """What makes coarse and refine of a width."""
    widest: str
    """The parameter that has one value a channel of the width."""

    def __init__(
        self,
        tensors: Mapping[str, Tensor],
        *,
        stage: str = "refine",
        spread: Spread | None = None,
        prior: SizePrior | None = None,
        identity: str = "",
        device: str = "cpu",
    ) -> None:
        self.name = "generative" if stage == "refine" else "coarse"
        self.stage, self.spread, self.prior, self.identity, self.device = stage, spread, prior, identity, device
        self.coarse, self.refine = (self._network(name, tensors).to(device).eval() for name in ("coarse", "refine"))

    def _network(self, name: str, tensors: Mapping[str, Tensor]) -> nn.Module:
        """Make a network of given weights, as wide as they are; no memory is taken before they are known to fit."""
        width = tensors[f"{name}.{self.widest}"].numel()
        if width < 1:
            raise ValueError(width)
        with torch.device("meta"), torch.random.fork_rng(devices=()):  # a caller's random numbers stay what they were
            network = self.kinds[name](width)
        held = {key.removeprefix(f"{name}."): value.float() for key, value in tensors.items() if key.startswith(f"{name}.")}
        network.load_state_dict(held, assign=True)
        return network

    def uses(self, context: Context) -> tuple[Level, ...]:
        """See ``Predictor.uses``."""
        return tuple(level for level in context.levels if level is not None)


class Generative(_TwoStages):
    """The efficient coarse and refine networks (after Botros et al. 2022) on the linear model's guess, all targets in one batch.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        ``coarse.*`` and ``refine.*``.
    model : LinearModel
        Makes the guess that coarse starts from.
    stage : {"refine", "coarse"}
        Whose shape to return.
    spread, prior, identity
        See ``Predictor``.
    device : str
        As torch names it.
    """

    kinds = MappingProxyType({"coarse": Generator, "refine": Generator})
    widest = "trunk.stem.bias"

    def __init__(
        self,
        tensors: Mapping[str, Tensor],
        model: LinearModel,
        *,
        stage: str = "refine",
        spread: Spread | None = None,
        prior: SizePrior | None = None,
        identity: str = "",
        device: str = "cpu",
    ) -> None:
        super().__init__(tensors, stage=stage, spread=spread, prior=prior, identity=identity, device=device)
        self.linear = Linear(model)

    def predict(self, contexts: Sequence[Context]) -> list[NDArray[np.float32]]:
        """See ``Predictor.predict``."""
        if not contexts:
            return []
        guesses = self.linear.guesses(contexts)
        if self.device != "cpu":
            return self._made(contexts, guesses)
        # by twos and threes, however many threads there are: a batch of one is slow, and results are the same on any number
        parts = np.array_split(np.arange(len(contexts)), max(len(contexts) // 2, 1))
        made = each(lambda part: self._made([contexts[n] for n in part], [guesses[n] for n in part]), parts)
        return [one for part in made for one in part]

    def _made(self, contexts: Sequence[Context], guesses: Sequence[Guess]) -> list[NDArray[np.float32]]:
        """Predict some targets in one batch."""
        half = torch.from_numpy(np.stack([guess.fields for guess in guesses])).to(self.device)
        first = torch.from_numpy(np.stack([guess.half for guess in guesses])[:, None]).to(self.device)
        present = torch.tensor([[shape is not None for shape in context.shapes] for context in contexts], device=self.device)
        level = torch.tensor([place_of(context.target) for context in contexts], device=self.device)
        with torch.inference_mode():
            found = self.coarse(half, first, level, present)
            if self.stage == "refine":
                found = joined(found, self.refine(half, blended(half, first, *found), level, present))
            return [
                blended(*self._full(context, guess), *(part[n : n + 1] for part in found))[0, 0].cpu().numpy()
                for n, (context, guess) in enumerate(zip(contexts, guesses, strict=True))
            ]

    def _full(self, context: Context, guess: Guess) -> tuple[Tensor, Tensor]:
        """Fields of one target's neighbours and the guess at 1 mm."""
        shapes = [np.zeros_like(guess.full) if shape is None else shape.values for shape in context.shapes]
        return torch.from_numpy(np.stack(shapes)[None]).to(self.device), torch.from_numpy(guess.full[None, None]).to(self.device)


class PaperGenerative(_TwoStages):
    """The paper's own networks, on masks, a target at a time; its bodies end where the middle 64 mm of their patch do.

    Parameters
    ----------
    tensors, stage, spread, prior, identity, device
        See ``Generative``.
    """

    kinds = MappingProxyType({"coarse": partial(PaperGenerator, 4), "refine": partial(PaperGenerator, 5)})
    widest = "0.bias"

    def predict(self, contexts: Sequence[Context]) -> list[NDArray[np.float32]]:
        """See ``Predictor.predict``.

        Raises
        ------
        InputError
            If the networks expect no body at all.
        """
        return each(self._predict, contexts) if self.device == "cpu" else [self._predict(context) for context in contexts]

    def _predict(self, context: Context) -> NDArray[np.float32]:
        fields = np.stack([np.zeros(PATCH_SHAPE, np.float32) if shape is None else shape.values for shape in context.shapes])
        with torch.inference_mode():
            masks = masks_of(torch.from_numpy(fields[None]).to(self.device))
            logits = self.coarse(masks)
            if self.stage == "refine":
                logits = self.refine(torch.cat([masks, torch.sigmoid(logits)], dim=1))
        made = distance_of(logits[0, 0].cpu().numpy())
        if made.min() >= 0:
            raise InputError(f"the weights {self.identity} expect no body where {context.target} lies; train them longer, or use others.")
        return made
