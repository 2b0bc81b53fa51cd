"""What a predictor is given, and what it must return."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from shapekit.core.levels import Level
from shapekit.core.values import Sdf

SLOTS = (-2, -1, 1, 2)
"""Places along the spine whose shapes a predictor sees, from the head downward."""


@dataclass(frozen=True, eq=False)
class Context:
    """The neighbours of one target.

    Parameters
    ----------
    target : Level
    levels : 4 times Level or None
        Who stands in the slots -2, -1, +1, +2; None where nobody does.
    shapes : 4 times Sdf or None
        Their signed distances, mm, each on the patch of its own frame.
    """

    target: Level
    levels: tuple[Level | None, ...]
    shapes: tuple[Sdf | None, ...]

    @property
    def is_empty(self) -> bool:
        """True when there is no neighbour at all."""
        return all(shape is None for shape in self.shapes)


class Predictor(Protocol):
    """Anything that says what shape a body should have.

    ``name`` goes into the tables. ``uses`` tells which slots a prediction rests on.
    """

    name: str

    def predict(self, contexts: Sequence[Context]) -> list[NDArray[np.float32]]:
        """Return a patch for each context: signed distance (mm), axes (LR, AP, SI) of the target, about the shape's own centre.

        No context may be empty.
        """
        ...

    def uses(self, context: Context) -> tuple[Level, ...]:
        """Return the neighbours that the prediction for a context rests on, from the head downward."""
        ...


def contexts_along(levels: Sequence[Level], shapes: Sequence[Sdf | None]) -> list[Context]:
    """Give every vertebra its neighbours, by order along the spine.

    Parameters
    ----------
    levels : sequence of Level
        From the head downward.
    shapes : sequence of Sdf or None
        None for a body that must not serve as context (cut by the volume's edge); the next one takes its slot.
    """
    usable = [n for n, shape in enumerate(shapes) if shape is not None]
    found = []
    for n, level in enumerate(levels):
        above, below = [k for k in usable if k < n], [k for k in usable if k > n]
        seats = [above[-2] if len(above) > 1 else None, above[-1] if above else None]
        seats += [below[0] if below else None, below[1] if len(below) > 1 else None]
        found.append(Context(level, tuple(None if k is None else levels[k] for k in seats), tuple(None if k is None else shapes[k] for k in seats)))
    return found
