"""The surface of a body: a fine structured mesh whose vertices lie on it exactly, and the distance to it.

Around each vertex the surface is replaced by its osculating circles. With n the normal, κ₁ and κ₂ the principal curvatures, and
a point's offset from its nearest vertex split into the height h along n and the parts τ₁, τ₂ along the principal directions,

    d = h + Σ sign(κ) τ² / (√(ρ² + τ²) + ρ),   ρ = |1/κ + h|

is exact where the surface is a cylinder, also at the centre of its curvature (Ambrosio & Mantegazza 1998, J. Geom. Anal. 8:723,
give the second-order term that it extends). Vertices are about a millimetre apart and much closer on the rounded rim.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from shapekit.core.values import Mesh

if TYPE_CHECKING:
    from shapekit.phantom.body import BodyShape

Float = NDArray[np.float64]

COLUMNS = 112
"""Mesh columns around the body."""
RIM_RINGS, WALL_RINGS, PLATE_RINGS = 12, 26, 18
FOLD_MM = 0.01
"""Neighbours further than this off a vertex's second-order surface mark a fold."""
FOLD_REACH_MM = 0.6
"""A point is doubtful where a fold is hardly further away than its nearest vertex."""
APART_MM = 1.0
"""The nearest vertex is no farther than this beyond the surface."""
BEYOND = 0.6
"""A point with a level set above this lies outside, whatever a circle says."""
STARTS, STEPS, LONGEST_MM = 4, 10, 0.4
"""In folds the nearest point is walked to, from so many vertices, in so many steps of at most this length."""


@dataclass(frozen=True, eq=False)
class Surface:
    """Vertices on a body's surface with their normals and curvatures.

    Parameters
    ----------
    mesh : Mesh
        Closed, in the body's own axes, mm.
    normals : (n, 3) float
        Outward unit normals.
    first, second : (n, 3) float
        Unit tangents along the principal directions.
    curvatures : (n, 2) float, 1/mm
        Principal curvatures along them, positive where the surface is convex.
    folds : cKDTree
        Over the vertices whose neighbours lie off their second-order surface: in the folds of a fracture, at the crest of a lip.
    tree : cKDTree
        Over all vertices.
    body : BodyShape
        Whose surface it is.
    """

    mesh: Mesh
    normals: Float
    first: Float
    second: Float
    curvatures: Float
    folds: cKDTree
    tree: cKDTree
    body: BodyShape

    @classmethod
    def of(cls, body: BodyShape) -> Surface:
        """Lay rings over a body, pull them onto its surface along the gradient, and measure normals and curvatures there."""
        rings = _rings(body)
        count, columns, _ = rings.shape
        poles = np.array([[0.0, 0.0, z] for z in (*_pole_heights(body),)])
        points = np.concatenate([rings.reshape(-1, 3), poles])
        value, gradient = body.evaluate(*points.T)
        for _ in range(4):
            points = points - (value / (gradient**2).sum(axis=1))[:, None] * gradient
            value, gradient = body.evaluate(*points.T)
        normals = gradient / np.linalg.norm(gradient, axis=1, keepdims=True)
        grid, grid_normals = points[:-2].reshape(rings.shape), normals[:-2].reshape(rings.shape)
        around, turn = (np.roll(a, -1, axis=1) - np.roll(a, 1, axis=1) for a in (grid, grid_normals))
        along, bend = (np.gradient(a, axis=0) for a in (grid, grid_normals))
        first = around - grid_normals * (around * grid_normals).sum(-1, keepdims=True)
        first = first / np.linalg.norm(first, axis=-1, keepdims=True)
        second = np.cross(grid_normals, first)
        step = np.stack([np.stack([(a * e).sum(-1) for a in (around, along)], -1) for e in (first, second)], -2)
        change = np.stack([np.stack([(a * e).sum(-1) for a in (turn, bend)], -1) for e in (first, second)], -2)
        operator = change @ np.linalg.inv(step)
        curvatures, turn_to = np.linalg.eigh(0.5 * (operator + np.swapaxes(operator, -1, -2)))
        principal = np.einsum("rcij,rcjk->rcki", np.stack([first, second], -1), turn_to)
        bent = _second_order_misfit(grid, grid_normals, principal, curvatures) > FOLD_MM
        # the poles take the curvature of the ring around them
        pole_first = np.cross(normals[-2:], np.array([0.0, 1.0, 0.0]))
        pole_first /= np.linalg.norm(pole_first, axis=1, keepdims=True)
        pole_curvatures = np.stack([np.full(2, curvatures[n].mean()) for n in (0, -1)])
        return cls(
            Mesh(points, _faces(count, columns)),
            normals,
            np.concatenate([principal[..., 0, :].reshape(-1, 3), pole_first]),
            np.concatenate([principal[..., 1, :].reshape(-1, 3), np.cross(normals[-2:], pole_first)]),
            np.concatenate([curvatures.reshape(-1, 2), pole_curvatures]),
            cKDTree(grid[bent].reshape(-1, 3)),
            cKDTree(points, leafsize=8, balanced_tree=False, compact_nodes=False),
            body,
        )

    def signed_distance(self, points: ArrayLike, *, limit_mm: float = float("inf")) -> Float:
        """Signed distance in mm, negative inside, to 0.02 mm; 0.04 in a foramen, up to 1 mm before a wall that a severe fracture has folded.

        Parameters
        ----------
        points : (..., 3) float, mm, body axes
        limit_mm : float
            Points farther from the surface are not measured and get NaN; a small limit is several times faster.

        Returns
        -------
        (...) float
        """
        where = np.asarray(points, dtype=np.float64)
        flat = where.reshape(-1, 3)
        far, nearest = self.tree.query(flat, distance_upper_bound=limit_mm)
        found = np.isfinite(far)
        nearest = nearest[found]
        offset = flat[found] - self.mesh.vertices[nearest]
        height = np.einsum("nk,nk->n", offset, self.normals[nearest])
        reached = height.copy()
        for tangent, curvature in ((self.first, self.curvatures[nearest, 0]), (self.second, self.curvatures[nearest, 1])):
            square = np.einsum("nk,nk->n", offset, tangent[nearest]) ** 2
            bend = np.where(np.abs(curvature) < 1e-6, 1e-6, curvature)
            radius = np.abs(1.0 / bend + height)
            reached += np.sign(bend) * square / (np.sqrt(radius**2 + square) + radius)
        distance = np.full(len(flat), np.nan)
        distance[found] = np.clip(reached, -far[found], far[found])
        doubtful = np.union1d(self._near_folds(flat, np.abs(distance) + FOLD_REACH_MM), self._misjudged(flat, distance, far))
        if len(doubtful):
            distance[doubtful] = self._walk(flat[doubtful])
        return distance.reshape(where.shape[:-1])

    def _near_folds(self, points: Float, reach: Float) -> NDArray[np.int64]:
        """Indices of the points that have a fold within their reach; NaN reaches nowhere."""
        if not self.folds.n or np.isnan(reach).all():
            return np.zeros(0, dtype=np.int64)
        away = self.folds.query(points, distance_upper_bound=float(np.nanmax(reach)))[0]
        return np.flatnonzero(away < reach)

    def _misjudged(self, points: Float, distance: Float, far: Float) -> NDArray[np.int64]:
        """Indices of the points for which a circle does not stand for the surface: before a wall that a fracture has bent inward.

        They come out nearer than vertices can be apart, or inside where the level set says outside.
        """
        inside = np.flatnonzero(distance < 0.0)
        beyond = inside[self.body.evaluate(*points[inside].T)[0] > BEYOND]
        return np.union1d(np.flatnonzero(np.abs(distance) < far - APART_MM), beyond)

    def _walk(self, points: Float) -> Float:
        """Signed distance of (n, 3) points by walking over the surface to the nearest point, from several vertices each, (n,) mm."""
        far, start = self.tree.query(points, k=STARTS)
        foot, target = self.mesh.vertices[start], np.broadcast_to(points[:, None], (*start.shape, 3))
        sign = np.where(self.body.evaluate(*points.T)[0] < 0.0, -1.0, 1.0)
        # where the surface bends away from the point, a step along its tangent goes further than it should
        bend = np.maximum(sign[:, None, None] * self.curvatures[start], 0.0).max(axis=-1)
        step = 0.9 / (1.0 + bend * far)
        best = far
        for _ in range(STEPS):
            value, gradient = (a.reshape(*start.shape, *a.shape[1:]) for a in self.body.evaluate(*foot.reshape(-1, 3).T))
            square = (gradient**2).sum(axis=-1)
            apart = target - foot
            on_surface = np.abs(value) < 1e-3 * np.sqrt(square)
            best = np.where(on_surface, np.minimum(best, np.linalg.norm(apart, axis=-1)), best)
            sideways = apart - ((apart * gradient).sum(axis=-1) / square)[..., None] * gradient
            shorter = step * np.minimum(1.0, LONGEST_MM / np.maximum(np.linalg.norm(sideways, axis=-1), 1e-9))
            foot = foot - (value / square)[..., None] * gradient + sideways * shorter[..., None]
        return np.asarray(sign * best.min(axis=1))

    @property
    def volume_mm3(self) -> float:
        """Volume inside the mesh."""
        a, b, c = self._corners()
        return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6.0)

    @property
    def centroid(self) -> Float:
        """Centre of the volume inside the mesh, (3,) mm, body axes."""
        a, b, c = self._corners()
        part = np.einsum("ij,ij->i", a, np.cross(b, c)) / 6.0
        return np.asarray((part[:, None] * (a + b + c)).sum(axis=0) / (4.0 * part.sum()))

    def _corners(self) -> tuple[Float, Float, Float]:
        corners = self.mesh.vertices[self.mesh.faces]
        return corners[:, 0], corners[:, 1], corners[:, 2]


def _second_order_misfit(grid: Float, normals: Float, principal: Float, curvatures: Float) -> Float:
    """How far each vertex's neighbours lie off its osculating paraboloid, (rings, columns) mm."""
    worst = np.zeros(grid.shape[:2])
    for step, axis in ((1, 0), (-1, 0), (1, 1), (-1, 1)):
        offset = np.roll(grid, step, axis=axis) - grid
        if axis == 0:
            offset[0 if step > 0 else -1] = 0.0  # the rings are open
        along = np.einsum("rck,rcik->rci", offset, principal)
        height = np.einsum("rck,rck->rc", offset, normals)
        worst = np.maximum(worst, np.abs(height + 0.5 * (curvatures * along**2).sum(axis=-1)))
    return worst


def _pole_heights(body: BodyShape) -> tuple[float, float]:
    top, low = body.plate_heights(np.zeros(1), np.zeros(1))
    return float(top[0]), float(low[0])


def _rings(body: BodyShape) -> Float:
    """First guess of the surface: rings from the middle of the superior plate over rim and wall to the inferior one, (rings, columns, 3)."""
    angle = np.linspace(0.0, 2.0 * np.pi, COLUMNS, endpoint=False)
    direction = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    rim = body.rim_mm
    inward = np.linspace(0.0, 1.0, PLATE_RINGS + 1)[1:]
    arc = np.linspace(0.0, 0.5 * np.pi, RIM_RINGS + 2)[1:-1]
    rings = []
    for sign in (1.0, -1.0):
        edge = body.wall_radius(angle, np.full(COLUMNS, sign * 0.95))
        plate = []
        for share in inward:
            xy = direction * ((edge - rim) * share)[:, None]
            plate.append(np.column_stack([xy, body.plate_heights(*xy.T)[0 if sign > 0 else 1]]))
        for phi in arc:
            xy = direction * (edge - rim + rim * np.sin(phi))[:, None]
            z = body.plate_heights(*xy.T)[0 if sign > 0 else 1]
            plate.append(np.column_stack([xy, z - sign * rim * (1.0 - np.cos(phi))]))
        rings.append(plate)
    wall = []
    xy = direction * body.wall_radius(angle, np.zeros(COLUMNS))[:, None]
    top, low = body.plate_heights(*xy.T)
    middle, reach = 0.5 * (top + low), np.maximum(0.5 * (top - low) - rim, 0.3)
    for share in np.linspace(1.0, -1.0, WALL_RINGS):
        t = share * reach / (reach + rim)
        radius = body.wall_radius(angle, t)
        wall.append(np.column_stack([direction * radius[:, None], middle + share * reach]))
    return np.stack(rings[0] + wall + rings[1][::-1])


def _faces(rings: int, columns: int) -> NDArray[np.int64]:
    """Triangles between the rings, and the two fans at the poles."""
    ring, column = np.meshgrid(np.arange(rings - 1), np.arange(columns), indexing="ij")
    here, right = ring * columns + column, ring * columns + (column + 1) % columns
    below, below_right = here + columns, right + columns
    quads = np.stack([np.stack([here, below, right], -1), np.stack([right, below, below_right], -1)], axis=2)
    start, after = np.arange(columns), (np.arange(columns) + 1) % columns
    last = (rings - 1) * columns
    top = np.stack([np.full(columns, rings * columns), start, after], -1)
    low = np.stack([np.full(columns, rings * columns + 1), last + after, last + start], -1)
    return np.concatenate([quads.reshape(-1, 3), top, low]).astype(np.int64)
