"""The neural arch behind a body: pedicles, laminae and processes as rounded bars about a free canal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from shapekit.core.levels import Level
from shapekit.phantom.body import BodyShape
from shapekit.phantom.reference import level_references

Float = NDArray[np.float64]

BLEND_MM = 1.5
"""Bars melt into one another over this length."""


@dataclass(frozen=True, eq=False)
class Arch:
    """Rounded bars in the body's own axes.

    Parameters
    ----------
    start, end : (n, 3) float, mm
        Ends of each bar's axis.
    radii : (n, 3) float, mm
        Half thickness of each bar along LR, AP, SI.
    canal_depth_mm, canal_width_mm : float
        Of the free canal at the pedicles.
    """

    start: Float
    end: Float
    radii: Float
    canal_depth_mm: float
    canal_width_mm: float

    def boxes(self, margin_mm: float) -> Float:
        """Box around each bar, (n, 2, 3) mm."""
        low = np.minimum(self.start, self.end) - self.radii - margin_mm
        high = np.maximum(self.start, self.end) + self.radii + margin_mm
        return np.stack([low, high], axis=1)

    def bar_distance(self, n: int, points: Float) -> Float:
        """Signed distance to bar ``n``, (..., 3) → (...), mm, negative inside; exact on its surface, near it to some 10 %."""
        radii = self.radii[n]
        a, b = self.start[n] / radii, self.end[n] / radii
        p = points / radii - a
        axis = b - a
        along = np.clip(p @ axis / max(float(axis @ axis), 1e-9), 0.0, 1.0)
        off = p - along[..., None] * axis
        length = np.sqrt((off**2).sum(axis=-1))
        slope = np.sqrt(((off / radii) ** 2).sum(axis=-1))
        return np.asarray(length * (length - 1.0) / np.maximum(slope, 1e-6))

    def signed_distance(self, points: Float) -> Float:
        """Signed distance to all bars melted together, (..., 3) → (...), mm; approximate (some 10 %), its zero level is the arch."""
        total = np.full(points.shape[:-1], 1e3)
        for n in range(len(self.radii)):
            total = melt(total, self.bar_distance(n, points))
        return total


def melt(one: NDArray[np.floating], other: NDArray[np.floating]) -> Float:
    """Smooth minimum of two signed distances over ``BLEND_MM``."""
    share = np.maximum(BLEND_MM - np.abs(one - other), 0.0) / BLEND_MM
    return np.asarray(np.minimum(one, other) - 0.25 * BLEND_MM * share**2)


def draw_arch(level: Level, body: BodyShape, *, stout: bool = False, generator: Generator) -> Arch:
    """Draw the arch of a healthy body.

    The canal keeps 12-17 mm between posterior wall and laminae on the midline, counted a little above mid-height, where a foramen already dips
    in by half; pedicles spring from the upper half of the body's posterolateral corners; processes lean as their region's do.

    Parameters
    ----------
    level : Level
    body : BodyShape
        Healthy; gives the posterior wall and the height.
    stout : bool
        Whether the pedicles of L4 and L5 are as wide as Zindrick et al. (1987, Spine 12:160) measured, 13 and 18 mm, or narrower.
    generator : numpy.random.Generator

    Returns
    -------
    Arch
    """
    row = level_references()[level]
    lumbar = 1.0 if level.region == "L" else 0.0
    low_thoracic = float(np.clip((level.rank - Level.T9.rank) / 4.0, 0.0, 1.0)) * (1.0 - lumbar)
    gap, width = np.clip([row.canal_depth_mm, row.canal_width_mm] * (1.0 + 0.05 * generator.standard_normal(2)), [12.5, 14.0], [17.5, 30.0])
    vary = 1.0 + 0.07 * generator.standard_normal(6)
    _, height, _ = body.heights_mm()
    back = -float(body.wall_radius(-np.pi / 2, 0.3))
    pedicle_w, pedicle_h = 0.5 * (4.6 + 4.4 * lumbar + 3.0 * low_thoracic) * vary[0], 0.5 * (0.50 * height + 1.0) * vary[1]
    pedicle_w *= ({Level.L4: 1.4, Level.L5: 2.0} if stout else {Level.L5: 1.5}).get(level, 1.0)
    side = width / 2 + pedicle_w
    up = 0.22 * height
    lamina = back - gap
    # where the pedicle ends, the lamina begins and the articular processes stand
    pillar = np.array([side + 1.5 * lumbar + 1.0, back - 0.62 * gap, up - 0.05 * height])
    bars: list[tuple[list[float], list[float], list[float]]] = []

    def pair(start: list[float], end: list[float], radii: list[float]) -> None:
        bars.append((start, end, radii))
        bars.append(([-start[0], *start[1:]], [-end[0], *end[1:]], radii))

    rooted = back + 0.22 * (body.half_depth_mm * 2)
    pair([side * 0.97, rooted, up], [side, back - 0.45 * gap, up], [pedicle_w, pedicle_w, pedicle_h])
    pair(list(pillar), [3.0, lamina - 3.4, -0.18 * height], [3.2, 3.2, 0.34 * height])
    facet = 7.0 - 1.5 * lumbar
    pair([pillar[0], pillar[1] - 1.0, pillar[2]], [pillar[0] + 1.0 * lumbar, pillar[1] - 2.5, 0.56 * height], [3.4 + 1.2 * lumbar, 3.0, 3.5])
    foot = [pillar[0] - 3.5 * lumbar - 1.5, pillar[1] - facet + 1.0, -0.78 * height]
    pair([pillar[0] - 2.0, pillar[1] - 3.5, -0.1 * height], foot, [3.6, 2.6, 3.5])
    if lumbar:
        reach = {Level.L3: 27.0, Level.L5: 22.0}.get(level, 24.0) * vary[2]
        pair([pillar[0] + 1.0, pillar[1] + 2.0, up - 2.0], [side + reach, pillar[1] - 4.0, up + 1.0], [4.0, 2.6, 4.4])
        spine_end = [0.0, lamina - (22.0 if level is Level.L5 else 28.0) * vary[3], -0.34 * height]
        bars.append(([0.0, lamina - 4.5, -0.22 * height], spine_end, [2.9, 3.5, 0.36 * height * vary[4]]))
    else:
        reach = (22.0 - 14.0 * low_thoracic) * vary[2]
        pair([pillar[0] + 1.0, pillar[1], up - 2.0], [side + reach, pillar[1] - 0.6 * reach, up + 3.0], [3.6, 3.4, 4.2])
        steep = 1.0 - abs(level.rank - Level.T6.rank) / 8.0
        drop = (10.0 + 22.0 * max(steep, 0.0)) * vary[3]
        bars.append(([0.0, lamina - 4.5, -0.2 * height], [0.0, lamina - 24.0 * vary[4], -0.2 * height - drop], [2.6, 3.2, 5.2]))
    start, end, radii = (np.array(part, dtype=np.float64) for part in zip(*bars, strict=True))
    lean = np.array([1.0, 1.0, 1.0]) * (1.0 + 0.02 * generator.standard_normal(3))
    return Arch(start * lean, end * lean, radii, float(gap), float(width))
