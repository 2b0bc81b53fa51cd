"""Closed mesh → signed distance in mm, by ray casting."""

from __future__ import annotations

import numpy as np

from shapekit.core.checks import InputError, MissingPackageError
from shapekit.core.grid import Grid
from shapekit.core.values import Mesh, Sdf


def sdf_from_mesh(mesh: Mesh, *, spacing_mm: float, margin_mm: float) -> Sdf:
    """Exact signed distance of a closed mesh on a grid along the patient's axes.

    Parameters
    ----------
    mesh : Mesh
        Closed; mm, RAS.
    spacing_mm : float
        Side of the grid's cubic voxels.
    margin_mm : float
        Room around the mesh.

    Returns
    -------
    Sdf

    Raises
    ------
    MissingPackageError
        If open3d is not installed.
    InputError
        If the mesh has no faces or would need more than 2³⁰ voxels.
    """
    try:
        import open3d
    except (ImportError, OSError) as error:
        raise MissingPackageError(
            "meshes as input need open3d, which cannot be imported here; install shapekit[mesh] (and the system library libusb-1.0-0 on Linux)."
        ) from error
    if not len(mesh.faces):
        raise InputError("the mesh has no faces; a signed distance needs a closed surface.")
    low, high = mesh.vertices.min(axis=0) - margin_mm, mesh.vertices.max(axis=0) + margin_mm
    sides = np.ceil((high - low) / spacing_mm).astype(int) + 1
    if int(np.prod(sides.astype(object))) > 2**30:
        raise InputError(
            f"the mesh spans {np.round(high - low).astype(int).tolist()} mm, too large for a grid of {spacing_mm} mm; is it in millimetres?"
        )
    affine = np.diag([spacing_mm] * 3 + [1.0])
    affine[:3, 3] = low
    grid = Grid((int(sides[0]), int(sides[1]), int(sides[2])), affine)
    scene = open3d.t.geometry.RaycastingScene(nthreads=1)
    middle = mesh.vertices.mean(axis=0)  # open3d casts in float32: keep the numbers small
    tensor = open3d.core.Tensor.from_numpy
    scene.add_triangles(tensor((mesh.vertices - middle).astype(np.float32)), tensor(mesh.faces.astype(np.uint32)))
    values = scene.compute_signed_distance((grid.points() - middle).astype(np.float32), nthreads=1, nsamples=3).numpy()
    return Sdf(values.astype(np.float32), grid)
