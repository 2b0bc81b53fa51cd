"""Signed distance on one grid → on another: the distance is interpolated, never the mask."""

from __future__ import annotations

from shapekit.core.grid import Grid
from shapekit.core.values import Sdf


def resample_sdf(sdf: Sdf, grid: Grid) -> Sdf:
    """Sample a signed distance field (mm) at the voxels of another grid, trilinear."""
    return Sdf(sdf.sample(grid.points()), grid)
