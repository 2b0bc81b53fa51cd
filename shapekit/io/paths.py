"""Names and files as users give them: what may be shown, what may become a folder, what can be opened at all."""

from __future__ import annotations

import re
from pathlib import Path

from shapekit.core.checks import InputError

VOLUME_SUFFIXES = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd", ".nhdr")
MESH_SUFFIXES = (".ply", ".stl", ".obj")
DICOM_SUFFIX = ".dcm"
_UNSAFE = re.compile(r'[/\\:*?"<>|]')


def shown(path: str | Path) -> str:
    r"""Return a file's name fit for a message: no folder, no control characters.

    Examples
    --------
    >>> shown("/data/patients/a\nb.nii.gz")
    'a?b.nii.gz'
    """
    text = Path(path).name or str(path)
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def suffix_of(path: str | Path) -> str:
    """Return the suffix shapekit reads a file by, in small letters: one of its own, or the last one the name has."""
    name = Path(path).name.lower()
    for suffix in (*VOLUME_SUFFIXES, *MESH_SUFFIXES, DICOM_SUFFIX):
        if name.endswith(suffix):
            return suffix
    return Path(name).suffix


def stem(path: str | Path) -> str:
    """Return a file's or folder's name without its image suffix, safe as the name of an output folder.

    Parameters
    ----------
    path : path to a mask, or to a folder of masks

    Returns
    -------
    str
        Never empty, ``.`` or ``..``; separators, control characters and what Windows forbids are underscores.

    Examples
    --------
    >>> stem("derivatives/sub-verse004_seg-vert_msk.nii.gz"), stem("s0011/segmentations"), stem("..nii.gz")
    ('sub-verse004_seg-vert_msk', 'segmentations', 'spine')
    """
    path = Path(path)
    name = path.name or path.resolve().name
    suffix = suffix_of(name)
    if suffix in (*VOLUME_SUFFIXES, *MESH_SUFFIXES, DICOM_SUFFIX):
        name = name[: len(name) - len(suffix)]
    return folder_name(name)


def folder_name(name: str) -> str:
    """Return a name that is safe as that of one folder: it cannot lead elsewhere, and Windows allows it.

    Examples
    --------
    >>> folder_name("../../etc"), folder_name("<img src=x>"), folder_name("..")
    ('.._.._etc', '_img src=x_', 'spine')
    """
    name = "".join(letter if letter.isprintable() else "_" for letter in name)
    return _UNSAFE.sub("_", name).strip().rstrip(". ") or "spine"


def is_folder(path: Path) -> bool:
    """Tell whether a path is a folder; a name that the system cannot even look up is none."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def require_file(path: str | Path) -> int:
    """Return a file's size in bytes, after making sure that it is one, can be opened and is not empty.

    Raises
    ------
    InputError
        If it is missing, a folder, not readable or empty.
    """
    path, name = Path(path), shown(path)
    try:
        folder, ordinary = path.is_dir(), path.is_file()
        first = b""
        if ordinary:
            with path.open("rb") as file:
                first = file.read(1)
    except PermissionError as error:
        raise InputError(f"{name} may not be read by this user; change its permissions.") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{name} cannot be opened by the operating system; check the path and the disk.") from error
    if folder:
        raise InputError(f"{name} is a folder where a file is needed; give the file inside it.")
    if not ordinary:
        raise InputError(f"{name} does not exist or is no ordinary file; check the path.")
    if not first:
        raise InputError(f"{name} is empty (0 bytes); copy or download it again.")
    return path.stat().st_size
