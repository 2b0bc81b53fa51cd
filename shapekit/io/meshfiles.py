"""Closed surfaces from PLY, STL and OBJ files, in mm."""

from __future__ import annotations

import io
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from shapekit.core.checks import InputError
from shapekit.core.values import Mesh
from shapekit.io.paths import MESH_SUFFIXES, require_file, shown, suffix_of

MIN_VOLUME_MM3, MAX_VOLUME_MM3 = 1e3, 1e6
MAX_EXTENT_MM = 500.0
HEADER_BYTES = 512
"""Where an STL's header, or the first comments of PLY and OBJ, may name their space."""


def read_mesh(path: str | Path) -> Mesh:
    """Read a closed surface; nothing but the file itself is opened (no materials, textures or references).

    Parameters
    ----------
    path : path to a ``.ply``, ``.stl`` or ``.obj`` file in mm

    Returns
    -------
    Mesh
        (n, 3) mm, RAS; vertices that coincide are merged, faces counter-clockwise from outside. Several closed components are kept as
        they are. A file whose header says ``SPACE=LPS`` (3-D Slicer's and shapekit's own do) is turned; one that says nothing counts as RAS.

    Raises
    ------
    InputError
        If it cannot be read, is not closed, or has a size that no vertebra has in mm.
    """
    path = Path(path)
    name, suffix = shown(path), suffix_of(path)
    if suffix not in MESH_SUFFIXES:
        raise InputError(f"{name} has a suffix that no mesh has; give one of {', '.join(MESH_SUFFIXES)}.")
    require_file(path)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # trimesh computes on before it looks
        mesh = _closed(_parse(path, name, suffix), name)
    with path.open("rb") as file:
        said = b"SPACE=LPS" in file.read(HEADER_BYTES)
    return Mesh(mesh.vertices * (-1.0, -1.0, 1.0), mesh.faces) if said else mesh


def _parse(path: Path, name: str, suffix: str) -> Any:
    import trimesh

    try:
        # From memory and without a resolver, so that the loader has no folder to look into.
        mesh = trimesh.load_mesh(io.BytesIO(path.read_bytes()), file_type=suffix[1:], process=False, skip_materials=True)
        faces, finite = len(mesh.faces), bool(np.isfinite(mesh.vertices).all())
        if faces and finite:
            mesh.merge_vertices(merge_tex=True, merge_norm=True)
    except (
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        ArithmeticError,
        OSError,
        EOFError,
        struct.error,
        NotImplementedError,
        MemoryError,
    ) as error:
        raise InputError(f"{name} is not a readable {suffix[1:].upper()} mesh; export it again as a triangle mesh.") from error
    if not faces:
        raise InputError(f"{name} holds no faces; export the surface, not only its points.")
    if not finite:
        raise InputError(f"{name} holds NaN or infinite coordinates; export it again.")
    return mesh


def _closed(mesh: Any, name: str) -> Mesh:
    import trimesh

    if not mesh.is_watertight:
        raise InputError(f"{name} is not closed: some edges do not belong to exactly two faces; fill the holes, for example in MeshLab or 3D Slicer.")
    if not mesh.is_winding_consistent:
        trimesh.repair.fix_winding(mesh)
    volume, extent = abs(float(mesh.volume)), float(mesh.extents.max())
    if not MIN_VOLUME_MM3 <= volume <= MAX_VOLUME_MM3 or extent > MAX_EXTENT_MM:
        raise InputError(
            f"{name} encloses {volume:.3g} mm³ and is {extent:.3g} mm long, as no vertebra is (are the units millimetres?); scale it to mm."
        )
    faces = np.asarray(mesh.faces, dtype=np.int64)
    return Mesh(np.asarray(mesh.vertices, dtype=np.float64), faces[:, ::-1] if mesh.volume < 0 else faces)
