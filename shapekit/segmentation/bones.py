"""Simple shapes on a grid, rounded blocks and bent bars: bones with a cortex around spongy bone, and what is of one tissue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

from shapekit.core.grid import Grid

Array = NDArray[np.float32]
Float = NDArray[np.float64]
Spacing = float | tuple[float, float, float]
"""Of cubic voxels, or along each axis."""

SPONGY_HU, CORTEX_HU, CORTEX_MM = (80.0, 350.0), (300.0, 900.0), 1.2
TEXTURE_HU, TEXTURE_MM = (5.0, 45.0), 1.4


@dataclass(frozen=True)
class Part:
    """A rounded block, or a bar where ``line`` is given, in patient space.

    Parameters
    ----------
    middle, half : (3,) float, mm
        Of a block, and half its sides.
    axes : (3, 3) float
        Columns are the directions of its sides.
    line : (n, 3) float, mm, optional
        The bar's points.
    radius : float, mm
        The bar's.
    power : float
        See ``block``.
    """

    middle: Float
    half: Float
    axes: Float
    line: Float | None = None
    radius: float = 0.0
    power: float = 5.0

    def corners(self) -> Float:
        """Points between which it lies, (n, 3) mm."""
        if self.line is not None:
            return np.concatenate([self.line - self.radius, self.line + self.radius])
        reach = np.abs(self.axes) @ self.half
        return np.stack([self.middle - reach, self.middle + reach])


@dataclass(frozen=True, eq=False)
class Place:
    """Where parts lie on a grid.

    Parameters
    ----------
    box : three slices
        The voxels around them.
    depth : (i, j, k) float32
        Distance outside the nearest part, mm, of these voxels.
    spacing_mm : float, or three
    """

    box: tuple[slice, ...]
    depth: Array
    spacing_mm: Spacing


def place_of(parts: Sequence[Part], grid: Grid) -> Place | None:
    """Lay parts on a grid; None where they lie outside.

    Parameters
    ----------
    parts : sequence of Part
        Of one thing.
    grid : Grid

    Returns
    -------
    Place or None
    """
    i, j, k = (float(side) for side in grid.spacing_mm)
    spacing: Spacing = i if np.allclose((j, k), i) else (i, j, k)
    places = np.concatenate([part.corners() for part in parts])
    ends = zip(places.min(axis=0), places.max(axis=0), strict=True)
    index = grid.to_index(np.array(np.meshgrid(*ends)).reshape(3, -1).T)
    low = np.clip(np.floor(index.min(axis=0) - 2), 0, grid.shape).astype(int)
    high = np.clip(np.ceil(index.max(axis=0) + 3), 0, grid.shape).astype(int)
    if (high <= low).any():
        return None
    shape = tuple(int(side) for side in high - low)
    turn = grid.affine[:3, :3] / spacing

    def own(points: Float) -> Float:
        return np.asarray((grid.to_index(points) - low) * np.asarray(spacing))

    depths = [
        block(shape, spacing, own(part.middle), part.half, turn.T @ part.axes, power=part.power)
        if part.line is None
        else bar(shape, spacing, own(part.line), part.radius)
        for part in parts
    ]
    return Place(tuple(slice(a, b) for a, b in zip(low, high, strict=True)), np.minimum.reduce(depths), spacing)


def bar_part(line: Float, radius: float) -> Part:
    """A bent bar along points, (n, 3) mm."""
    return Part(line[0], np.full(3, radius), np.eye(3), line, radius)


def put_bone(hu: Array, depth: Array, spacing_mm: Spacing, keep: NDArray[np.bool_], generator: Generator) -> None:
    """Draw a cortex around spongy bone where nothing is kept; writes into ``hu``.

    Parameters
    ----------
    hu : (i, j, k) float32
    depth : (i, j, k) float32
        Distance outside the bone's surface, mm; negative within.
    spacing_mm : float, or three
    keep : (i, j, k) bool
        Voxels that stay as they are.
    generator : numpy.random.Generator
        Of its intensities.
    """
    spongy, cortex = np.float32(generator.uniform(*SPONGY_HU)), np.float32(generator.uniform(*CORTEX_HU))
    texture = ndimage.gaussian_filter(generator.standard_normal(hu.shape, dtype=np.float32), TEXTURE_MM / np.asarray(spacing_mm))
    spongy = spongy + texture * np.float32(generator.uniform(*TEXTURE_HU) / max(float(texture.std()), 1e-6))
    across = _across(depth, spacing_mm)
    whole = np.clip(0.5 - depth / across, 0.0, 1.0) * ~keep
    inner = np.clip(0.5 - (depth + CORTEX_MM) / across, 0.0, 1.0) * ~keep
    hu += (inner * spongy + (whole - inner) * cortex - whole * hu).astype(np.float32)


def put_tissue(hu: Array, depth: Array, spacing_mm: Spacing, keep: NDArray[np.bool_], value: float) -> None:
    """Fill with one tissue of ``value`` HU where nothing is kept; writes into ``hu``. The others: see ``put_bone``."""
    hu += np.clip(0.5 - depth / _across(depth, spacing_mm), 0.0, 1.0) * ~keep * (np.float32(value) - hu)


def _across(depth: Array, spacing_mm: Spacing) -> float | Array:
    """How much a depth changes from voxel to voxel."""
    if not isinstance(spacing_mm, tuple):
        return spacing_mm
    steps = [np.gradient(depth, axis=axis) for axis in range(3) if depth.shape[axis] > 1]
    return np.asarray(np.sqrt(sum((step**2 for step in steps), np.float32(1e-6))))


def block(shape: tuple[int, ...], spacing_mm: Spacing, middle: Float, half: Float, turn: Float | None = None, *, power: float = 3.0) -> Array:
    """Roughly the distance outside a rounded block, mm.

    Parameters
    ----------
    shape : (3,) int
    spacing_mm : float, or three
    middle, half : (3,) float, mm
        From the first voxel's centre; half the block's sides.
    turn : (3, 3) float, optional
        Columns are the directions of its sides; by default those of the grid.
    power : float
        2: an ellipsoid; more: edges less round.
    """
    i, j, k = _places(shape, spacing_mm, middle)
    if turn is None:
        near = [np.abs(axis / one) ** np.float32(power) for axis, one in zip((i, j, k), half, strict=True)]
        summed = near[0][:, None, None] + near[1][None, :, None] + near[2][None, None, :]
    else:
        t = turn.astype(np.float32)
        own = [(i * t[0, n])[:, None, None] + (j * t[1, n])[None, :, None] + (k * t[2, n])[None, None, :] for n in range(3)]
        summed = sum((np.abs(axis / np.float32(one)) ** np.float32(power) for axis, one in zip(own, half, strict=True)), np.float32(0.0))
    return np.asarray((summed ** np.float32(1.0 / power) - 1.0) * np.float32(half.min()), dtype=np.float32)


def bar(shape: tuple[int, ...], spacing_mm: Spacing, line: Float, radius: float) -> Array:
    """Distance outside a bent bar, mm.

    Parameters
    ----------
    shape : (3,) int
    spacing_mm : float, or three
    line : (n, 3) float, mm
        From the first voxel's centre.
    radius : float, mm
    """
    best = np.full(shape, np.inf, np.float32)
    for a, b in pairwise(line):
        i, j, k = _places(shape, spacing_mm, a)
        d = (b - a).astype(np.float32)
        square_of = max(float(d @ d), 1e-6)
        onto = (i * d[0])[:, None, None] + ((j * d[1])[:, None] + k * d[2])
        along = np.clip(onto / np.float32(square_of), np.float32(0.0), np.float32(1.0))
        square = (i**2)[:, None, None] + ((j**2)[:, None] + k**2)
        square += along * (along * np.float32(square_of) - 2 * onto)
        np.minimum(best, square, out=best)
    return np.asarray(np.sqrt(np.maximum(best, 0.0)) - np.float32(radius))


def _places(shape: tuple[int, ...], spacing_mm: Spacing, middle: Float) -> list[Array]:
    steps = spacing_mm if isinstance(spacing_mm, tuple) else (spacing_mm,) * 3
    return [((np.arange(side) * step - at).astype(np.float32)) for side, step, at in zip(shape, steps, middle, strict=True)]
