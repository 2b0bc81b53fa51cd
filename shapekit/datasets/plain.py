"""A plain folder of masks, with an optional table of grades: ``case``, ``level``, ``grade``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from shapekit.datasets.case import Case
from shapekit.datasets.tables import GradeTable
from shapekit.datasets.tree import Tree, Unreadable, entities_of, left_out, usable
from shapekit.io.paths import shown, stem

_KIND = re.compile(r"(?:^|[_-])(?:ct|seg|segmentation|msk|mask|labels?)$", re.IGNORECASE)


def read_plain(tree: Tree) -> tuple[list[Case], list[str]]:
    """Take every image for a mask, but those named as CTs.

    Parameters
    ----------
    tree : Tree

    Returns
    -------
    list of Case
        A name that several folders have carries its folders' names. The subject is the entity ``sub``, else the mask itself. Its CT is the
        one whose name says the same but for ``ct``, ``seg``, ``mask`` and the like: in its own folder, else the only one anywhere.
    list of str
        What was left out or is in doubt.
    """
    images = [file for file in tree.volumes if _is_image(file)]
    masks = [file for file in tree.volumes if not _is_image(file)]
    times = Counter(stem(file) for file in masks)
    cases: dict[str, Case] = {}
    by_scan: dict[tuple[str, ...], list[Path]] = {}
    for image in images:
        by_scan.setdefault(_scan(image), []).append(image)
    notes: list[str] = []
    twice: list[Path] = []
    for mask in masks:
        name = stem(mask) if times[stem(mask)] == 1 else _long_name(mask, tree.root)
        if name in cases:
            twice.append(mask)
        elif reason := usable(mask):
            notes.append(Unreadable.of(mask, reason))
        else:
            subject = entities_of(mask)[0].get("sub", "")
            cases[name] = Case(name, f"sub-{subject}" if subject else name, mask, "auto", ct=_ct_of(mask, by_scan.get(_scan(mask), [])))
    taken = {case.ct for case in cases.values()}
    notes += left_out([image for image in images if image not in taken], "named as a CT, not as a mask")
    return list(cases.values()), [*notes, *left_out(twice, "a mask of the same name is there already")]


def with_grades(cases: Sequence[Case], table: GradeTable) -> tuple[list[Case], list[str]]:
    """Give cases the grades that a table has for them.

    Parameters
    ----------
    cases : sequence of Case
    table : GradeTable
        By a case's name, by its name before ``_seg``, or by the subject of a single case.

    Returns
    -------
    list of Case
    list of str
        Rows that no case is for.
    """
    single = Counter(case.subject for case in cases)
    known: dict[str, list[int]] = {}
    for n, case in enumerate(cases):
        names = {case.name.lower(), case.name.lower().partition("_seg")[0]}
        if single[case.subject] == 1:
            names |= {case.subject.lower(), case.subject.lower().removeprefix("sub-")}
        for name in names:
            known.setdefault(name, []).append(n)
    graded = list(cases)
    unused: list[str] = []
    for name, grades in table.grades.items():
        where = known.get(name, [])
        if len(where) == 1:
            graded[where[0]] = replace(cases[where[0]], grades=dict(grades))
        else:
            unused.append(shown(name))
    return graded, [f"graded, but no case or several: {', '.join(unused[:3])}{' ...' if len(unused) > 3 else ''}"] if unused else []


def _is_image(path: Path) -> bool:
    entities, suffix = entities_of(path)
    return suffix.lower() == "ct" and "seg" not in entities


def _scan(path: Path) -> tuple[str, ...]:
    """Return what the names of a mask and its CT have in common."""
    entities, _ = entities_of(path)
    if "sub" in entities:
        return tuple(sorted(f"{key}-{value}" for key, value in entities.items() if key not in ("seg", "label")))
    return (_KIND.sub("", stem(path)).lower(),)


def _ct_of(mask: Path, images: Sequence[Path]) -> Path | None:
    near = [image for image in images if image.parent == mask.parent]
    return near[0] if len(near) == 1 else images[0] if len(images) == 1 and not near else None


def _long_name(path: Path, root: Path) -> str:
    """Return a mask's name with those of the folders it lies in."""
    return "_".join((*(stem(part) for part in path.relative_to(root).parts[:-1]), stem(path)))
