"""Which way a body without arch or neighbours faces: endplates are its two large, opposed, flat sides, and right mirrors left."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shapekit.ops.evidence import Faces, mirror_misfit, outline_radius, radius_at

Float = NDArray[np.float64]

WITHIN_DEG = 60.0
"""A lone body has no sign of its own: directions this near to the scanner's superior and anterior axes are taken, others are doubtful."""
CLEARER = 1.15
"""A direction beyond that limit is believed if it explains the body this much better; within it, one as good but for this is a rival."""
APART_DEG = 30.0
"""Directions this far from each other are two answers, not one and its neighbourhood."""
ALIKE_MM = 0.3
"""Outlines that are mirrored this nearly as well about another direction do not tell which is the front."""
BEYOND_MM = 1.5
"""A direction beyond the limit is believed to be the front if a body's outline is mirrored this much better about it; n bodies' mean by 1/√n of
that. [Assumed: phantoms' bodies stay below it.]"""
DIRECTIONS = 1500
STEP_DEG = 2.0


def find_superior(faces: Faces) -> tuple[Float, bool]:
    """Direction of SI of a lone body: across the two opposed, nearly flat sides with the largest area.

    Parameters
    ----------
    faces : Faces
        Of the body's closed mesh, patient space.

    Returns
    -------
    up : (3,) float
        Unit vector within 60° of the patient's superior axis.
    doubtful : bool
        A direction further away explains the body better, or another one within the limit as well (then the nearer to the patient's axis is taken):
        the axes' signs and order are a guess.
    """
    if not len(faces.areas):
        return np.array([0.0, 0.0, 1.0]), True
    spiral = np.arange(DIRECTIONS) + 0.5
    z, turn = 1.0 - spiral / DIRECTIONS, np.pi * (1.0 + 5**0.5) * spiral
    r = np.sqrt(1.0 - z * z)
    ways = np.stack([r * np.cos(turn), r * np.sin(turn), z], axis=1)
    facing = faces.normals @ ways.T
    # 26° about a direction: what an endplate's faces span, and no wall's
    flat = [faces.areas @ np.clip((sign * facing - 0.9) / 0.1, 0.0, None) for sign in (1.0, -1.0)]
    area = np.minimum(*flat)
    near = z >= np.cos(np.radians(WITHIN_DEG))
    best = int(np.argmax(np.where(near, area, -1.0)))
    rivals = near & (np.abs(ways @ ways[best]) < np.cos(np.radians(APART_DEG)))
    rival = int(np.argmax(np.where(rivals, area, -1.0)))
    alike = bool(CLEARER * area[rival] > area[best])
    doubtful = alike or bool(area.max() > CLEARER * area[best])
    best = rival if alike and z[rival] > z[best] else best
    up = ways[best]
    for _ in range(4):  # on to the mean direction of both sides
        along = faces.normals @ up
        weight = faces.areas * np.clip((np.abs(along) - 0.9) / 0.1, 0.0, None) * np.sign(along)
        up = weight @ faces.normals
        up = up / np.linalg.norm(up) if np.linalg.norm(up) > 0 else ways[best]
    return up, doubtful


def find_anterior(bodies: Sequence[Faces], up: Sequence[Float]) -> tuple[Float, bool]:
    """Anterior direction that bodies without arches share: their outlines are mirrored about it, and flat behind.

    Parameters
    ----------
    bodies : sequence of Faces
    up : sequence of (3,) float
        Superior direction of each.

    Returns
    -------
    ahead : (3,) float
        Unit vector, perpendicular to the first body's superior direction and within 60° of the patient's anterior axis there.
    doubtful : bool
        The outlines are mirrored as well about another direction (the nearer to the patient's axis is taken), or far better about one beyond
        the limit: which is the front is a guess.
    """
    around = np.arange(-180.0, 180.0, STEP_DEG)
    shown = [(faces, way) for faces, way in zip(bodies, up, strict=True) if len(faces.areas)]
    misfit = np.mean([_misfit(faces, way, around) for faces, way in shown] or [np.zeros(len(around))], axis=0)
    near = np.abs(around) <= WITHIN_DEG
    turns, cost = around[near], misfit[near]
    best = int(np.argmin(cost))
    rival = int(np.argmin(np.where(np.abs(turns - turns[best]) > APART_DEG, cost, np.inf)))
    alike = bool(cost[rival] < cost[best] + ALIKE_MM)
    turn = np.radians(min(turns[[best, rival]], key=abs) if alike else turns[best])
    front, right = _level_axes(up[0])
    return np.asarray(np.cos(turn) * front - np.sin(turn) * right), alike or bool(misfit.min() < cost[best] - BEYOND_MM / max(len(shown), 1) ** 0.5)


def _level_axes(up: Float) -> tuple[Float, Float]:
    """Patient's anterior axis made perpendicular to a superior direction, and the direction to its right."""
    front = np.array([0.0, 1.0, 0.0]) - up * up[1]
    front = front / np.linalg.norm(front)
    return front, np.cross(front, up)


def _misfit(faces: Faces, up: Float, turns_deg: Float) -> Float:
    """How badly an outline is mirrored about, and rounded behind, each candidate, mm; turns are to the left."""
    front, right = _level_axes(up)
    axes = np.stack([right, front, up], axis=1)
    radius = outline_radius((faces.centres - faces.middle) @ axes, faces.normals @ axes, faces.areas)
    around = np.arange(-35.0, 36.0, 5.0)
    # how far the wall reaches along the candidate: the same all over a flat back
    back, ahead = (radius_at(radius, turns_deg[:, None] + side + around) * np.cos(np.radians(around)) for side in (180.0, 0.0))
    return np.asarray(mirror_misfit(radius, turns_deg) + 0.5 * back.std(axis=1) - 0.5 * ahead.std(axis=1))
