"""Volume and normals of a mesh, and distance between two surfaces."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shapekit.core.values import Mesh, Sdf
from shapekit.mesh.extract import signed_volume
from shapekit.ops import distance_at_surface


def volume_mm3(mesh: Mesh) -> float:
    """Volume enclosed by a closed mesh, mm³, whichever way its faces look."""
    return abs(signed_volume(mesh))


def vertex_normals(mesh: Mesh) -> NDArray[np.float64]:
    """Outward unit normals of the vertices, (n, 3): those of the faces around each, weighted by area; 0 for a vertex of no face."""
    corners = mesh.vertices[mesh.faces]
    faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(mesh.vertices)
    for axis in range(3):
        normals[:, axis] = np.bincount(mesh.faces.ravel(), np.repeat(faces[:, axis], 3), len(normals))
    return np.asarray(normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-300))


def surface_distance(one: Sdf, other: Sdf) -> float:
    """Mean symmetric distance between two zero levels, mm.

    The mean of both ways; see ``shapekit.ops.distance_at_surface``.

    Raises
    ------
    InputError
        If one of the fields has no surface.
    """
    there, back = (distance_at_surface(a.values, a.grid, b.values, b.grid) for a, b in ((one, other), (other, one)))
    return (there + back) / 2
