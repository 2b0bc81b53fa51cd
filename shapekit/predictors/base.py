"""What a predictor is given, and what it must return."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from shapekit.core.levels import Level
from shapekit.core.values import Sdf
from shapekit.predictors.sizes import SizePrior
from shapekit.scoring import Spread

SLOTS = (-2, -1, 1, 2)
"""Places along the spine whose shapes a predictor sees, from the head downward."""
DIRECT = tuple(n for n, slot in enumerate(SLOTS) if abs(slot) == 1)


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

    ``name`` and ``identity`` (of its weights, or "") go into the tables; ``spread`` says how far its shapes lie from the true ones,
    where that has been measured; ``prior`` how far their sizes do, so that a body's own can be taken up; ``repairs`` tells
    whether broken neighbours are shown to it as they should look.
    """

    name: str
    identity: str
    spread: Spread | None
    prior: SizePrior | None
    repairs: bool

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


def direct_mean(context: Context) -> NDArray[np.float32]:
    """Mean signed distance (mm) of the direct neighbours; of the others where neither is there."""
    return mean_of([None if shape is None else shape.values for shape in context.shapes])


def mean_of(fields: Sequence[NDArray[np.float32] | None]) -> NDArray[np.float32]:
    """See ``direct_mean``; ``fields`` are those of the four slots."""
    near = [field for n in DIRECT if (field := fields[n]) is not None]
    return np.asarray(np.mean(near or [field for field in fields if field is not None], axis=0, dtype=np.float32))
