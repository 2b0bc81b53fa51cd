"""TotalSegmentator's data set and its output: a folder of one mask a structure, or one file whose labels are named inside it.

The data set is ``meta.csv`` (semicolons; columns ``image_id`` and ``split``) beside ``s0011/ct.nii.gz`` and
``s0011/segmentations/vertebrae_L1.nii.gz``; structures that a scan does not show are masks without a voxel.
"""

from __future__ import annotations

from pathlib import Path

from shapekit.core.checks import InputError
from shapekit.datasets.case import Case
from shapekit.datasets.tables import read_rows
from shapekit.datasets.tree import Tree, Unreadable, left_out, split_named, usable
from shapekit.io.load import FOLDER_SCHEME
from shapekit.io.nifti import read_label_names
from shapekit.io.paths import shown, stem
from shapekit.io.schemes import level_of_name

_PREFIX = "vertebrae_"
_META = "meta.csv"
SEGMENTATIONS = "segmentations"
PROBED = 3
"""So many files are opened to see whether their labels are named."""


def read_totalsegmentator(tree: Tree) -> tuple[list[Case], list[str]]:
    """Read every folder of vertebra masks, and every file with named labels that is in none of them.

    Parameters
    ----------
    tree : Tree

    Returns
    -------
    list of Case
        A case is called by its folder, or by the folder above ``segmentations``.
    list of str
        What was left out or is in doubt.
    """
    splits, notes = _published_splits(tree)
    folders = class_folders(tree)
    found = [_folder_case(folder, tree) for folder in folders]
    covered = set(folders) | {folder.parent for folder in folders if folder.name == SEGMENTATIONS}
    unnamed: list[Path] = []
    for file in tree.volumes:
        if file.parent in covered or stem(file) in ("ct", "mri"):
            continue
        if reason := usable(file):
            notes.append(Unreadable.of(file, reason))
        elif has_named_vertebrae(file):
            ct = file.with_name("ct.nii.gz")
            found.append(Case(stem(file), stem(file), file, "auto", ct=ct if ct.is_file() else None))
        else:
            unnamed.append(file)
    notes += left_out(unnamed, "no labels named vertebrae_L1 or the like inside")
    cases: dict[str, Case] = {}
    twice: list[Path] = []
    for case in found:
        if case.name in cases:
            twice.append(case.mask)
        else:
            split = splits.get(case.subject, "")
            cases[case.name] = Case(case.name, case.subject, case.mask, case.scheme, split, ct=case.ct, body_mask=case.body_mask)
    missing = set(splits) - {case.subject for case in cases.values()}
    notes += [f"{len(missing)} scans of {_META} are not in the folder, or have no vertebra masks"] if missing else []
    return list(cases.values()), [*notes, *left_out(twice, "a scan of the same name is there already")]


def class_folders(tree: Tree) -> list[Path]:
    """Folders that hold a mask a vertebra, ``vertebrae_L1.nii.gz`` or the like."""
    found = {file.parent for file in tree.volumes if file.name.lower().startswith(_PREFIX) and level_of_name(stem(file)) is not None}
    return sorted(found)


def has_named_vertebrae(path: Path) -> bool:
    """Tell whether a file's header names labels such as vertebrae_L1, as ``TotalSegmentator --ml`` writes them."""
    try:
        names = read_label_names(path)
    except InputError:
        return False
    return any(name.lower().startswith(_PREFIX) and level_of_name(name) is not None for name in names.values())


def _folder_case(folder: Path, tree: Tree) -> Case:
    scan = folder.parent if folder.name == SEGMENTATIONS and folder != tree.root else folder
    ct, body = scan / "ct.nii.gz", folder / "vertebrae_body.nii.gz"
    name = stem(scan.resolve()) if scan == tree.root else stem(scan)
    return Case(name, name, folder, FOLDER_SCHEME, ct=ct if ct.is_file() else None, body_mask=body if body.is_file() else None)


def _published_splits(tree: Tree) -> tuple[dict[str, str], list[str]]:
    """Read the split of every scan from ``meta.csv``; nothing else in it is looked at."""
    for file in tree.named(_META):
        try:
            header, *rows = read_rows(file) or [()]
        except InputError as error:
            return {}, [f"no published split: {error}"]
        titles = [str(cell).strip().lower() for cell in header]
        if "image_id" in titles and "split" in titles:
            name, split = titles.index("image_id"), titles.index("split")
            full = (row for row in rows if len(row) > max(name, split))
            return {str(row[name]).strip(): split_named(str(row[split])) for row in full}, []
        return {}, [f"no published split: {shown(file)} has no columns image_id and split"]
    return {}, []
