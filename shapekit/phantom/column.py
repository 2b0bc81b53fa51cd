"""Stack the bodies of a spine into a curved column: discs, kyphosis and lordosis as one lies, mild scoliosis and rotation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from shapekit.core.frame import Frame
from shapekit.core.levels import Level
from shapekit.phantom.body import BodyShape
from shapekit.phantom.reference import HEIGHT_SCALE, level_references
from shapekit.phantom.spine import along

Float = NDArray[np.float64]

SPACING_WEIGHT = 0.65
"""Discs: how far the mean is moved from the published height towards what the spacing of 2,116 CTs leaves between the bodies."""
DISC_ADJACENT = 0.68
LUMBAR_SHARES_DEG = {Level.L1: 5.6, Level.L2: 7.7, Level.L3: 11.2, Level.L4: 14.2}
"""Standing lordosis of the segment below each level."""
RECUMBENT_LORDOSIS = (0.70, 0.22)
"""Recumbent over standing lordosis, mean and SD (36.8 ± 13.2° over 52.1°)."""
MOST_ADDED_DEG = 45.0
"""Kyphosis that fractures can add at most."""
RECUMBENT_KYPHOSIS_DEG = (39.0, 8.0)
"""T1-T12; standing 43.7 ± 9.0°; what lying down takes away is assumed."""


def draw_gaps(levels: Sequence[Level], bodies: Mapping[Level, BodyShape], *, generator: Generator) -> tuple[Float, Float]:
    """Draw the discs between healthy bodies: height in the middle (n − 1,) mm, and turns (n − 1, 3) degrees.

    The turns carry the upper vertebra on the lower: forward (kyphosis positive), to the right, and about the vertical towards the left.
    """
    rows = level_references()
    n = len(levels) - 1
    normal = along(generator, 1, n, DISC_ADJACENT)[0] if n else np.zeros(0)
    heights, turns = np.zeros(n), np.zeros((n, 3))
    wedges = {level: _wedge_deg(bodies[level]) for level in levels}
    lordosis = float(generator.normal(*RECUMBENT_LORDOSIS))
    kyphosis = float(generator.normal(*RECUMBENT_KYPHOSIS_DEG))
    thoracic = [level for level in levels if level.region == "T"]
    between = (kyphosis * (len(thoracic) / 12.0) - sum(wedges[level] for level in thoracic)) / max(len(thoracic) - 1, 1)
    curve = along(generator, 2, n + 1, 0.85)
    for k in range(n):
        upper, lower = levels[k], levels[k + 1]
        row = rows[upper]
        centre = HEIGHT_SCALE * (row.ha_mm + row.hp_mm + rows[lower].ha_mm + rows[lower].hp_mm) / 4
        mean = row.disc_below_mm
        if np.isfinite(row.spacing_below_mm):
            mean += SPACING_WEIGHT * (row.spacing_below_mm - centre - mean)
        heights[k] = max(mean * (1.0 + 0.17 * normal[k]), 1.2)
        if upper in LUMBAR_SHARES_DEG:
            segment = -LUMBAR_SHARES_DEG[upper] * lordosis
            turns[k, 0] = segment - (wedges[upper] + wedges[lower]) / 2 + generator.normal(0.0, 1.5)
        elif upper.region == "T" and lower.region == "T":
            turns[k, 0] = between + generator.normal(0.0, 1.0)
        else:
            turns[k, 0] = generator.normal(-2.0, 1.5)
        # no disc closes on one side
        limit = np.degrees(np.arctan(0.75 * heights[k] / (bodies[lower].half_depth_mm * 0.9)))
        turns[k, 0] = np.clip(turns[k, 0], -2.2 * limit, limit)
        turns[k, 1:] = np.array([0.9, 0.8]) * curve[:, k] + generator.normal(0.0, 0.6, 2)
    return heights, turns


def compensate(turns_deg: Float, bodies: Sequence[BodyShape], healthy: Sequence[BodyShape]) -> Float:
    """Turns of the discs once bodies have broken: a person straightens up what many wedges would bend.

    One fracture tilts all that lies above it by nearly its whole wedge; of a large sum no more than ``MOST_ADDED_DEG`` is left,
    every disc giving its part [assumed: with each wedge in full, six fractures would fold the trunk].

    Parameters
    ----------
    turns_deg : (n − 1, 3) float
        As :func:`draw_gaps` gives them.
    bodies, healthy : sequences of BodyShape
        As they are, and before anything broke.

    Returns
    -------
    (n − 1, 3) float
    """
    if not len(turns_deg):
        return turns_deg
    added = sum(_wedge_deg(now) - _wedge_deg(before) for now, before in zip(bodies, healthy, strict=True) if now is not before)
    kept = MOST_ADDED_DEG * np.tanh(added / MOST_ADDED_DEG)
    return np.asarray(turns_deg - np.array([(added - kept) / len(turns_deg), 0.0, 0.0]))


def _wedge_deg(body: BodyShape) -> float:
    ha, _, hp = body.heights_mm()
    back, front = body.depth_span_mm()
    return float(np.degrees(np.arctan((hp - ha) / (0.8 * (front - back)))))


def _turn(forward: float, right: float, left: float) -> Float:
    """Rotation by angles in radians: lean forward, lean to the right, turn the front towards the left."""
    cx, sx, cy, sy, cz, sz = (f(a) for a in (-forward, right, left) for f in (np.cos, np.sin))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1.0]])
    return np.asarray(about_z @ about_x @ about_y)


def _onto(normal: Float) -> Float:
    """Rotation that takes SI to a plane's upward normal."""
    up = normal * np.sign(normal[2])
    return _turn(float(np.arctan2(up[1], up[2])), 0.0, 0.0) @ _turn(0.0, float(np.arcsin(np.clip(up[0], -1, 1))), 0.0)


def stack(bodies: Sequence[BodyShape], heights_mm: Float, turns_deg: Float) -> list[Frame]:
    """Pile bodies on one another from the lowest upward, each on the planes of the rims it meets.

    What a fracture takes from a rim therefore tilts and lowers everything above it.

    Parameters
    ----------
    bodies : sequence of BodyShape
        From the head downward, as they are (fractured ones fractured).
    heights_mm, turns_deg : (n − 1,), (n − 1, 3) float
        As :func:`draw_gaps` gives them.

    Returns
    -------
    list of Frame
        One a body: the origin and the axes its shape is described in. The column stands with its ends above one another.
    """
    axes, origin = [np.eye(3)], [np.zeros(3)]
    for upper, lower, gap, turn in zip(bodies[-2::-1], bodies[:0:-1], heights_mm[::-1], turns_deg[::-1], strict=True):
        (seat, seat_normal), _ = lower.plate_planes()
        _, (foot, foot_normal) = upper.plate_planes()
        plane = axes[-1] @ _onto(seat_normal)
        turned = plane @ _turn(*np.radians(turn))
        up = plane[:, 2] + turned[:, 2]
        standing = turned @ _onto(-foot_normal).T
        place = origin[-1] + axes[-1] @ seat + gap * up / np.linalg.norm(up)
        axes.append(standing)
        origin.append(place - standing @ foot)
    chord = origin[-1] - origin[0]
    if len(bodies) > 1:
        upright = _turn(float(np.arctan2(chord[1], chord[2])), 0.0, 0.0) @ _turn(0.0, float(np.arctan2(chord[0], np.hypot(*chord[1:]))), 0.0)
    else:
        upright = np.eye(3)
    rigid = [Frame(upright.T @ o, _orthonormal(upright.T @ a)) for o, a in zip(origin, axes, strict=True)]
    return rigid[::-1]


def _orthonormal(axes: Float) -> Float:
    left, _, right = np.linalg.svd(axes)
    return np.asarray(left @ right)
