"""Signed distance → closed triangle mesh in patient space."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shapekit.core.checks import InputError
from shapekit.core.grid import middle_of
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

    values, start = boxed(sdf, 1)
    values[values == 0] = TIE_MM  # a surface through voxel centres would lose triangles and with them be open
    # Lorensen's rule: scikit-image's default left holes on rough masks
    vertices, faces, _, _ = marching_cubes(values, 0.0, method="lorensen", allow_degenerate=False)
    world = sdf.grid.to_world(vertices.astype(np.float64) + start)
    mirrored = np.linalg.det(sdf.grid.affine[:3, :3]) < 0
    mesh = Mesh(world, faces[:, ::-1] if mirrored else faces)
    return mesh if signed_volume(mesh) > 0 else Mesh(mesh.vertices, mesh.faces[:, ::-1])


def boxed(sdf: Sdf, around: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Crop a field to the box of a shape and some voxels around it; beyond the grid all is outside.

    Parameters
    ----------
    sdf : Sdf
    around : int

    Returns
    -------
    values : (i, j, k) float32, mm
        A copy.
    start : (3,) int
        Index on the field's grid of the first voxel; may be negative.

    Raises
    ------
    InputError
        If the field has no zero crossing.
    """
    if not (float(sdf.values.min()) < 0 < float(sdf.values.max())):
        raise InputError("the signed distance never changes sign; there is no surface to extract.")
    inside = sdf.values <= 0
    filled = [np.flatnonzero(inside.any(axis=tuple(n for n in range(3) if n != axis))) for axis in range(3)]
    low, high = np.array([one[0] for one in filled]) - around, np.array([one[-1] + 1 for one in filled]) + around
    begin, end = np.maximum(low, 0), np.minimum(high, inside.shape)
    crop = sdf.values[tuple(slice(int(a), int(b)) for a, b in zip(begin, end, strict=True))]
    beyond = [(int(a), int(b)) for a, b in zip(begin - low, high - end, strict=True)]
    return np.pad(np.ascontiguousarray(crop), beyond, constant_values=float(np.abs(sdf.values).max())), low


def signed_volume(mesh: Mesh) -> float:
    """Volume enclosed by a closed mesh, mm³; negative when its faces look inward (divergence theorem)."""
    about = mesh.vertices - middle_of(mesh.vertices)
    (a, b, c), (d, e, f), (g, h, i) = (about.take(mesh.faces[:, n], axis=0).T for n in range(3))
    return float((a * (e * i - f * h) + b * (f * g - d * i) + c * (d * h - e * g)).sum() / 6.0)
