"""Volume and normals of a mesh, and distance between two surfaces."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shapekit.core.values import Mesh, Sdf
from shapekit.mesh.extract import boxed, signed_volume
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

    Where the edges of one field's voxels cross its surface, the other's distance is looked at, weighted by the surface that a crossing
    stands for; the mean of both ways.

    Raises
    ------
    InputError
        If one of the fields has no surface.
    """
    return (_one_way(one, other) + _one_way(other, one)) / 2


def _one_way(one: Sdf, other: Sdf) -> float:
    points, areas = _crossings(one)
    distance = np.abs(sample_field(other.values, other.grid, points))
    return float(distance @ areas / areas.sum())


def _crossings(sdf: Sdf) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points where edges along the three axes cross the zero level, (n, 3) mm, and the surface each stands for, (n,) mm².

    Of a surface whose normal has the component c along an axis, edges along it cross c / (a face of a voxel) times a unit of area; weighted
    by c times that face, all three axes' crossings together count every piece of surface once (c² + d² + e² = 1).
    """
    values, start = boxed(sdf, 2)
    flat, inside = values.ravel(), (values <= 0).ravel()
    strides, spacing = [stride // values.itemsize for stride in values.strides], sdf.grid.spacing_mm
    points, areas = [], []
    for axis, along in enumerate(strides):
        at = np.flatnonzero(inside[:-along] != inside[along:])  # rows' ends meet outside
        low, high = flat.take(at), flat.take(at + along)
        share = low / (low - high)
        rises = (
            (1 - share) * (flat.take(at + stride) - flat.take(at - stride))
            + share * (flat.take(at + along + stride) - flat.take(at + along - stride))
            for stride in strides
        )
        slopes = np.stack([rise / step for rise, step in zip(rises, spacing, strict=True)])
        areas.append(np.abs(slopes[axis]) / np.maximum(np.linalg.norm(slopes, axis=0), 1e-12) * (spacing.prod() / spacing[axis]))
        index = np.stack(np.unravel_index(at, values.shape), axis=1).astype(np.float64)
        index[:, axis] += share
        points.append(sdf.grid.to_world(index + start))
    return np.concatenate(points), np.concatenate(areas)
