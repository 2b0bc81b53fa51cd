"""The baseline: a body should look like the mean of the one above and the one below."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shapekit.core.levels import Level
from shapekit.predictors.base import DIRECT, Context, direct_mean
from shapekit.predictors.sizes import SizePrior
from shapekit.scoring import Spread


class NeighbourMean:
    """Mean signed distance of the direct neighbours, each in its own frame; of the only one where the other is missing."""

    name = "neighbours"
    prior: SizePrior | None = None
    repairs = False

    def __init__(self, *, spread: Spread | None = None, identity: str = "") -> None:
        self.spread, self.identity = spread, identity

    def predict(self, contexts: Sequence[Context]) -> list[NDArray[np.float32]]:
        """See ``Predictor.predict``."""
        return [direct_mean(context) for context in contexts]

    def uses(self, context: Context) -> tuple[Level, ...]:
        """See ``Predictor.uses``."""
        return tuple(level for n in DIRECT if (level := context.levels[n]) is not None)
