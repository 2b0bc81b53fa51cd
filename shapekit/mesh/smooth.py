"""Take the stairs off a mesh without shrinking it."""

from __future__ import annotations

import numpy as np

from shapekit.core.values import Mesh

SHRINK, GROW = 0.5, 0.53
"""Taubin's λ and -μ."""


def smooth_mesh(mesh: Mesh, *, iterations: int = 10) -> Mesh:
    """Smooth by Taubin's λ|μ scheme (Taubin 1995), which keeps the volume.

    The same as ``trimesh.smoothing.filter_taubin``, without its import.

    Parameters
    ----------
    mesh : Mesh
        Closed.
    iterations : int
        Pairs of one shrinking and one growing step.
    """
    from scipy.sparse import csr_array

    count = len(mesh.vertices)
    begin, end = mesh.faces.ravel(), np.roll(mesh.faces, -1, axis=1).ravel()
    beside = csr_array((np.ones(len(begin)), (begin, end)), shape=(count, count))
    share = 1.0 / np.maximum(np.asarray(beside.sum(axis=1)).reshape(-1, 1), 1.0)
    vertices = mesh.vertices.copy()
    for _ in range(iterations):
        for step in (SHRINK, -GROW):
            vertices += step * ((beside @ vertices) * share - vertices)
    return Mesh(vertices, mesh.faces)
