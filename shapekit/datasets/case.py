"""One scan of a data set, whichever it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from shapekit.core.checks import InputError
from shapekit.core.levels import Level
from shapekit.core.values import LabelMap


@dataclass(frozen=True)
class Case:
    """A mask and what is known of it.

    Parameters
    ----------
    name : str
        The mask's stem; for a folder of masks, the name its data set knows it by.
    subject : str
        Whose scan it is: splits never divide a subject.
    mask : Path
        A label map, or a folder of one mask a vertebra.
    scheme : str
        Label scheme of the mask; ``"auto"`` where the data set does not state it.
    split : str
        ``"train"``, ``"validation"``, ``"test"`` or ``""``, as the data set publishes it.
    grades : mapping of Level to int
        Genant grades (0-3) where somebody has read them; a level that nobody graded is absent.
    ct, body_mask, truth : Path or None
        Files that some data sets bring along.
    deformities : mapping of Level to str
        ``"wedge"``, ``"biconcave"`` or ``"crush"`` where somebody has read it of a fractured vertebra.
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
    deformities: Mapping[Level, str] = field(default_factory=dict)

    def load(self, *, exclude_cervical: bool = False) -> LabelMap:
        """Read the mask, its bodies where they are given, under this case's name.

        A folder of one mask a vertebra is merged in one pass: the merged map and one mask are in memory at a time.

        Parameters
        ----------
        exclude_cervical : bool
            Leave C1 to C7 out of the levels; their voxels stay in the array and are ignored.

        Returns
        -------
        LabelMap
            mm, RAS.

        Raises
        ------
        InputError
            If a file cannot be used, its levels are in doubt, or no level is left.
        """
        from shapekit.io import load

        labels = load(self.mask, scheme=self.scheme, body_mask=self.body_mask, name=self.name)
        assert isinstance(labels, LabelMap)
        if not exclude_cervical:
            return labels
        levels = {value: level for value, level in labels.levels.items() if not level.is_cervical}
        if not levels:
            raise InputError(f"{self.name} shows cervical vertebrae only; keep them, or leave this case out.")
        if len(levels) == len(labels.levels):
            return labels
        return replace(labels, levels=levels, partial=labels.partial & set(levels), notes=(*labels.notes, "cervical vertebrae left out as asked"))


def load_each(cases: Iterable[Case], *, exclude_cervical: bool = False) -> Iterator[tuple[Case, LabelMap | None, str]]:
    """Read one case after the other; one that cannot be read is passed by with its reason.

    Parameters
    ----------
    cases : iterable of Case
    exclude_cervical : bool
        See ``Case.load``.

    Yields
    ------
    case : Case
    labels : LabelMap or None
        mm, RAS; None where the case cannot be used.
    reason : str
        Why it cannot; empty where it can.
    """
    for case in cases:
        try:
            labels, reason = case.load(exclude_cervical=exclude_cervical), ""
        except InputError as error:
            labels, reason = None, str(error)
        yield case, labels, reason
