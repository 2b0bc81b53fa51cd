"""``load``: anything a user may hand over becomes a LabelMap or a MeshSet, with notes on how it was understood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from shapekit.core.checks import InputError, UsageError
from shapekit.core.levels import Level
from shapekit.core.values import Image, LabelMap, MeshSet
from shapekit.io.meshfiles import read_mesh
from shapekit.io.nifti import image_of, label_names, read_label_names
from shapekit.io.paths import DICOM_SUFFIX, VOLUME_SUFFIXES, is_folder, shown, stem, suffix_of
from shapekit.io.scheme_tables import SCHEMES, SUBREGION_BODY, SUBREGIONS
from shapekit.io.schemes import apply_scheme, detect, level_of_name
from shapekit.io.volumes import as_labels, on_grid, read_volume

_CLASS_PREFIX = "vertebrae_"
FOLDER_SCHEME = "totalsegmentator-folder"


def load(
    source: str | Path | Mapping[str, str | Path] | Any, *, scheme: str = "auto", body_mask: str | Path | None = None, name: str | None = None
) -> LabelMap | MeshSet:
    """Open a mask, a folder of masks, or meshes.

    Parameters
    ----------
    source : path, mapping of level to path, or nibabel.spatialimages.SpatialImage
        A mask (NIfTI, MetaImage, NRRD, DICOM segmentation); a TotalSegmentator folder (``vertebrae_L1.nii.gz`` ...), or one that holds one mask;
        or closed meshes in mm by level, ``{"L1": "l1.ply"}``.
    scheme : str
        ``"auto"`` finds the label scheme with evidence or refuses; else a name of ``schemes.SCHEMES``.
    body_mask : path, optional
        Voxels that are vertebral body, on the mask's grid (other axis orders and flips of it are turned): a SPINEPS sub-region file
        (49 and 50 are taken), a TotalSegmentator ``vertebrae_body`` file, or any mask (everything but 0 is taken).
    name : str, optional
        What results call the case; else the file's stem.

    Returns
    -------
    LabelMap or MeshSet
        mm, RAS. The label array is as read: values that are not in ``levels`` are to be ignored.

    Raises
    ------
    InputError
        One sentence on what is wrong with which file and what to do; ``SchemeError`` where the levels are in doubt.
    UsageError
        For a source, level or scheme that does not exist.
    MissingPackageError
        For a DICOM segmentation where highdicom is not installed.

    Examples
    --------
    >>> import nibabel
    >>> array = np.zeros((50, 90, 120), np.uint8); array[5:45, 10:80, 20:42] = 24; array[5:45, 10:80, 56:78] = 23
    >>> load(nibabel.Nifti1Image(array, np.eye(4)), name="case").levels
    {23: <Level.L4: 'L4'>, 24: <Level.L5: 'L5'>}
    """
    if isinstance(source, Mapping):
        if body_mask is not None or scheme != "auto":
            raise UsageError("meshes come with their levels and are taken as they are; leave out scheme and body_mask.")
        return MeshSet({_level_of_key(key): read_mesh(path) for key, path in source.items()} or _no_meshes(), name or "meshes")
    if isinstance(source, str | Path):
        labels = _load_path(Path(source), scheme)
    elif hasattr(source, "dataobj") and hasattr(source, "affine"):
        labels = _label_map(image_of(source, "the image"), "the image", "spine", scheme, label_names(source))
    else:
        raise UsageError(f"cannot load a {type(source).__name__}; give a path, a mapping from level to mesh file, or a nibabel image.")
    if name is not None:
        labels = replace(labels, name=name)
    return labels if body_mask is None else _with_body_mask(labels, Path(body_mask))


def _no_meshes() -> dict[Level, Any]:
    raise UsageError("the mapping of meshes is empty; give at least one level and its file.")


def _level_of_key(key: object) -> Level:
    level = key if isinstance(key, Level) else level_of_name(str(key))
    if level is None:
        raise UsageError(f"{key!r} is no vertebral level; name meshes by C1 to L6, for example 'L1'.")
    return level


def _load_path(path: Path, scheme: str) -> LabelMap:
    if suffix_of(path) == DICOM_SUFFIX and not is_folder(path):
        from shapekit.io.dicomseg import read_segmentation

        image, names = read_segmentation(path)
        return _label_map(image, shown(path), stem(path), scheme, names)
    if not is_folder(path):
        return _label_map(read_volume(path), shown(path), stem(path), scheme, read_label_names(path))
    try:
        files = sorted(file for file in path.iterdir() if suffix_of(file) in VOLUME_SUFFIXES and file.is_file())
    except OSError as error:
        raise InputError(f"the folder {shown(path)} may not be listed by this user; change its permissions.") from error
    classes = {level: file for file in files if (level := _level_of_file(file)) is not None}
    if classes:
        return _load_classes(path, classes, files, scheme)
    if len(files) != 1:
        raise InputError(
            f"the folder {shown(path)} holds {len(files) or 'no'} masks and none named {_CLASS_PREFIX}L1.nii.gz or the like; give one mask file."
        )
    return _load_path(files[0], scheme)


def _label_map(image: Image, name: str, case: str, scheme: str, names: Mapping[int, str]) -> LabelMap:
    labels = LabelMap(as_labels(image, name), image.grid, {}, case)
    try:
        found = detect(labels.summaries, names) if scheme == "auto" else apply_scheme(labels.summaries, scheme)
    except InputError as error:
        raise type(error)(f"{name}: {error}") from error
    return labels.understood(found.levels, found.scheme, found.partial, found.evidence)


def _level_of_file(path: Path) -> Level | None:
    return level_of_name(stem(path)) if path.name.lower().startswith(_CLASS_PREFIX) else None


def _load_classes(folder: Path, classes: Mapping[Level, Path], files: list[Path], scheme: str) -> LabelMap:
    """Merge one mask a class into VerSe's values; where two classes overlap, the lower vertebra keeps the voxels."""
    if scheme not in ("auto", FOLDER_SCHEME):
        raise UsageError(f"the folder {shown(folder)} names its levels by its files; leave the scheme {scheme} out.")
    values = {level: value for value, level in SCHEMES["verse"].levels.items()}
    merged, grid, first = np.zeros(0, np.uint8), None, ""
    levels: dict[int, Level] = {}
    notes = ["levels from the file names"]
    for level in sorted(classes):
        file = classes[level]
        image = read_volume(file)
        if grid is None:
            merged, grid, first = np.zeros_like(image.array, dtype=np.uint8), image.grid, shown(file)
        elif not grid.is_close(image.grid):
            raise InputError(f"{shown(file)} lies on another grid than {first} in the same folder; resample them to one grid.")
        if not image.array.any():
            continue
        inside = as_labels(image, shown(file)) > 0
        overlap = int(np.count_nonzero(merged[inside]))
        if overlap:
            notes.append(f"{overlap} voxels marked twice were given to {level}")
        merged[inside] = values[level]
        levels[values[level]] = level
    levels = {value: level for value, level in levels.items() if (merged == value).any()}
    if grid is None or not levels:
        raise InputError(f"the folder {shown(folder)} holds vertebra masks, but all of them are empty; segment a scan that shows the spine.")
    others = [shown(file) for file in files if _level_of_file(file) is None and file.name.lower().startswith(_CLASS_PREFIX)]
    if others:
        notes.append(f"left out: {', '.join(others)}")
    return LabelMap(merged, grid, levels, stem(folder), FOLDER_SCHEME, notes=tuple(notes))


def _with_body_mask(labels: LabelMap, path: Path) -> LabelMap:
    name = shown(path)
    image = read_volume(path)
    array = on_grid(as_labels(image, name), image.grid, labels.grid)
    if array is None:
        raise InputError(f"{name} lies on another grid than {labels.name}; resample the body mask to the mask's grid with nearest neighbours.")
    found = {int(value) for value in np.unique(array)} - {0}
    body_values = [value for value, text in read_label_names(path).items() if text == "vertebrae_body" and value in found]
    if found & set(SUBREGION_BODY) and found <= set(SCHEMES[SUBREGIONS].others):
        body, source = np.isin(array, SUBREGION_BODY), "subregions"
    else:
        body, source = np.isin(array, body_values) if body_values else array > 0, "given"
    if not np.isin(labels.array[body], list(labels.levels)).any():
        raise InputError(f"{name} marks no voxel of a vertebra in {labels.name}; give the body mask that belongs to this mask.")
    return replace(labels, body_mask=body, body_source=source, notes=(*labels.notes, f"bodies from {name} ({source})"))
