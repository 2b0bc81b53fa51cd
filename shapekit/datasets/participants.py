"""A BIDS data set's ``participants.tsv``: age and sex, and nothing else of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from shapekit.core.checks import InputError
from shapekit.datasets.tables import Row, read_rows
from shapekit.io.paths import is_folder

PARTICIPANTS = "participants.tsv"
_SEXES = {"m": "M", "male": "M", "f": "F", "female": "F", "o": "O", "other": "O"}


@dataclass(frozen=True)
class Participant:
    """What the table says of a subject.

    Parameters
    ----------
    age : float
        Years; NaN where it is not known.
    sex : str
        ``"F"``, ``"M"``, ``"O"``, or "" where it is not known.
    """

    age: float = math.nan
    sex: str = ""


def read_participants(folder: str | Path) -> tuple[dict[str, Participant], tuple[str, ...]]:
    r"""Read ages and sexes of a data set's subjects.

    Parameters
    ----------
    folder : path

    Returns
    -------
    dict of str to Participant
        By subject, ``sub-`` included; empty where there is no table.
    tuple of str
        What was not understood. An age such as ``89+`` counts as 89.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / PARTICIPANTS).write_text("participant_id\tsex\tage\nsub-01\tfemale\t71\nsub-02\tn/a\t89+\n")
    >>> read_participants(folder)[0]
    {'sub-01': Participant(age=71.0, sex='F'), 'sub-02': Participant(age=89.0, sex='')}
    """
    path = Path(folder) / PARTICIPANTS
    if not is_folder(Path(folder)) or not path.is_file():
        return {}, ()
    try:
        rows = read_rows(path)
    except InputError as error:
        return {}, (f"no ages and sexes: {error}",)
    header = [str(cell).strip().lower() for cell in rows[0]] if rows else []
    if "participant_id" not in header:
        return {}, (f"no ages and sexes: {PARTICIPANTS} has no column participant_id",)
    found: dict[str, Participant] = {}
    odd = 0
    for row in rows[1:]:
        name, age, sex = (_cell(row, header, column) for column in ("participant_id", "age", "sex"))
        years, kind = _years(age), _SEXES.get(sex.lower(), "")
        odd += (bool(age) and math.isnan(years)) + (bool(sex) and not kind)
        if name:
            found[name if name.startswith("sub-") else f"sub-{name}"] = Participant(years, kind)
    return found, (f"{odd} ages or sexes in {PARTICIPANTS} were not understood",) if odd else ()


def _cell(row: Row, header: list[str], column: str) -> str:
    """Return a cell's text; "" for one that is not there, or says so."""
    text = str(row[header.index(column)]).strip() if column in header and header.index(column) < len(row) else ""
    return "" if text.lower() in ("n/a", "na", "nan", "none") else text


def _years(text: str) -> float:
    try:
        years = float(text.removesuffix("+"))
    except ValueError:
        return math.nan
    return years if 0 <= years <= 130 else math.nan
