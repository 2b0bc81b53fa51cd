"""xVertSeg: ``Data1/images``, ``Data1/masks`` and ``Data1/scores/scores.csv``; ``Data2`` holds images whose masks are not published.

A row of ``scores.csv`` is an image, then the grades of L1 to L5, then their cases (0 normal, 1 wedge, 2 biconcave, 3 crush).
"""

from __future__ import annotations

import re
from pathlib import Path

from shapekit.core.checks import InputError
from shapekit.core.levels import Level
from shapekit.datasets.case import Case
from shapekit.datasets.tables import deformities_of, grade_of, is_blank, read_rows
from shapekit.datasets.tree import Tree, Unreadable, left_out, usable
from shapekit.io.paths import shown, stem

_LUMBAR = tuple(Level(f"L{n}") for n in range(1, 6))
_NUMBER = re.compile(r"(?:image|mask|img)?[ _-]*(\d{1,6})(?:\.\w+)?", re.IGNORECASE)
_SCORES = "scores.csv"


def mask_files(tree: Tree) -> list[Path]:
    """Masks in a folder ``masks`` whose names end in a number, where ``Data1`` or ``images`` says that this is xVertSeg."""
    found = [file for file in tree.volumes if file.parent.name.lower() == "masks" and _number(stem(file))]
    return [file for file in found if file.parent.parent.name.lower() == "data1" or file.parent.with_name("scores").is_dir()]


def read_xvertseg(tree: Tree) -> tuple[list[Case], list[str]]:
    """Read xVertSeg's cases; one image is one patient.

    Parameters
    ----------
    tree : Tree

    Returns
    -------
    list of Case
    list of str
        What was left out or is in doubt.
    """
    masks = mask_files(tree)
    grades, types, notes = _read_scores(tree)
    images = {_number(stem(file)): file for file in reversed(tree.volumes) if file.parent.name.lower() == "images"}
    cases: list[Case] = []
    taken: set[str] = set()
    twice: list[Path] = []
    for mask in masks:
        number = _number(stem(mask))
        if number in taken:
            twice.append(mask)
            continue
        if reason := usable(mask):
            notes.append(Unreadable.of(mask, reason))
            continue
        taken.add(number)
        ct = images.get(number)
        cases.append(
            Case(stem(mask), f"xvertseg{int(number):03d}", mask, "xvertseg", grades=grades.get(number, {}), ct=ct, deformities=types.get(number, {}))
        )
    without = [file for number, file in sorted(images.items()) if number not in taken]
    notes += left_out(without, "images without a mask")
    return cases, [*notes, *left_out(twice, "a mask of the same number is there already")]


def _number(name: str) -> str:
    match = _NUMBER.fullmatch(name.strip())
    return str(int(match.group(1))) if match else ""


def _read_scores(tree: Tree) -> tuple[dict[str, dict[Level, int]], dict[str, dict[Level, str]], list[str]]:
    tables = tree.named(_SCORES)
    if not tables:
        return {}, {}, [f"no {_SCORES}, so no grades"]
    try:
        rows = read_rows(tables[0])
    except InputError as error:
        return {}, {}, [f"no grades: {error}"]
    grades: dict[str, dict[Level, int]] = {}
    types: dict[str, dict[Level, str]] = {}
    odd = 0
    for row in rows:
        number = _number(str(row[0]))
        if not number or number in grades or len(row) < 1 + len(_LUMBAR):
            continue  # the header and legends
        cells = dict(zip(_LUMBAR, row[1:], strict=False))
        grades[number] = {level: grade for level, cell in cells.items() if (grade := grade_of(cell)) is not None}
        types[number] = deformities_of(dict(zip(_LUMBAR, row[1 + len(_LUMBAR) :], strict=False)), grades[number])
        odd += sum(grade_of(cell) is None and not is_blank(cell) for cell in cells.values())
    notes = [f"{shown(tables[0])}: {odd} cells are neither a grade (0-3) nor blank, and count as not graded"] if odd else []
    return grades, types, notes
