"""VerSe'19 and VerSe'20, in both of their published structures, with the grades of the supplementary workbook.

Subject based: ``[dataset-verse19training/]rawdata/sub-verse409/sub-verse409_split-verse266_ct.nii.gz`` and
``derivatives/sub-verse409/sub-verse409_split-verse266_seg-vert_msk.nii.gz``, where ``split`` names the series of a patient who has several.
As for the challenge: ``verse266.nii.gz`` with ``verse266_seg.nii.gz`` (VerSe'19), ``verse500_CT-sag.nii.gz`` with ``verse500_CT-sag_seg.nii.gz``
(VerSe'20): named by series, so that only the workbook tells which series are of one patient. VerSe'20 brings some of VerSe'19's series again.
"""

from __future__ import annotations

import re
from pathlib import Path

from shapekit.datasets.case import Case
from shapekit.datasets.tables import GradeTable, number_of
from shapekit.datasets.tree import Tree, Unreadable, entities_of, left_out, split_of, usable
from shapekit.io.paths import stem

_FLAT = re.compile(r"((?:verse|gl)\d+)(?:[_-].*)?_seg", re.IGNORECASE)
_SERIES = re.compile(r"(?:verse|gl)\d+", re.IGNORECASE)


def identity_of(path: Path) -> tuple[str, str] | None:
    """Return whose mask of VerSe a file is.

    Parameters
    ----------
    path : Path

    Returns
    -------
    (subject, series) or None
        Such as ``("verse409", "verse266")``; the subject is empty where the name tells the series alone. None for any other file.

    Examples
    --------
    >>> identity_of(Path("sub-verse409_split-verse266_seg-vert_msk.nii.gz")), identity_of(Path("verse500_CT-sag_seg.nii.gz"))
    (('verse409', 'verse266'), ('', 'verse500'))
    >>> identity_of(Path("sub-gl195_dir-ax_seg-vert_msk.nii.gz")), identity_of(Path("sub-control_seg-vert_msk.nii.gz"))
    (('gl195', 'gl195'), None)
    """
    entities, suffix = entities_of(path)
    if suffix == "msk" and entities.get("seg") == "vert" and _SERIES.fullmatch(entities.get("sub", "")):
        series = entities.get("split", "")
        return number_of(entities["sub"]), number_of(series if _SERIES.fullmatch(series) else entities["sub"])
    flat = _FLAT.fullmatch(stem(path))
    return ("", number_of(flat.group(1))) if flat else None


def read_verse(tree: Tree, table: GradeTable | None = None) -> tuple[list[Case], list[str]]:
    """Read VerSe's cases.

    Parameters
    ----------
    tree : Tree
    table : GradeTable, optional
        Grades by verse_ID, and whose series they are.

    Returns
    -------
    list of Case
        In the order of their folders and names; a series that the tree holds twice is there once.
    list of str
        What was left out or is in doubt.
    """
    table = table or GradeTable({})
    by_series = {number_of(case) or case: grades for case, grades in table.grades.items()}
    types = {number_of(case) or case: kinds for case, kinds in table.deformities.items()}
    images = {_image_key(file): file for file in tree.volumes if identity_of(file) is None}
    cases: list[Case] = []
    taken: dict[str, Path] = {}
    twice: list[Path] = []
    moved: list[Path] = []
    several: list[Path] = []
    broken: list[str] = []
    guessed = 0
    for mask in tree.volumes:
        found = identity_of(mask)
        if found is None:
            continue
        subject, series = found
        if subject == series:
            series, doubtful = _only_series(series, table)
            several += [mask] if doubtful else []
        if series in taken:
            twice.append(mask)
            continue
        if reason := usable(mask):
            broken.append(Unreadable.of(mask, reason))
            continue
        taken[series] = mask
        stated = table.subjects.get(series, "")
        if subject and stated and subject not in (series, stated):
            moved.append(mask)
        owner = stated or subject or series
        guessed += not (stated or subject)
        grades = by_series.get(series, by_series.get(_scan(mask), {}))
        split, ct = split_of(mask, tree.root), images.get(_image_key(mask))
        cases.append(Case(stem(mask), f"sub-{owner}", mask, "verse", split, dict(grades), ct=ct, deformities=dict(types.get(series, {}))))
    notes = [*broken, *left_out(twice, "a series that is there already")]
    notes += [f"{len(moved)} masks have another subject in the table than in their name; the table's counts"] if moved else []
    notes += [f"{len(several)} subjects have several series in the table and none in their name, so their grades are left out"] if several else []
    if guessed:
        notes.append(f"{guessed} masks are named by series alone, and without the workbook two series of one patient look like two patients")
    return cases, notes


def _only_series(subject: str, table: GradeTable) -> tuple[str, bool]:
    """Return the series of a subject whose name holds none: its own number, or the only one that the table has for it."""
    own = [series for series, owner in table.subjects.items() if owner == subject]
    if subject in table.subjects or not own:
        return subject, False
    return (own[0], False) if len(own) == 1 else (subject, True)


def _scan(mask: Path) -> str:
    """Return a mask's name without what says that it is a mask, as tables of one row a vertebra call its scan."""
    return re.split(r"_seg(?:-|$)", stem(mask), maxsplit=1, flags=re.IGNORECASE)[0].lower()


def _image_key(path: Path) -> tuple[str, ...]:
    """Return what a mask and its image have in common: all entities but ``seg``, or the name without ``_seg``."""
    entities, suffix = entities_of(path)
    if suffix in ("ct", "msk") and "sub" in entities:
        return tuple(sorted(f"{key}-{value}" for key, value in entities.items() if key != "seg"))
    return (re.sub(r"_seg$", "", stem(path), flags=re.IGNORECASE),)
