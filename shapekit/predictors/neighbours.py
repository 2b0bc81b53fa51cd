"""The baseline: a body should look like the mean of the one above and the one below."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shapekit.core.levels import Level
from shapekit.predictors.base import SLOTS, Context

DIRECT = tuple(n for n, slot in enumerate(SLOTS) if abs(slot) == 1)


class NeighbourMean:
    """Mean signed distance of the direct neighbours, each in its own frame; of the only one where the other is missing."""

    name = "neighbours"

    def predict(self, contexts: Sequence[Context]) -> list[NDArray[np.float32]]:
        """See ``Predictor.predict``."""
        means = []
        for context in contexts:
            shapes = [shape.values for n in DIRECT if (shape := context.shapes[n]) is not None]
            means.append(np.asarray(np.mean(shapes, axis=0, dtype=np.float32)))
        return means

    def uses(self, context: Context) -> tuple[Level, ...]:
        """See ``Predictor.uses``."""
        return tuple(level for n in DIRECT if (level := context.levels[n]) is not None)
