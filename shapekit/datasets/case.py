"""One scan of a data set, whichever it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from shapekit.core.levels import Level


@dataclass(frozen=True)
class Case:
    """A mask and what is known of it.

    Parameters
    ----------
    name : str
        The mask's stem.
    subject : str
        Whose scan it is: splits never divide a subject.
    mask : Path
    scheme : str
        Label scheme of the mask.
    split : str
        ``"train"``, ``"validation"``, ``"test"`` or ``""``.
    grades : mapping of Level to int
        Genant grades where somebody has read them.
    ct, body_mask, truth : Path or None
        Files that some data sets bring along.
    """

    name: str
    subject: str
    mask: Path
    scheme: str
    split: str = ""
    grades: Mapping[Level, int] = field(default_factory=dict)
    ct: Path | None = None
    body_mask: Path | None = None
    truth: Path | None = None
