"""Random looks of a part of a CT: tissues' intensities, things that lie about, and scanners; all in Hounsfield units, all ranges assumed."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

from shapekit.segmentation.bones import bar, block, put_bone

Array = NDArray[np.float32]

KNOTS_HU = np.array([-1024.0, -850.0, -100.0, 30.0, 80.0, 200.0, 900.0, 3000.0])
KNOT_SD = np.array([0.0, 60.0, 50.0, 25.0, 25.0, 50.0, 200.0, 0.0])


def new_intensities(hu: Array, body: Array, bone: Array, generator: Generator) -> Array:
    """Give bones and tissues other intensities.

    Parameters
    ----------
    hu : (i, j, k) float32
    body, bone : (i, j, k) float32
        Share of each voxel that is vertebral body, or any part of a vertebra.
    generator : numpy.random.Generator

    Returns
    -------
    (i, j, k) float32
    """
    if generator.random() < 0.6:
        hu = hu + body * np.float32(generator.normal(0.0, 60.0)) + (bone - body) * np.float32(generator.normal(0.0, 80.0))
    values = KNOTS_HU.copy()
    kind = generator.random()
    if kind < 0.6:
        values += generator.normal(0.0, 1.0, len(values)) * KNOT_SD
    elif kind < 0.75:  # soft tissue of any order; bone stays the brightest
        values[1:5] = generator.uniform(-900.0, 120.0, 4)
    hu = np.interp(hu, KNOTS_HU, values).astype(np.float32)
    if generator.random() < 0.3:  # contrast agent or scanner: a gain about water
        hu *= np.float32(generator.uniform(0.85, 1.2))
    if generator.random() < 0.4:
        slope = generator.normal(0.0, 25.0, 3)
        i, j, k = (np.linspace(-1.0, 1.0, side) * one for side, one in zip(hu.shape, slope, strict=True))
        hu += (i[:, None, None] + j[None, :, None] + k[None, None, :]).astype(np.float32)
    return hu


def add_things(hu: Array, bone: Array, spacing_mm: float, generator: Generator) -> None:
    """Draw ribs, blobs of tissue, screws, rods and cement; writes into ``hu``.

    Parameters
    ----------
    hu, bone : (i, j, k) float32
        See ``new_intensities``; all but metal and cement stay outside bones.
    spacing_mm : float
    generator : numpy.random.Generator
    """
    size = np.array(hu.shape) * spacing_mm
    solid = bone > 0
    for _ in range(int(generator.poisson(1.0))):
        half = generator.uniform(5.0, 25.0, 3)
        depth = block(hu.shape, spacing_mm, generator.uniform(0.0, 1.0, 3) * size, half)
        share = np.clip(0.5 - depth / spacing_mm, 0.0, 1.0) * ~solid
        hu += share * (np.float32(generator.uniform(-300.0, 250.0)) - hu)
    for _ in range(int(generator.poisson(1.2))):
        start, direction = generator.uniform(0.0, 1.0, 3) * size, generator.standard_normal(3)
        bend = generator.normal(0.0, 0.006, 3)
        along = np.linspace(0.0, generator.uniform(30.0, 120.0), 7)[:, None]
        line, radius = start + along * direction / np.linalg.norm(direction) + bend * along**2, generator.uniform(2.5, 6.0)
        low = np.clip(np.floor((line.min(axis=0) - radius) / spacing_mm), 0, hu.shape).astype(int)
        high = np.clip(np.ceil((line.max(axis=0) + radius) / spacing_mm) + 1, low, hu.shape).astype(int)
        box = tuple(slice(*ends) for ends in zip(low, high, strict=True))  # holds a voxel at least: the line begins in the patch
        put_bone(hu[box], bar(hu[box].shape, spacing_mm, line - low * spacing_mm, radius), spacing_mm, solid[box], generator)
    if generator.random() < 0.06:
        for _ in range(int(generator.integers(1, 4))):
            middle, direction = generator.uniform(0.25, 0.75, 3) * size, generator.standard_normal(3)
            half = generator.uniform(15.0, 40.0) * direction / np.linalg.norm(direction)
            depth = bar(hu.shape, spacing_mm, np.stack([middle - half, middle + half]), generator.uniform(2.0, 3.5))
            hu += np.clip(0.5 - depth / spacing_mm, 0.0, 1.0) * (np.float32(generator.uniform(2000.0, 3000.0)) - hu)
    if generator.random() < 0.04:
        depth = block(hu.shape, spacing_mm, generator.uniform(0.3, 0.7, 3) * size, generator.uniform(4.0, 10.0, 3))
        hu += np.clip(0.5 - depth / spacing_mm, 0.0, 1.0) * (np.float32(generator.uniform(900.0, 1800.0)) - hu)


def worse_scanner(hu: Array, generator: Generator) -> Array:
    """Blur, thick slices and noise; (i, j, k) → the same."""
    if generator.random() < 0.5:
        hu = ndimage.gaussian_filter(hu, generator.uniform(0.0, 0.9, 3))
    if generator.random() < 0.3:
        hu = ndimage.uniform_filter1d(hu, int(generator.integers(2, 4)), axis=int(generator.integers(3)))
    noise = generator.standard_normal(hu.shape, dtype=np.float32)
    if generator.random() < 0.6:
        noise = ndimage.gaussian_filter(noise, generator.uniform(0.3, 0.8))
        noise /= max(float(noise.std()), 1e-6)
    return np.asarray(hu + noise * np.float32(np.exp(generator.uniform(np.log(3.0), np.log(90.0)))), dtype=np.float32)
