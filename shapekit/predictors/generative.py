"""The generative predictor: the linear model's guess, then coarse, then refine, over all targets of a spine in one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapekit.core.levels import Level
from shapekit.core.threads import each
from shapekit.networks import Generator, NetworkConfig, blended, joined
from shapekit.predictors.base import Context
from shapekit.predictors.linear import Guess, Linear, LinearModel, place_of
from shapekit.scoring import Spread


class Generative:
    """Coarse and refine networks (Botros et al. 2022) as a predictor, in single precision.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        ``coarse.*`` and ``refine.*``.
    config : NetworkConfig
    model : LinearModel
        Makes the guess that coarse starts from.
    stage : {"refine", "coarse"}
        Whose shape to return.
    spread, identity
        See ``Predictor``.
    device : str
        As torch names it.
    """

    repairs = True

    def __init__(
        self,
        tensors: Mapping[str, Tensor],
        config: NetworkConfig,
        model: LinearModel,
        *,
        stage: str = "refine",
        spread: Spread | None = None,
        identity: str = "",
        device: str = "cpu",
    ) -> None:
        self.name = "generative" if stage == "refine" else "coarse"
        self.spread, self.identity, self.device, self.stage = spread, identity, device, stage
        self.linear = Linear(model)
        self.coarse, self.refine = Generator(config), Generator(config)
        for name, network in (("coarse", self.coarse), ("refine", self.refine)):
            network.load_state_dict({key.removeprefix(f"{name}."): value.float() for key, value in tensors.items() if key.startswith(f"{name}.")})
            network.to(device).eval()

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

    def uses(self, context: Context) -> tuple[Level, ...]:
        """See ``Predictor.uses``."""
        return tuple(level for level in context.levels if level is not None)
