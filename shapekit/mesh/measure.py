"""Volume of a mesh, and distance between two surfaces."""

from __future__ import annotations

import numpy as np

from shapekit.core.values import Mesh, Sdf
from shapekit.mesh.extract import mesh_from_sdf, signed_volume


def volume_mm3(mesh: Mesh) -> float:
    """Volume enclosed by a closed mesh, mm³, whichever way its faces look."""
    return abs(signed_volume(mesh))


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
    corners = mesh.vertices[mesh.faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    distance = np.abs(field.sample(corners.mean(axis=1)))
    return float((distance * area).sum() / area.sum())
