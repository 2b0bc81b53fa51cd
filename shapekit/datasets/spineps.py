"""What SPINEPS and TPTBox write: a vertebra mask and a sub-region mask a scan, BIDS-like, in ``derivatives_seg`` or any other folder."""

from __future__ import annotations

from pathlib import Path

from shapekit.datasets.case import Case
from shapekit.datasets.tree import Tree, Unreadable, entities_of, left_out, usable
from shapekit.io.paths import stem

_SUBREGIONS = ("spine", "subreg")
"""What the sub-region mask's ``seg`` says: SPINEPS writes the first, TPTBox and older versions the second."""


def read_spineps(tree: Tree) -> tuple[list[Case], list[str]]:
    """Read every vertebra mask with its sub-regions.

    Parameters
    ----------
    tree : Tree

    Returns
    -------
    list of Case
    list of str
        What was left out or is in doubt.
    """
    masks = [file for file in tree.volumes if is_vertebra_mask(file)]
    regions = {_key(file): file for file in reversed(tree.volumes) if is_subregion_mask(file)}
    images = {_key(file): file for file in reversed(tree.volumes) if entities_of(file)[1] == "ct"}
    cases: list[Case] = []
    notes: list[str] = []
    twice: list[Path] = []
    alone: list[Path] = []
    taken: set[str] = set()
    for mask in masks:
        if stem(mask) in taken:
            twice.append(mask)
            continue
        if reason := usable(mask):
            notes.append(Unreadable.of(mask, reason))
            continue
        taken.add(stem(mask))
        body = regions.get(_key(mask))
        if body is not None and (reason := usable(body)):
            notes.append(f"left out as sub-regions: {reason}")
            body = None
        alone += [mask] if body is None else []
        subject = entities_of(mask)[0].get("sub", "")
        ct = images.get(frozenset(item for item in _key(mask) if item != ("mod", "ct")))
        cases.append(Case(stem(mask), f"sub-{subject}" if subject else stem(mask), mask, "spineps", ct=ct, body_mask=body))
    notes += left_out(twice, "a mask of the same name is there already")
    if alone and len(alone) < len(cases):
        notes.append(f"{len(alone)} masks have no sub-regions beside them, so their bodies are cut out by shapekit")
    return cases, notes


def is_vertebra_mask(path: Path) -> bool:
    """Tell whether a file's name is a vertebra mask's, ``..._seg-vert..._msk``."""
    entities, suffix = entities_of(path)
    return suffix == "msk" and entities.get("seg") == "vert"


def is_subregion_mask(path: Path) -> bool:
    """Tell whether a file's name is a sub-region mask's, ``..._seg-spine..._msk`` or ``..._seg-subreg..._msk``."""
    entities, suffix = entities_of(path)
    return suffix == "msk" and entities.get("seg") in _SUBREGIONS


def _key(path: Path) -> frozenset[tuple[str, str]]:
    """Return what the files of one image have in common: a T1w and a T2w image of one session differ by ``mod``."""
    return frozenset(item for item in entities_of(path)[0].items() if item[0] != "seg")
