"""``open_dataset``: one door to every data set; what kind it is, is found with evidence or refused, never guessed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import overload

from shapekit.core.checks import InputError, MissingPackageError, UsageError, check_choice
from shapekit.datasets.case import Case
from shapekit.datasets.ctspine1k import read_ctspine1k, scan_of
from shapekit.datasets.phantom import read_cohort
from shapekit.datasets.plain import read_plain, with_grades
from shapekit.datasets.spineps import is_subregion_mask, is_vertebra_mask, read_spineps
from shapekit.datasets.tables import TABLE_SUFFIXES, GradeTable, read_grades
from shapekit.datasets.totalsegmentator import PROBED, class_folders, has_named_vertebrae, read_totalsegmentator
from shapekit.datasets.tree import Tree, Unreadable, list_tree
from shapekit.datasets.verse import identity_of, read_verse
from shapekit.datasets.xvertseg import mask_files, read_xvertseg
from shapekit.io.paths import shown, stem

KINDS = ("phantom", "verse", "xvertseg", "totalsegmentator", "spineps", "ctspine1k", "plain")
_GRADED = ("verse", "spineps", "plain")
"""Kinds whose grades come in a table of their own; xVertSeg's scores and the phantom's truth are part of the data set."""
_GRADE_FILES = tuple(f"{name}{suffix}" for name in ("ryai190138_appendixe1", "genant_grades", "grades") for suffix in TABLE_SUFFIXES)
_DESCRIPTION = "dataset_description.json"


@dataclass(frozen=True)
class Dataset(Sequence[Case]):
    """The cases of a data set, in the order of their folders and names.

    Parameters
    ----------
    name : str
        The folder's name.
    kind : str
        One of ``KINDS``.
    cases : tuple of Case
        Each name once.
    notes : tuple of str
        Why this kind; what was left out or is in doubt.
    """

    name: str
    kind: str
    cases: tuple[Case, ...]
    notes: tuple[str, ...] = ()

    @overload
    def __getitem__(self, index: int) -> Case: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Case, ...]: ...
    def __getitem__(self, index: int | slice) -> Case | tuple[Case, ...]:
        return self.cases[index]

    @property
    def unreadable(self) -> tuple[Unreadable, ...]:
        """Those notes that are of masks that cannot be opened at all."""
        return tuple(note for note in self.notes if isinstance(note, Unreadable))

    def __len__(self) -> int:
        return len(self.cases)

    def __iter__(self) -> Iterator[Case]:
        return iter(self.cases)


def open_dataset(folder: str | Path, kind: str = "auto", *, grades: str | Path | None = None, without: str | Path | None = None) -> Dataset:
    """Open a data set as its makers laid it out; see ``docs/datasets.md`` for the layouts.

    Files are listed, and tables and a few headers read; masks are read by :meth:`Case.load`. Nothing is ever written.

    Parameters
    ----------
    folder : path
    kind : str
        ``"auto"`` finds it by the files' names, else one of ``KINDS``.
    grades : path, optional
        Table of Genant grades that lies elsewhere (VerSe's workbook, or columns case, level, grade). Inside the folder, one named
        ``ryai190138_appendixe1``, ``genant_grades`` or ``grades`` (``.xlsx``, ``.csv``, ``.tsv``) is found.
    without : path, optional
        A folder inside that is none of the data set's, such as that of results.

    Returns
    -------
    Dataset

    Raises
    ------
    InputError
        If the folder holds no case, or a table that was given is none.
    UsageError
        If there is no such kind, several fit the folder, or the kind takes no table of grades.
    MissingPackageError
        If a workbook was given and openpyxl is not installed.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "verse266_seg.nii.gz").write_bytes(b"any"); open_dataset(folder)[0].subject
    'sub-verse266'
    """
    tree = list_tree(folder, without=without)
    name = stem(folder)
    if kind == "auto":
        kind, why = _detect(tree)
    else:
        check_choice("kind", kind, ("auto", *KINDS))
        why = f"{kind} as asked for"
    if kind == "phantom":
        if grades is not None:
            raise UsageError("a phantom cohort brings its true grades; leave out the table of grades.")
        return Dataset(name, kind, tuple(read_cohort(folder)), (why,))
    if grades is not None and kind not in _GRADED:
        raise UsageError(f"a table of grades was given, but none is read for {kind}; open the folder as one of: {', '.join(_GRADED)}.")
    table, notes = _table(tree, grades) if kind in _GRADED else (None, [])
    if kind == "verse":
        cases, more = read_verse(tree, table)
    else:
        readers = {
            "xvertseg": read_xvertseg,
            "totalsegmentator": read_totalsegmentator,
            "spineps": read_spineps,
            "ctspine1k": read_ctspine1k,
            "plain": read_plain,
        }
        cases, more = readers[kind](tree)
        if table is not None:
            cases, unused = with_grades(cases, table)
            more = [*more, *unused]
    if not cases:
        reason = f" ({more[0].rstrip('.')})" if more else ""
        raise InputError(f"{shown(folder)} holds no case of the kind {kind}{reason}; check the folder and see docs/datasets.md.")
    return Dataset(name, kind, tuple(cases), (why, *tree.notes, *notes, *more))


def _table(tree: Tree, grades: str | Path | None) -> tuple[GradeTable | None, list[str]]:
    """Read the table of grades that was given, or the only one there is."""
    if grades is not None:
        table = read_grades(grades)
        return table, [f"grades from {shown(grades)}", *table.notes]
    found = tree.named(*_GRADE_FILES)
    if len(found) > 1:
        raise UsageError(f"{shown(tree.root)} holds several tables of grades ({', '.join(map(shown, found[:4]))}); choose one with grades=.")
    if not found:
        return None, []
    try:
        table = read_grades(found[0])
    except (InputError, MissingPackageError) as error:
        return None, [f"no grades: {error}"]
    return table, [f"grades from {shown(found[0])}", *table.notes]


def _detect(tree: Tree) -> tuple[str, str]:
    """Return the one kind that files speak for, and why."""
    if _is_cohort(tree):
        return "phantom", f"phantom: {_DESCRIPTION} says so"
    evidence = _evidence(tree)
    if len(evidence) > 1:
        candidates = "; ".join(f"{kind}: {why}" for kind, why in evidence.items())
        raise UsageError(f"{shown(tree.root)} could be several data sets ({candidates}); choose one with kind=, or open its folders one by one.")
    for kind, why in evidence.items():
        return kind, f"{kind}: {why}"
    if not tree.volumes:
        raise InputError(f"{shown(tree.root)} holds no mask that shapekit reads; give the folder that holds the data set.")
    return "plain", "plain: no known data set's names"


def _evidence(tree: Tree) -> Mapping[str, str]:
    verse = [file for file in tree.volumes if identity_of(file) is not None]
    derived = [file for file in tree.volumes if is_vertebra_mask(file) and identity_of(file) is None]
    regions = [file for file in tree.volumes if is_subregion_mask(file)]
    spine1k = [file for file in tree.volumes if scan_of(file)]
    folders, numbered = class_folders(tree), mask_files(tree)
    found = {
        "verse": [f"{len(verse)} masks such as {shown(verse[0])}"] if verse else [],
        "spineps": [f"{len(files)} files such as {shown(files[0])}" for files in (regions, derived) if files][:1],
        "ctspine1k": [f"{len(spine1k)} masks such as {shown(spine1k[0])}"] if spine1k else [],
        "xvertseg": [f"{len(numbered)} masks such as {shown(numbered[0])} in masks"] if numbered else [],
        "totalsegmentator": [f"{len(folders)} folders with a mask a vertebra"] if folders else [],
    }
    if not any(found.values()):
        named = [file for file in islice(tree.volumes, PROBED) if has_named_vertebrae(file)]
        found["totalsegmentator"] = [f"labels named inside {shown(named[0])}"] if named else []
    return {kind: why[0] for kind, why in found.items() if why}


def _is_cohort(tree: Tree) -> bool:
    path = tree.root / _DESCRIPTION
    try:
        said = json.loads(path.read_bytes()[: 1 << 16]) if path.is_file() else None
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(said, dict) and said.get("Name") == "shapekit phantom cohort"
