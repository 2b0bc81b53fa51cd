"""Take the stairs off a mesh without shrinking it."""

from __future__ import annotations

import numpy as np

from shapekit.core.values import Mesh


def smooth_mesh(mesh: Mesh, *, iterations: int = 10) -> Mesh:
    """Smooth by Taubin's λ|μ scheme (Taubin 1995), which keeps the volume.

    Parameters
    ----------
    mesh : Mesh
    iterations : int
        Pairs of one shrinking and one growing step.
    """
    import trimesh

    surface = trimesh.Trimesh(mesh.vertices.copy(), mesh.faces.copy(), process=False)
    trimesh.smoothing.filter_taubin(surface, lamb=0.5, nu=0.53, iterations=2 * iterations)
    return Mesh(np.asarray(surface.vertices), mesh.faces)
