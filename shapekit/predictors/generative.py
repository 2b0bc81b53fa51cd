"""The generative predictor: coarse, then refine, over all targets of a spine in one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapekit.core.conventions import PATCH_SHAPE
from shapekit.core.levels import Level
from shapekit.networks import Coarse, NetworkConfig, Refine, blended, joined
from shapekit.predictors.base import Context
from shapekit.predictors.linear import place_of
from shapekit.scoring import Spread


class Generative:
    """Coarse and refine networks (Botros et al. 2022) as a predictor, in single precision.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        ``coarse.*`` and ``refine.*``.
    config : NetworkConfig
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
        *,
        stage: str = "refine",
        spread: Spread | None = None,
        identity: str = "",
        device: str = "cpu",
    ) -> None:
        self.name = "generative" if stage == "refine" else "coarse"
        self.spread, self.identity, self.device, self.stage = spread, identity, device, stage
        self.coarse, self.refine = Coarse(config), Refine(config)
        for name, network in (("coarse", self.coarse), ("refine", self.refine)):
            network.load_state_dict({key.removeprefix(f"{name}."): value.float() for key, value in tensors.items() if key.startswith(f"{name}.")})
            network.to(device).eval()

    def predict(self, contexts: Sequence[Context]) -> list[NDArray[np.float32]]:
        """See ``Predictor.predict``."""
        if not contexts:
            return []
        empty = np.zeros(PATCH_SHAPE, dtype=np.float32)
        fields = torch.from_numpy(np.stack([[empty if shape is None else shape.values for shape in context.shapes] for context in contexts])).to(
            self.device
        )
        present = torch.tensor([[shape is not None for shape in context.shapes] for context in contexts], device=self.device)
        level = torch.tensor([place_of(context.target) for context in contexts], device=self.device)
        with torch.inference_mode():
            half = _halved(fields)
            found = self.coarse(half, level, present)
            if self.stage == "refine":
                found = joined(found, self.refine(half, blended(half, *found), level, present))
            # one target at a time: what a blend writes on the way stays in the processor's cache
            made = torch.cat([blended(*one) for one in zip(*(part.split(1) for part in (fields, *found)), strict=True)])
        return list(made[:, 0].cpu().numpy())

    def uses(self, context: Context) -> tuple[Level, ...]:
        """See ``Predictor.uses``."""
        return tuple(level for level in context.levels if level is not None)


def _halved(fields: Tensor) -> Tensor:
    """1 mm voxels → 2 mm voxels, each the mean of eight."""
    return torch.nn.functional.avg_pool3d(fields, 2)
