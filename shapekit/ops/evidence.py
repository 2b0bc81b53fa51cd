"""What the surface of a vertebral body says about the way it faces: slopes of its endplates and its walls."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from shapekit.core.checks import check_array
from shapekit.core.frame import Frame
from shapekit.core.grid import middle_of
from shapekit.core.values import Mesh
from shapekit.ops import _native
from shapekit.ops.backends import backend_for

Float = NDArray[np.float64]
_NAN = float("nan")
NOT_SEEN = 1e300
"""Stands for NaN in the C++ library, whose compiler may assume finite numbers."""

MIN_FACES = 8
FLAT = 0.82
"""An endplate's faces look the same way to this share (length of their mean normal); a sphere's cap reaches 0.75."""
LEAST_MM, MOST_MM, FILLED = np.array([12.0, 9.0, 6.0]), np.array([75.0, 55.0, 50.0]), (0.45, 1.5)
"""Width and depth (at the waist) and height of anything that can be a vertebral body, and the share of their product that it fills: a ball 0.52,
a body whose rims or bony spurs reach a quarter beyond its waist to either side more than 1."""
BINS = 48
BIN_MIDDLES_DEG = (np.arange(BINS) + 0.5) * 360.0 / BINS
MIRROR_TURNS_DEG = np.arange(-24.0, 24.1, 2.0)
CREST = (0.55, 0.95)
"""Where the rim's crest lies, in half-depths from the middle: in front of it edges round off, inside it the plate sinks."""


@dataclass(frozen=True)
class Evidence:
    """Rotations about LR (pitch), AP (roll) and SI (yaw) that would turn a frame onto what was seen, degrees; NaN where it was not.

    Parameters
    ----------
    top_pitch, low_pitch
        From the superior and the inferior endplate's rim.
    wall_pitch, front_pitch
        From the posterior and the anterior wall.
    top_roll, low_roll, side_roll
        From both endplates' rims and from the lateral walls.
    wall_yaw
        From the posterior wall.
    mirror_yaw
        From the outline: where right mirrors left.
    """

    top_pitch: float = _NAN
    low_pitch: float = _NAN
    wall_pitch: float = _NAN
    front_pitch: float = _NAN
    top_roll: float = _NAN
    low_roll: float = _NAN
    side_roll: float = _NAN
    wall_yaw: float = _NAN
    mirror_yaw: float = _NAN


@dataclass(frozen=True, eq=False)
class Faces:
    """A mesh's faces in patient space.

    Parameters
    ----------
    centres : (n, 3) float, mm
    normals : (n, 3) float
        Unit vectors, outward.
    areas : (n,) float, mm²
    """

    centres: Float
    normals: Float
    areas: Float

    @classmethod
    def of(cls, mesh: Mesh) -> Faces:
        """Measure a mesh's faces; degenerate ones are left out."""
        a, b, c = (mesh.vertices.take(mesh.faces[:, n], axis=0) for n in range(3))
        normals = np.cross(b - a, c - a)
        length = np.linalg.norm(normals, axis=1)
        real = length > 1e-9
        return cls(((a + b + c) / 3.0)[real], normals[real] / length[real, None], length[real] / 2.0)

    @property
    def middle(self) -> Float:
        """Centre of the surface, (3,) mm."""
        return np.asarray(self.areas @ self.centres / self.areas.sum())


def gather_evidence(faces: Faces, frame: Frame, *, backend: str = "auto") -> Evidence:
    """Measure how a body's endplates and walls are turned against a frame that is right to about 20°.

    An endplate's slopes are those between its crests: front and back within the middle of its width, right and left within the
    middle of its depth. Walls are fitted robustly (Cauchy weights) over the middle of their height.

    Parameters
    ----------
    faces : Faces
        Of the body's closed mesh.
    frame : Frame
    backend : str
        ``"auto"``, ``"reference"`` or ``"cpu"``; see ``backend_for``.

    Returns
    -------
    Evidence
        Nothing is seen in what cannot be a vertebral body.

    Raises
    ------
    InputError
        If the faces' arrays do not go together, or hold NaN or infinite values.
    UsageError, MissingPackageError
        See ``backend_for``.
    """
    count = len(faces.areas)
    for name, values, shape in (("centres", faces.centres, (count, 3)), ("normals", faces.normals, (count, 3)), ("areas", faces.areas, (count,))):
        check_array(name, values, shape=shape, finite=True)
    if len(faces.areas) < MIN_FACES:
        return Evidence()
    if backend_for("cpu", backend=backend).name == "reference":
        return _gathered(faces, frame)
    centres, normals, areas = (np.ascontiguousarray(one, dtype=np.float64) for one in (faces.centres, faces.normals, faces.areas))
    to_local = frame.local_map()
    turns = (MIRROR_TURNS_DEG[0], MIRROR_TURNS_DEG[1] - MIRROR_TURNS_DEG[0], len(MIRROR_TURNS_DEG))
    settings = np.array([NOT_SEEN, MIN_FACES, FLAT, *LEAST_MM, *MOST_MM, *FILLED, *CREST, *turns])
    found = np.zeros(len(fields(Evidence)))
    _native.call(
        "shapekit_gather_evidence",
        *(centres.ctypes.data, normals.ctypes.data, areas.ctypes.data, len(areas), to_local.ctypes.data, settings.ctypes.data, found.ctypes.data),
    )
    return Evidence(*np.where(found == NOT_SEEN, _NAN, found).tolist())


def _gathered(faces: Faces, frame: Frame) -> Evidence:
    """Return the same by NumPy."""
    centres, normals, areas = frame.to_local(faces.centres), faces.normals @ frame.axes, faces.areas
    middle = areas @ centres / areas.sum()
    low, high = np.percentile(centres[:, 2], [4, 96])
    half, level = max((high - low) / 2, 1e-9), (high + low) / 2
    waist = np.abs(centres[:, 2] - level) < 0.65 * half
    near = waist & (np.abs(centres[:, 0] - middle[0]) < 8.0)
    ahead, behind = near & (normals[:, 1] > 0.7), near & (normals[:, 1] < -0.7)
    if min(ahead.sum(), behind.sum()) < MIN_FACES:
        return Evidence()
    front, back = np.median(centres[ahead, 1]), np.median(centres[behind, 1])
    v = (centres[:, 1] - (front + back) / 2) / max((front - back) / 2, 1e-9)
    beside = waist & (v > -0.4) & (v < 0.6)
    right, left = beside & (normals[:, 0] > 0.7), beside & (normals[:, 0] < -0.7)
    if min(right.sum(), left.sum()) < MIN_FACES:
        return Evidence()
    sides = np.median(centres[right, 0]), np.median(centres[left, 0])
    u = (centres[:, 0] - (sides[0] + sides[1]) / 2) / max((sides[0] - sides[1]) / 2, 1e-9)
    box = np.array([sides[0] - sides[1], front - back, high - low])
    filled = float(areas @ np.einsum("nk,nk->n", centres - middle, normals)) / 3.0 / max(float(box.prod()), 1e-9)
    if (box < LEAST_MM).any() or (box > MOST_MM).any() or not FILLED[0] < filled < FILLED[1]:
        return Evidence()

    found: dict[str, float] = {}
    for name, sign in (("top", 1.0), ("low", -1.0)):
        plate = (sign * normals[:, 2] > 0.5) & (sign * (centres[:, 2] - level) > 0)
        if plate.sum() < MIN_FACES or np.linalg.norm(areas[plate] @ normals[plate]) < FLAT * areas[plate].sum():
            continue
        lengthwise = plate & (np.abs(u) < 0.45) & (np.abs(v) > CREST[0]) & (np.abs(v) < CREST[1])
        across = plate & (np.abs(v) < 0.5) & (np.abs(u) > 0.5) & (np.abs(u) < 0.9)
        found[f"{name}_pitch"] = _slope_deg(centres, areas, lengthwise & (v > 0), lengthwise & (v < 0), 1)
        found[f"{name}_roll"] = -_slope_deg(centres, areas, across & (u > 0), across & (u < 0), 0)
    if not found:
        return Evidence()
    by_x, by_z = _wall_slopes(centres[:, [0, 2, 1]], areas, waist & (normals[:, 1] < -0.7) & (np.abs(u) < 0.45))
    found["wall_yaw"], found["wall_pitch"] = by_x, -by_z
    found["front_pitch"] = -_wall_slopes(centres[:, [0, 2, 1]], areas, waist & (normals[:, 1] > 0.7) & (np.abs(u) < 0.45))[1]
    lateral = [_wall_slopes(centres[:, [1, 2, 0]], areas, side) for side in (right, left)]
    found["side_roll"] = (lateral[0][1] + lateral[1][1]) / 2
    cost = mirror_misfit(outline_radius(centres, normals, areas), MIRROR_TURNS_DEG)
    best = int(np.argmin(cost))
    if 0 < best < len(cost) - 1:  # the parabola through the least and its neighbours
        before, at, after = cost[best - 1 : best + 2] ** 2
        step = 0.5 * (before - after) / max(before - 2.0 * at + after, 1e-12)
        found["mirror_yaw"] = float(MIRROR_TURNS_DEG[best] + step * (MIRROR_TURNS_DEG[1] - MIRROR_TURNS_DEG[0]))
    return Evidence(**found)


def outline_radius(centres: Float, normals: Float, areas: Float) -> Float:
    """Radius of a body's wall about the middle of its outline, by angle from the front towards the left, (BINS,) mm.

    Parameters
    ----------
    centres, normals : (n, 3) float
        Of the faces, along (LR, AP, SI).
    areas : (n,) float
    """
    wall = (np.abs(normals[:, 2]) < 0.5) & (np.abs(centres[:, 2] - np.median(centres[:, 2])) < 0.3 * np.ptp(centres[:, 2]))
    if wall.sum() < MIN_FACES or not areas[wall].any():
        return np.ones(BINS)
    x, y = centres[wall, 0], centres[wall, 1]
    x, y = x - (x.max() + x.min()) / 2, y - (y.max() + y.min()) / 2
    bins = (np.degrees(np.arctan2(-x, y)) % 360.0 / (360.0 / BINS)).astype(int) % BINS
    total = np.bincount(bins, areas[wall], BINS)
    radius = np.bincount(bins, areas[wall] * np.hypot(x, y), BINS) / np.maximum(total, 1e-9)
    seen = total > 0
    return np.asarray(np.interp(BIN_MIDDLES_DEG, BIN_MIDDLES_DEG[seen], radius[seen], period=360.0))


def radius_at(radius: Float, degrees: Float) -> Float:
    """Interpolate an outline's radius at angles from the front towards the left, mm."""
    return np.asarray(np.interp(degrees, BIN_MIDDLES_DEG, radius, period=360.0))


def mirror_misfit(radius: Float, turns_deg: Float) -> Float:
    """How far right is from mirroring left about each direction (turned from the front to the left), mm RMS."""
    beyond = np.arange(5.0, 180.0, 5.0)
    left, right = (radius_at(radius, turns_deg[:, None] + sign * beyond) for sign in (1.0, -1.0))
    return np.asarray(np.sqrt(np.mean((left - right) ** 2, axis=1)))


def _slope_deg(centres: Float, areas: Float, far: NDArray[np.bool_], near: NDArray[np.bool_], axis: int) -> float:
    """Angle at which SI climbs from the one crest to the other along an axis."""
    if min(far.sum(), near.sum()) < MIN_FACES:
        return _NAN
    there, here = (areas[k] @ centres[k] / areas[k].sum() for k in (far, near))
    return float(np.degrees(np.arctan2(there[2] - here[2], there[axis] - here[axis])))


def _wall_slopes(points: Float, areas: Float, chosen: NDArray[np.bool_]) -> tuple[float, float]:
    """Angles at which the third coordinate changes along the first and the second, degrees."""
    if chosen.sum() < 2 * MIN_FACES:
        return _NAN, _NAN
    seen, area = points[chosen], areas[chosen]
    terms, y = seen - middle_of(seen), seen[:, 2]
    terms[:, 2] = 1.0
    weight = area
    slopes: NDArray[np.floating] = np.zeros(3)
    for _ in range(4):
        weighted = terms * weight[:, None]
        slopes = np.linalg.lstsq(weighted.T @ terms, y @ weighted, rcond=None)[0]
        off = np.abs(y - terms @ slopes)
        weight = area / (1.0 + (off / (1.5 * (1.48 * np.median(off) + 0.15))) ** 2)
    return float(np.degrees(np.arctan(slopes[0]))), float(np.degrees(np.arctan(slopes[1])))
