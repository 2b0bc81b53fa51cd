"""The gate every mesh passes before it is written: closed, manifold, right side out; what had to be repaired is told."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapekit.core.checks import InputError
from shapekit.core.values import Mesh


@dataclass(frozen=True, eq=False)
class Passed:
    """A mesh that passed the gate.

    Parameters
    ----------
    mesh : Mesh
        Watertight and manifold, faces outward; coordinates are float32 numbers, as files hold them.
    kept : (n,) int
        For each of its vertices, the vertex of the given mesh it was.
    repairs : tuple of str
        What had to be done, in words; empty where nothing had.
    solid : manifold3d.Manifold or None
        The same mesh, where manifold3d is installed.
    """

    mesh: Mesh
    kept: NDArray[np.int64]
    repairs: tuple[str, ...]
    solid: Any = None


def checkers() -> tuple[str, ...]:
    """Name the packages that look at each mesh here: trimesh always, manifold3d where it is installed."""
    return ("trimesh", "manifold3d") if find_spec("manifold3d") else ("trimesh",)


def gate(mesh: Mesh, name: str = "mesh") -> Passed:
    """Check a surface with trimesh and manifold3d, and repair what can be repaired without moving it.

    Parameters
    ----------
    mesh : Mesh
    name : str
        What a complaint calls it.

    Returns
    -------
    Passed

    Raises
    ------
    InputError
        If it cannot be made closed and manifold.

    Examples
    --------
    >>> import numpy as np
    >>> from shapekit.core.values import Mesh
    >>> corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], float)
    >>> inward = Mesh(corners, np.array([[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2]]))
    >>> gate(inward).repairs
    ('turned right side out',)
    """
    import trimesh

    repairs: list[str] = []
    vertices, faces, kept = _merge(mesh, repairs)
    surface = trimesh.Trimesh(vertices, faces, process=False, validate=False)
    if not surface.is_watertight:
        before = len(surface.faces)
        trimesh.repair.fill_holes(surface)
        if not surface.is_watertight:
            raise InputError(f"{name} is not closed, and its holes are too large to fill; make the surface again.")
        repairs.append(f"filled holes with {len(surface.faces) - before} faces")
    if not surface.is_winding_consistent:
        trimesh.repair.fix_winding(surface)
        repairs.append("made the faces' winding agree")
    if surface.volume < 0:
        surface.invert()
        repairs.append("turned right side out")
    passed = Mesh(vertices, np.asarray(surface.faces, dtype=np.int64))
    solid = as_manifold(passed, name) if "manifold3d" in checkers() else None
    return Passed(passed, kept, tuple(repairs), solid)


def as_manifold(mesh: Mesh, name: str = "mesh") -> Any:
    """Turn a closed surface into a ``manifold3d.Manifold``.

    Raises
    ------
    InputError
        If manifold3d finds that it is not manifold.
    """
    import manifold3d

    given = manifold3d.Mesh(np.ascontiguousarray(mesh.vertices, dtype=np.float32), np.ascontiguousarray(mesh.faces, dtype=np.uint32))
    solid = manifold3d.Manifold(given)
    if solid.status() != manifold3d.Error.NoError or solid.is_empty():
        raise InputError(f"{name} is not manifold ({solid.status().name}); make the surface again.")
    return solid


def _merge(mesh: Mesh, repairs: list[str]) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Round to float32, merge vertices that then coincide, drop what no longer is a face and vertices of no face."""
    rounded = mesh.vertices.astype(np.float32)
    _, first, same = np.unique(_row_keys(rounded), return_index=True, return_inverse=True)
    faces = mesh.faces
    if len(first) < len(rounded):
        repairs.append(f"merged {len(rounded) - len(first)} vertices that coincide")
        faces = first[same][faces]
    corners = np.sort(faces, axis=1)
    whole = (corners[:, 0] != corners[:, 1]) & (corners[:, 1] != corners[:, 2])
    _, group, count = np.unique(_row_keys(corners), return_inverse=True, return_counts=True)
    whole &= count[group] == 1  # two faces on the same corners lie back to back and enclose nothing
    if not whole.all():
        repairs.append(f"dropped {int((~whole).sum())} faces without extent")
        faces = faces[whole]
    kept, renumbered = np.unique(faces, return_inverse=True)
    unused = len(first) - len(kept)
    if unused:
        repairs.append(f"dropped {unused} vertices of no face")
    return rounded[kept].astype(np.float64), renumbered.reshape(-1, 3).astype(np.int64), kept.astype(np.int64)


def _row_keys(rows: NDArray[np.generic]) -> NDArray[np.int64]:
    """One number a row of three, equal where rows are (of up to two million values a column); sorting rows themselves takes three times as long."""
    keys = np.zeros(len(rows), dtype=np.int64)
    for column in rows.T:
        values, rank = np.unique(column, return_inverse=True)
        keys = keys * len(values) + rank
    return keys
