"""What a report is about: a spine's measures with the shapes behind them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from shapekit.core.values import Measures
from shapekit.pipeline import Scored

ABNORMAL_SCORE = 20.0
"""From this score on a vertebra's cut is drawn, as from a height loss of Genant's grade 1; it is no diagnosis."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A scored spine.

    Parameters
    ----------
    name : str
        The case: the file's stem.
    scored : tuple of Scored
        From the head downward.
    notes : tuple of str
        How the input was understood, and doubts about the spine as a whole.
    options : mapping of str
        What the scores were computed with.
    """

    name: str
    scored: tuple[Scored, ...]
    notes: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)


def is_abnormal(row: Measures) -> bool:
    """Tell whether a vertebra scores 20 or more, or has lost height to a Genant grade.

    Examples
    --------
    >>> is_abnormal(Measures("L1", 20, score=19.0)), is_abnormal(Measures("L1", 20, score=19.0, genant_grade=1))
    (False, True)
    """
    return (not math.isnan(row.score) and row.score >= ABNORMAL_SCORE) or bool(row.genant_grade)
