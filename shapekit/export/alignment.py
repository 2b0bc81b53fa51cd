"""Inspection with open3d: how an expected body would have to move to fit the actual one, and a window to look at both."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapekit.core.checks import InputError, MissingPackageError, UsageError
from shapekit.core.values import Mesh
from shapekit.export.solids import Solid
from shapekit.mesh import vertex_normals

ROUNDS = 100


@dataclass(frozen=True, eq=False)
class Alignment:
    """How one surface moves onto another.

    Parameters
    ----------
    transform : (4, 4) float
        Rigid; takes points of the first surface (mm, RAS) to where they fit the second.
    residual_mm : float
        Mean distance of the moved vertices to the second surface.
    share : float
        Share of the vertices that found a partner within reach.
    """

    transform: NDArray[np.float64]
    residual_mm: float
    share: float


def icp(expected: Mesh, actual: Mesh, *, reach_mm: float = 10.0) -> Alignment:
    """Fit an expected body to the actual one by rigid ICP, point to plane (Chen & Medioni 1992).

    For inspection only: the scores' own placement is the predictor's, and is not changed by it.

    Parameters
    ----------
    expected, actual : Mesh
        In the same space, roughly in place.
    reach_mm : float
        Points farther from the other surface have no partner.

    Returns
    -------
    Alignment

    Raises
    ------
    MissingPackageError
        Without open3d.
    InputError
        If a mesh has no faces, or no point finds a partner.
    """
    open3d = _open3d()
    if not len(expected.faces) or not len(actual.faces):
        raise InputError("a mesh without faces cannot be aligned; give two closed surfaces.")
    middle = actual.vertices.mean(axis=0)  # rotations about a far origin are badly conditioned
    clouds = []
    for mesh in (expected, actual):
        cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(mesh.vertices - middle))
        cloud.normals = open3d.utility.Vector3dVector(vertex_normals(mesh))
        clouds.append(cloud)
    tools = open3d.pipelines.registration
    found = tools.registration_icp(
        *clouds, reach_mm, np.eye(4), tools.TransformationEstimationPointToPlane(), tools.ICPConvergenceCriteria(max_iteration=ROUNDS)
    )
    if not len(found.correspondence_set):
        raise InputError(f"no point of the expected body lies within {reach_mm:g} mm of the actual one; raise reach_mm.")
    turn = np.asarray(found.transformation)
    moved = (expected.vertices - middle) @ turn[:3, :3].T + turn[:3, 3]
    scene = open3d.t.geometry.RaycastingScene(nthreads=1)
    tensor = open3d.core.Tensor.from_numpy
    scene.add_triangles(tensor((actual.vertices - middle).astype(np.float32)), tensor(actual.faces.astype(np.uint32)))
    distance = scene.compute_distance(tensor(moved.astype(np.float32)), nthreads=1).numpy()
    transform = turn.copy()
    transform[:3, 3] += middle - turn[:3, :3] @ middle
    return Alignment(transform, float(distance.mean()), float(found.fitness))


def show(solids: Sequence[Solid], *, title: str = "shapekit") -> None:
    """Open a window with coloured bodies seen from the front, expected ones to the right of actual ones, and wait until it is closed.

    Parameters
    ----------
    solids : sequence of Solid
    title : str

    Raises
    ------
    MissingPackageError
        Without open3d.
    UsageError
        Where there is no screen.
    """
    open3d = _open3d()
    window = open3d.visualization.Visualizer()
    if _no_screen() or not window.create_window(title):
        raise UsageError("there is no screen to show bodies on; write meshes with SpineScore.save and look at them on another machine.")
    places = np.concatenate([solid.mesh.vertices for solid in solids]) if solids else np.zeros((1, 3))
    aside = np.array([-1.2 * np.ptp(places[:, 0]), 0.0, 0.0])  # to the patient's left, the reader's right
    for solid in solids:
        vertices = solid.mesh.vertices + (aside if solid.kind == "expected" else 0.0)
        thing = open3d.geometry.TriangleMesh(open3d.utility.Vector3dVector(vertices), open3d.utility.Vector3iVector(solid.mesh.faces))
        thing.vertex_colors = open3d.utility.Vector3dVector(solid.colours / 255.0)
        thing.compute_vertex_normals()
        window.add_geometry(thing)
    camera = window.get_view_control()
    camera.set_up((0.0, 0.0, 1.0))
    camera.set_front((0.0, 1.0, 0.0))
    camera.set_zoom(0.6)
    window.run()
    window.destroy_window()


def _no_screen() -> bool:
    """Whether there is none: open3d would draw into memory, where nobody can close its window."""
    if not sys.platform.startswith("linux") or os.environ.get("WAYLAND_DISPLAY"):
        return False
    try:
        x11 = ctypes.CDLL("libX11.so.6")
    except OSError:
        return True
    x11.XOpenDisplay.restype = ctypes.c_void_p
    display = x11.XOpenDisplay(None)
    if display:
        x11.XCloseDisplay(ctypes.c_void_p(display))
    return not display


def _open3d() -> Any:
    try:
        import open3d
    except (ImportError, OSError) as error:
        raise MissingPackageError(
            "alignment and windows need open3d, which cannot be imported here; install shapekit[mesh] (and the system library libusb-1.0-0 on Linux)."
        ) from error
    return open3d
