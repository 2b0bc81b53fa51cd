"""The yardstick of every predictor on phantoms: it knows the true habits of all other levels, and only what a body has of its own escapes it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shapekit.core.levels import Level
from shapekit.phantom import Patient, body_patch, foreseen
from shapekit.predictors import Context, SizePrior
from shapekit.scoring import Spread

NAME = "oracle"


class Oracle:
    """What ``shapekit.phantom.foreseen`` says of one patient, as a predictor; it is placed and scored as all others are.

    Parameters
    ----------
    patient : Patient
    """

    name = NAME
    identity = ""
    spread: Spread | None = None
    prior: SizePrior | None = None
    repairs = False

    def __init__(self, patient: Patient) -> None:
        self.patient = patient

    def predict(self, contexts: Sequence[Context]) -> list[NDArray[np.float32]]:
        """See ``Predictor.predict``."""
        vertebrae = [foreseen(self.patient, context.target) for context in contexts]
        return [body_patch(vertebra, vertebra.frame("healthy"), which="healthy", limit_mm=2.0).values for vertebra in vertebrae]

    def uses(self, context: Context) -> tuple[Level, ...]:
        """See ``Predictor.uses``."""
        return tuple(level for level in context.levels if level is not None)
