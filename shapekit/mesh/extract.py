"""Signed distance → closed triangle mesh in patient space."""

from __future__ import annotations

import numpy as np

from shapekit.core.checks import InputError
from shapekit.core.values import Mesh, Sdf

TIE_MM = -1e-3
"""Where a voxel that lies exactly on the surface is put: inside (which keeps a box's corners), by more than float32 rounds away."""


def mesh_from_sdf(sdf: Sdf) -> Mesh:
    """Zero level of a signed distance field by marching cubes (Lorensen & Cline 1987), in mm, RAS.

    The field is padded by one voxel outside, so that a shape that meets the grid's edge is closed there.

    Raises
    ------
    InputError
        If the field has no zero crossing.
    """
    from skimage.measure import marching_cubes

    if not (float(sdf.values.min()) < 0 < float(sdf.values.max())):
        raise InputError("the signed distance never changes sign; there is no surface to extract.")
    padded = np.pad(sdf.values, 1, constant_values=float(np.abs(sdf.values).max()))
    padded[padded == 0] = TIE_MM  # a surface through voxel centres would lose triangles and with them be open
    # Lorensen's rule: scikit-image's default left holes on rough masks
    vertices, faces, _, _ = marching_cubes(padded, 0.0, method="lorensen", allow_degenerate=False)
    world = sdf.grid.to_world(vertices.astype(np.float64) - 1.0)
    mirrored = np.linalg.det(sdf.grid.affine[:3, :3]) < 0
    mesh = Mesh(world, faces[:, ::-1] if mirrored else faces)
    return mesh if signed_volume(mesh) > 0 else Mesh(mesh.vertices, mesh.faces[:, ::-1])


def signed_volume(mesh: Mesh) -> float:
    """Volume enclosed by a closed mesh, mm³; negative when its faces look inward (divergence theorem)."""
    corners = mesh.vertices[mesh.faces] - mesh.vertices.mean(axis=0)
    return float(np.einsum("ij,ij->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6.0)
