"""Simple bones on a grid: rounded blocks and bent bars, with a cortex around spongy bone."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float32]
Float = NDArray[np.float64]
Spacing = float | tuple[float, float, float]
"""Of cubic voxels, or along each axis."""

SPONGY_HU, CORTEX_HU, CORTEX_MM = (80.0, 350.0), (300.0, 900.0), 1.2
TEXTURE_HU, TEXTURE_MM = (5.0, 45.0), 1.4


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
    across: float | Array
    if isinstance(spacing_mm, tuple):  # how the depth changes from voxel to voxel
        steps = [np.gradient(depth, axis=axis) for axis in range(3) if depth.shape[axis] > 1]
        across = np.sqrt(sum((step**2 for step in steps), np.float32(1e-6)))
    else:
        across = spacing_mm
    whole = np.clip(0.5 - depth / across, 0.0, 1.0) * ~keep
    inner = np.clip(0.5 - (depth + CORTEX_MM) / across, 0.0, 1.0) * ~keep
    hu += (inner * spongy + (whole - inner) * cortex - whole * hu).astype(np.float32)


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
