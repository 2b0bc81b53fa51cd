"""Surfaces → a picture, by a depth buffer in NumPy: no display, no driver, the same everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

LIGHT = np.array((-0.35, 0.55, 0.75)) / np.linalg.norm((-0.35, 0.55, 0.75))
FINER = 2
"""Each pixel is the mean of so many squared."""
MARGIN_MM = 1.0


@dataclass(frozen=True, eq=False)
class Layer:
    """A closed surface to be seen.

    Parameters
    ----------
    vertices : (n, 3) float, mm
    faces : (m, 3) int
        Counter-clockwise from outside.
    colour : (3,) or (n, 3) float, 0-1
        Of the surface or of each vertex.
    glass : bool
        Whether one sees through it: the more, the less it turns away.
    """

    vertices: Float
    faces: NDArray[np.int64]
    colour: Float
    glass: bool = False


def render(layers: Sequence[Layer], camera: Float, pixels_per_mm: float) -> tuple[Float, tuple[float, float, float, float]]:
    """Look at surfaces along parallel lines.

    Parameters
    ----------
    layers : sequence of Layer
        Of the glass ones only what lies before everything solid is seen, and of each point the nearest.
    camera : (3, 3) float
        Columns: right and up in the picture, and towards the eye.
    pixels_per_mm : float

    Returns
    -------
    picture : (h, w, 4) float, 0-1
        First row at the bottom; transparent where there is nothing.
    extent : left, right, bottom, top
        Of the picture in mm along ``camera``'s first two columns.
    """
    places = [layer.vertices @ camera for layer in layers]
    low = np.min([place.min(axis=0) for place in places], axis=0)[:2] - MARGIN_MM
    high = np.max([place.max(axis=0) for place in places], axis=0)[:2] + MARGIN_MM
    shape = np.ceil((high - low) * pixels_per_mm).astype(int)
    size, fine = (int(shape[1]) * FINER, int(shape[0]) * FINER), pixels_per_mm * FINER
    colour, cover, depth = np.zeros((*size, 3)), np.zeros(size), np.full(size, -np.inf)
    front = np.full(size, -np.inf)
    tint, veil = np.zeros((*size, 3)), np.zeros(size)
    for layer, place in zip(layers, places, strict=True):
        pixels = np.column_stack([(place[:, :2] - low) * fine, place[:, 2]])
        seen, normal, base = _visible(pixels, layer, place, front if layer.glass else depth)
        if layer.glass:
            tint[seen], veil[seen] = base, 0.10 + 0.70 * (1.0 - np.abs(normal[:, 2])) ** 2
        else:
            light = 0.42 + 0.48 * np.maximum(normal @ LIGHT, 0.0) + 0.26 * np.maximum(normal[:, 2], 0.0)
            colour[seen], cover[seen] = np.clip(base * light[:, None], 0.0, 1.0), 1.0
    veil[front <= depth] = 0.0
    total = veil + cover * (1.0 - veil)
    mixed = tint * veil[..., None] + colour * (cover * (1.0 - veil))[..., None]
    picture = np.concatenate([mixed, total[..., None]], axis=-1).reshape(shape[1], FINER, shape[0], FINER, 4).mean(axis=(1, 3))
    picture[..., :3] /= np.maximum(picture[..., 3:], 1e-9)
    right, top = low + shape / pixels_per_mm
    return np.clip(picture, 0.0, 1.0), (float(low[0]), float(right), float(low[1]), float(top))


def _visible(pixels: Float, layer: Layer, place: Float, depth: Float) -> tuple[NDArray[np.bool_], Float, Float]:
    """Fill a depth buffer: which pixels a surface wins, and their unit normals and colours there."""
    faces = layer.faces
    normals = _vertex_normals(place, faces)
    corners = pixels[faces]
    a, u, v = corners[:, 0, :2], corners[:, 1, :2] - corners[:, 0, :2], corners[:, 2, :2] - corners[:, 0, :2]
    area = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
    keep = area > 1e-9
    faces = faces[keep]
    corners, a, u, v, area = (part[keep] for part in (corners, a, u, v, area))
    first = np.floor(corners[..., :2].min(axis=1)).astype(int)
    span = np.ceil(corners[..., :2].max(axis=1)).astype(int) - first
    face, share = np.full(depth.shape, -1), np.zeros((*depth.shape, 2))
    for dx in range(int(span[:, 0].max(initial=0))):
        for dy in range(int(span[:, 1].max(initial=0))):
            some = np.flatnonzero((dx < span[:, 0]) & (dy < span[:, 1]))
            x, y = first[some, 0] + dx, first[some, 1] + dy
            px, py = x + 0.5 - a[some, 0], y + 0.5 - a[some, 1]
            s = (px * v[some, 1] - py * v[some, 0]) / area[some]
            t = (py * u[some, 0] - px * u[some, 1]) / area[some]
            z = corners[some, 0, 2] * (1 - s - t) + corners[some, 1, 2] * s + corners[some, 2, 2] * t
            hit = (s >= 0) & (t >= 0) & (s + t <= 1)
            hit[hit] = z[hit] > depth[y[hit], x[hit]]
            order = np.flatnonzero(hit)[np.argsort(z[hit], kind="stable")]  # of several on one pixel the nearest is written last
            depth[y[order], x[order]] = z[order]
            face[y[order], x[order]] = some[order]
            share[y[order], x[order]] = np.stack([s[order], t[order]], axis=1)
    seen = face >= 0
    weights = np.column_stack([1.0 - share[seen].sum(axis=1), share[seen]])
    chosen = faces[face[seen]]
    normal = (normals[chosen] * weights[..., None]).sum(axis=1)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    base = (layer.colour[chosen] * weights[..., None]).sum(axis=1) if layer.colour.ndim == 2 else np.tile(layer.colour, (len(chosen), 1))
    return seen, normal, base


def _vertex_normals(place: Float, faces: NDArray[np.int64]) -> Float:
    corners = place[faces]
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(place)
    for axis in range(3):
        normals[:, axis] = np.bincount(faces.ravel(), np.repeat(flat[:, axis], 3), len(place))
    return np.asarray(normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12))
