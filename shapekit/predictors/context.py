"""Context repair: a neighbour that scores as broken is shown as it should look, and what rests on it is predicted again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shapekit.core.values import Sdf
from shapekit.predictors.base import Context, contexts_along

REPAIR_FROM = 20.2
"""Score from which a neighbour is shown as it should look: the first implementation's cut-off of grade 1."""
ROUNDS = 3


def repaired_contexts(contexts: Sequence[Context], shapes: Sequence[Sdf | None], expected: Mapping[int, Sdf]) -> list[Context]:
    """Put the expected shapes of broken vertebrae in their place as neighbours.

    Parameters
    ----------
    contexts : sequence of Context
        Of every vertebra, from the head downward.
    shapes : sequence of Sdf or None
        What each vertebra is shown as; None for one that is no context.
    expected : mapping of int to Sdf
        For the broken ones, on their own patches.
    """
    shown = [shape if shape is None else expected.get(n, shape) for n, shape in enumerate(shapes)]
    return contexts_along([context.target for context in contexts], shown)
