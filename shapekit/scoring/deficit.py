"""Where bone is missing: millimetres from each point of the expected surface to the actual one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shapekit.core.checks import InputError, check_array
from shapekit.core.conventions import SI
from shapekit.core.frame import Frame
from shapekit.core.values import Mesh, Sdf
from shapekit.mesh import mesh_from_sdf, smooth_mesh, vertex_normals
from shapekit.ops import sample_field

Float = NDArray[np.float64]

CAP_MM = 30.0
"""No line is followed farther; taller bodies are rare, and what lies beyond is not this body's plate."""
PLATE_COSINE = 0.5
"""Where the surface looks more than 60° away from SI it is a wall: it has no height to lose, and the nearest distance stands for it."""
GRAZE_COSINE = float(np.cos(np.radians(75.0)))
"""A line along SI reaches a surface tilted by θ after nearest / cos θ. Steeper than 75° it grazes a wall, and is followed no farther than that."""
STEP_MM = 0.5


@dataclass(frozen=True, eq=False)
class Deficit:
    """Millimetres missing at each vertex of an expected body's surface; positive where bone is missing, negative where there is excess.

    Parameters
    ----------
    mesh : Mesh
        The expected body (mm, RAS), as ``VertebraScore.mesh("expected")`` gives it.
    along_si_mm : (n,) float
        From each vertex to the actual surface along the frame's SI axis; finite, within ±30 mm.
    nearest_mm : (n,) float
        Signed distance from each vertex to the nearest point of the actual surface.
    """

    mesh: Mesh
    along_si_mm: Float
    nearest_mm: Float

    def __post_init__(self) -> None:
        for name in ("along_si_mm", "nearest_mm"):
            check_array(name, getattr(self, name), shape=(len(self.mesh.vertices),), finite=True)


def deficit_map(expected: Sdf, actual: Sdf, frame: Frame) -> Deficit:
    """Measure how far an actual body's surface lies below the expected one's, vertex by vertex.

    A line runs from each vertex along SI: into the expected body where the vertex lies outside the actual one (bone is missing), out of it
    where it lies inside (excess), up to the actual surface. Where the expected surface looks more than 60° away from SI, on the walls, the
    nearest signed distance stands instead. No value exceeds the nearest distance over cos 75° (beyond it the line grazes a wall), nor 30 mm.

    Parameters
    ----------
    expected, actual : Sdf
        In the same patient space; their grids may differ.
    frame : Frame
        The expected body's; its SI axis is the direction in which height is measured.

    Returns
    -------
    Deficit

    Raises
    ------
    InputError
        If one of the two has no surface.

    Examples
    --------
    >>> import numpy as np
    >>> from shapekit.core.frame import Frame
    >>> from shapekit.core.grid import Grid
    >>> from shapekit.core.values import Sdf
    >>> frame = Frame(np.zeros(3), np.eye(3))
    >>> grid = Grid.from_frame(frame, (60, 48, 40), 1.0)
    >>> lr, ap, si = np.moveaxis(grid.points(), -1, 0)
    >>> wall = np.maximum(abs(lr) - 20, abs(ap) - 14)
    >>> whole, low = (Sdf(np.maximum(wall, np.maximum(-12 - si, si - top)).astype(np.float32), grid) for top in (12, 7))
    >>> deficit = deficit_map(whole, low, frame)
    >>> above = np.linalg.norm(deficit.mesh.vertices - (0, 0, 12), axis=1) < 5
    >>> bool(np.allclose(deficit.along_si_mm[above], 5, atol=0.1))
    True
    """
    if not float(actual.values.min()) < 0:
        raise InputError("the actual body is empty on its patch; there is no surface to measure to.")
    mesh = smooth_mesh(mesh_from_sdf(expected))
    nearest = sample_field(actual.values, actual.grid, mesh.vertices).astype(np.float64)
    facing = vertex_normals(mesh) @ frame.axes[:, SI]
    along = nearest.copy()
    plates = np.flatnonzero(np.abs(facing) >= PLATE_COSINE)
    inward = -np.sign(facing[plates])[:, None] * frame.axes[:, SI]
    along[plates] = _follow(actual, mesh.vertices[plates], inward, nearest[plates])
    return Deficit(mesh, np.clip(along, -CAP_MM, CAP_MM), nearest)


def _follow(actual: Sdf, start: Float, inward: Float, nearest: Float) -> Float:
    """Signed length of the way from points to where the actual field changes sign: inward from outside of it, outward from inside of it."""
    sign = np.where(nearest < 0, -1.0, 1.0)
    steps = np.arange(0.0, CAP_MM + STEP_MM, STEP_MM)
    points = start[:, None] + (sign[:, None] * inward)[:, None] * steps[:, None]
    field = sign[:, None] * sample_field(actual.values, actual.grid, points).astype(np.float64)  # positive at the start, negative behind the surface
    behind = field < 0
    first = np.argmax(behind, axis=1)
    met = behind[np.arange(len(start)), first]
    last = np.maximum(first, 1)
    before, after = field[np.arange(len(start)), last - 1], field[np.arange(len(start)), last]
    share = before / np.where(met, before - after, 1.0)
    length = np.where(met, (last - 1 + share) * STEP_MM, CAP_MM)
    return np.asarray(sign * np.minimum(length, np.abs(nearest) / GRAZE_COSINE))
