"""A data set's folder as a list of files, and the entities that BIDS-like names consist of."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from shapekit.core.checks import InputError
from shapekit.io.paths import VOLUME_SUFFIXES, is_folder, require_file, shown, stem, suffix_of

MAX_FILES = 2_000_000
"""TotalSegmentator's data set has 1,228 folders of 117 files."""
_SPLITS = {"train": "train", "training": "train", "val": "validation", "validation": "validation", "test": "test"}
_SPLIT_NAME = re.compile(r"(?:^|[^a-z])(training|train|validation|val|test)$")


@dataclass(frozen=True)
class Tree:
    """The files below a folder.

    Parameters
    ----------
    root : Path
    files : tuple of Path
        In the order of their names, folder by folder; hidden ones and what macOS adds to archives are left out.
    notes : tuple of str
        Folders that could not be listed.
    """

    root: Path
    files: tuple[Path, ...]
    notes: tuple[str, ...] = ()

    @cached_property
    def volumes(self) -> tuple[Path, ...]:
        """Those whose names are of images that shapekit reads."""
        return tuple(file for file in self.files if suffix_of(file) in VOLUME_SUFFIXES)

    def named(self, *names: str) -> tuple[Path, ...]:
        """Those of the given names, in small letters."""
        return tuple(file for file in self.files if file.name.lower() in names)


def list_tree(folder: str | Path, *, without: str | Path | None = None) -> Tree:
    """List every file below a folder; links are followed, and a folder is listed once however many links lead to it.

    Parameters
    ----------
    folder : path
    without : path, optional
        A folder that is passed by, such as that of results.

    Returns
    -------
    Tree

    Raises
    ------
    InputError
        If it is no folder, may not be listed, or holds more than ``MAX_FILES`` files.
    """
    root = Path(folder)
    if not is_folder(root):
        raise InputError(f"{shown(root)} is no folder; give the folder that holds the data set.")
    files: list[Path] = []
    notes: list[str] = []
    seen = set() if without is None else {os.path.realpath(without)}
    waiting = [root]
    while waiting:
        place = waiting.pop()
        if (real := os.path.realpath(place)) in seen:
            continue
        seen.add(real)
        try:
            entries = sorted((entry for entry in os.scandir(place) if not _is_litter(entry.name)), key=lambda entry: entry.name)
        except OSError as error:
            if place == root:
                raise InputError(f"the folder {shown(root)} may not be listed by this user; change its permissions.") from error
            notes.append(f"the folder {shown(place)} may not be listed and was left out")
            continue
        folders: list[Path] = []
        for entry in entries:
            (folders if _is_dir(entry) else files).append(Path(entry.path))
        if len(files) > MAX_FILES:
            raise InputError(f"{shown(root)} holds more than {MAX_FILES:,} files; give the data set's own folder.")
        waiting += reversed(folders)
    return Tree(root, tuple(files), tuple(notes))


def _is_litter(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False


def entities_of(path: Path) -> tuple[dict[str, str], str]:
    """Take a BIDS-like name apart.

    Parameters
    ----------
    path : Path

    Returns
    -------
    entities : dict
        Key → value, in the name's order.
    suffix : str
        The last part, without a key.

    Examples
    --------
    >>> entities_of(Path("sub-verse409_split-verse266_seg-vert_msk.nii.gz"))
    ({'sub': 'verse409', 'split': 'verse266', 'seg': 'vert'}, 'msk')
    """
    *parts, suffix = stem(path).split("_")
    pairs = (part.partition("-") for part in parts)
    return {key: value for key, dash, value in pairs if dash}, suffix


def split_of(path: Path, root: Path) -> str:
    """Return the split that a folder between ``root`` (its own name included) and a file is named for; "" where there is none.

    Examples
    --------
    >>> split_of(Path("data/dataset-verse19validation/rawdata/a.nii.gz"), Path("data")), split_of(Path("data/latest/a.nii.gz"), Path("data"))
    ('validation', '')
    """
    inside = path.relative_to(root).parts[:-1]
    for name in reversed((root.name, *inside)):
        match = _SPLIT_NAME.search(name.lower())
        if match:
            return _SPLITS[match.group(1)]
    return ""


def split_named(word: str) -> str:
    """Return what a table's word for a split means; "" for any other word."""
    return _SPLITS.get(word.strip().lower(), "")


def usable(path: Path) -> str:
    """Say why a file cannot be opened at all; "" if it can."""
    try:
        require_file(path)
    except InputError as error:
        return str(error)
    return ""


class Unreadable(str):
    """The note that a mask was left out because it cannot be opened at all: which, and why."""

    path: Path
    reason: str

    @classmethod
    def of(cls, path: Path, reason: str) -> Unreadable:
        """Make the note of a file and the sentence of :func:`usable`."""
        note = cls(f"left out: {reason}")
        note.path, note.reason = path, reason
        return note


def left_out(files: Sequence[Path] | Iterable[str], why: str) -> list[str]:
    """Say in one note what was left out; nothing for nothing."""
    names = [shown(file) for file in files]
    if not names:
        return []
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return [f"left out: {', '.join(names[:3])}{more} ({why})"]
