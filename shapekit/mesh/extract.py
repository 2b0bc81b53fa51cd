"""Signed distance → closed triangle mesh in patient space."""

from __future__ import annotations

import numpy as np

from shapekit.core.grid import middle_of
from shapekit.core.values import Mesh, Sdf
from shapekit.ops.surface import box_of_shape

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

    values, start = box_of_shape(sdf.values, 1)
    values[values == 0] = TIE_MM  # a surface through voxel centres would lose triangles and with them be open
    # Lorensen's rule: scikit-image's default left holes on rough masks
    vertices, faces, _, _ = marching_cubes(values, 0.0, method="lorensen", allow_degenerate=False)
    world = sdf.grid.to_world(vertices.astype(np.float64) + start)
    mirrored = np.linalg.det(sdf.grid.affine[:3, :3]) < 0
    mesh = Mesh(world, faces[:, ::-1] if mirrored else faces)
    return mesh if signed_volume(mesh) > 0 else Mesh(mesh.vertices, mesh.faces[:, ::-1])


def signed_volume(mesh: Mesh) -> float:
    """Volume enclosed by a closed mesh, mm³; negative when its faces look inward (divergence theorem)."""
    about = mesh.vertices - middle_of(mesh.vertices)
    (a, b, c), (d, e, f), (g, h, i) = (about.take(mesh.faces[:, n], axis=0).T for n in range(3))
    return float((a * (e * i - f * h) + b * (f * g - d * i) + c * (d * h - e * g)).sum() / 6.0)
