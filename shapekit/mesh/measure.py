"""Volume and normals of a mesh, and distance between two surfaces."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shapekit.core.values import Mesh, Sdf
from shapekit.mesh.extract import mesh_from_sdf, signed_volume
from shapekit.ops import sample_field


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

    Each surface's vertices, weighted by the area around them, are measured in the other's distance field; the mean of both ways.

    Raises
    ------
    InputError
        If one of the fields has no surface.
    """
    return (_one_way(mesh_from_sdf(one), other) + _one_way(mesh_from_sdf(other), one)) / 2


def _one_way(mesh: Mesh, field: Sdf) -> float:
    a, b, c = (mesh.vertices.take(mesh.faces[:, n], axis=0) for n in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    distance = np.abs(sample_field(field.values, field.grid, (a + b + c) / 3.0))
    return float((distance * area).sum() / area.sum())
