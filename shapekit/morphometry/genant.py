"""Heights read as a radiologist reads them: losses, grade 0-3 and type (Genant et al. 1993, J Bone Miner Res 8:1137)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shapekit.core.checks import InputError
from shapekit.morphometry.heights import Heights

GRADE_LIMITS = (0.20, 0.25, 0.40)
"""Height loss from which (inclusive) a body has grade 1, 2, 3."""
DEFORMED = 0.05
"""Below this loss a body has no type."""
CRUSH_SHARE = 0.6
"""A crush has lost more than this share of its worst loss at the back too."""


def height_losses(heights: Heights, expected: Heights) -> tuple[float, float, float]:
    """Share of Ha, Hm and Hp that is missing against the heights a body should have; negative where it is higher.

    Raises
    ------
    InputError
        If an expected height is not positive.

    Examples
    --------
    >>> height_losses(Heights(15.0, 18.0, 25.0), Heights(25.0, 24.0, 25.0))
    (0.4, 0.25, 0.0)
    """
    if min(expected) <= 0.0:
        raise InputError(f"the expected heights are {tuple(expected)} mm, but must be positive.")
    ha, hm, hp = (1.0 - own / should for own, should in zip(heights, expected, strict=True))
    return ha, hm, hp


def genant_grade(loss: float) -> int:
    """Quantitative Genant grade of the worst height loss: 1 from 20 %, 2 from 25 %, 3 from 40 %, each limit included.

    Raises
    ------
    InputError
        If the loss is not finite.

    Examples
    --------
    >>> [genant_grade(loss) for loss in (0.199, 0.2, 0.25, 0.4)]
    [0, 1, 2, 3]
    """
    if not np.isfinite(loss):
        raise InputError(f"the height loss is {loss}; a grade needs a finite one.")
    return int(np.searchsorted(GRADE_LIMITS, loss, side="right"))


def type_of_deformity(losses: tuple[float, float, float]) -> str:
    """``"crush"`` where the posterior height is lost too, else ``"wedge"`` (Ha lowest) or ``"biconcave"`` (Hm lowest); "" below 5 %.

    Parameters
    ----------
    losses : (3,) float
        Of Ha, Hm, Hp, as ``height_losses`` gives them.

    Examples
    --------
    >>> [type_of_deformity(losses) for losses in ((0.3, 0.2, 0.0), (0.1, 0.3, 0.05), (0.4, 0.4, 0.3), (0.02, 0.0, 0.0))]
    ['wedge', 'biconcave', 'crush', '']
    """
    ha, hm, hp = losses
    worst = max(losses)
    if not worst >= DEFORMED:
        return ""
    if hp > CRUSH_SHARE * worst:
        return "crush"
    return "wedge" if ha >= hm else "biconcave"


def neighbour_heights(heights: Sequence[Heights | None], fractured: Sequence[bool], index: int) -> Heights | None:
    """Heights that a body should have by the classical rule: those of the nearest unfractured vertebra on either side, averaged.

    Parameters
    ----------
    heights : sequence of Heights or None
        Along the spine from the head downward; None where a body was not measured.
    fractured : sequence of bool
        Which of them cannot serve.
    index : int
        The body asked for.

    Returns
    -------
    Heights or None
        None where no other body is whole. With a whole one on one side only, or nearer on one side, both sides still count
        once each: heights change from level to level, and a mean of both sides has no drift.
    """
    usable = [n for n, found in enumerate(heights) if found is not None and not fractured[n] and n != index]
    sides = [max((n for n in usable if n < index), default=None), min((n for n in usable if n > index), default=None)]
    chosen = [heights[n] for n in sides if n is not None]
    if not chosen:
        return None
    ha, hm, hp = np.mean([tuple(found) for found in chosen if found is not None], axis=0)
    return Heights(float(ha), float(hm), float(hp))
