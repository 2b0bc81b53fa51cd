"""CTSpine1K: masks ``..._seg.nii.gz`` named as their CTs of four open collections, and ``data_split.txt`` with the published split.

Sections of that file are ``trainset:``, ``test_public:`` and ``test_private:``; both of the latter are tests. Its last line holds a name twice.
"""

from __future__ import annotations

import re
from pathlib import Path

from shapekit.datasets.case import Case
from shapekit.datasets.tree import Tree, Unreadable, left_out, usable
from shapekit.io.paths import stem

_SPLIT_FILE = "data_split.txt"
_MAX_SPLIT_BYTES = 1 << 22
_SECTIONS = {"trainset": "train", "test_public": "test", "test_private": "test"}
_SOURCES = re.compile(r"(?:1\.3\.6\.1\.4\.1\.9328\.50\.4\.\d{4}|CTC-\d+|HN_P\d+|liver_\d+|volume-covid19-A-\d+(?:_ct)?)", re.IGNORECASE)
_MASK = re.compile(r"(.+)_seg", re.IGNORECASE)


def scan_of(path: Path) -> str:
    """Return the scan a mask of CTSpine1K is of; "" for any other file.

    Examples
    --------
    >>> scan_of(Path("liver_106_seg.nii.gz")), scan_of(Path("HN_P023.nii.gz")), scan_of(Path("verse506_CT-iso_seg.nii.gz"))
    ('liver_106', '', '')
    """
    match = _MASK.fullmatch(stem(path))
    return match.group(1) if match and _SOURCES.fullmatch(match.group(1)) else ""


def read_ctspine1k(tree: Tree) -> tuple[list[Case], list[str]]:
    """Read CTSpine1K's masks; one scan is one patient, as its makers took one of each.

    Parameters
    ----------
    tree : Tree

    Returns
    -------
    list of Case
    list of str
        What was left out or is in doubt.
    """
    splits, notes = _published_splits(tree)
    images = {stem(file): file for file in reversed(tree.volumes) if _SOURCES.fullmatch(stem(file))}
    cases: dict[str, Case] = {}
    twice: list[Path] = []
    for mask in tree.volumes:
        scan = scan_of(mask)
        if not scan:
            continue
        if scan in cases:
            twice.append(mask)
            continue
        if reason := usable(mask):
            notes.append(Unreadable.of(mask, reason))
            continue
        cases[scan] = Case(stem(mask), scan, mask, "ctspine1k", splits.get(scan, ""), ct=images.get(scan))
    unstated = sum(not case.split for case in cases.values())
    notes += [f"{unstated} scans are in no section of {_SPLIT_FILE}"] if splits and unstated else []
    others = [file for file in tree.volumes if _MASK.fullmatch(stem(file)) and not scan_of(file)]
    notes += left_out(others, "not named as CTSpine1K's own masks; open VerSe's as verse")
    return list(cases.values()), [*notes, *left_out(twice, "a mask of the same scan is there already")]


def _published_splits(tree: Tree) -> tuple[dict[str, str], list[str]]:
    files = tree.named(_SPLIT_FILE)
    if not files:
        return {}, [f"no {_SPLIT_FILE}, so no published split"]
    try:
        with files[0].open(encoding="utf-8-sig") as file:
            text = file.read(_MAX_SPLIT_BYTES)
    except (OSError, UnicodeDecodeError):
        return {}, [f"{_SPLIT_FILE} cannot be read, so no published split"]
    splits: dict[str, str] = {}
    section = ""
    contradicted: set[str] = set()
    for line in text.splitlines():
        if line.strip().endswith(":"):
            section = _SECTIONS.get(line.strip()[:-1].strip().lower(), "")
            continue
        for name in re.findall(r"(\S+?)\.nii\.gz", line):
            if splits.setdefault(name, section) != section:
                contradicted.add(name)
    notes = [f"{len(contradicted)} scans stand in two sections of {_SPLIT_FILE}, so in no split"] if contradicted else []
    return {name: split for name, split in splits.items() if split and name not in contradicted}, notes
