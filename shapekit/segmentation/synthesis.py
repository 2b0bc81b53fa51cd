"""Training patches without patients: phantoms' CTs whose looks are drawn at random, so that a network learns shapes and not a simulator.

A ``Volume`` is one phantom on the working grid, drawn once. A patch is cut out of it turned, scaled and mirrored; bones, soft tissue
and air then get other intensities, and bars, blobs, screws, cement, gradients, blur, thick slices and noise are added [all ranges
assumed]. The memory holds what a traversal from the head downward would have found by then.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator, SeedSequence
from numpy.typing import NDArray
from scipy import ndimage

from shapekit.core.grid import Grid
from shapekit.phantom import acquire, draw_look, draw_patient, patient_generator, random_rotation, scan_grid, simulate_ct
from shapekit.segmentation.labelling import VALUES, vote_of
from shapekit.segmentation.looks import add_things, beyond_the_ends, new_intensities, worse_scanner
from shapekit.segmentation.working import AIR_HU, scaled

Array = NDArray[np.float32]
Float = NDArray[np.float64]

MARGIN_MM = 36.0
TILT_DEG = 12.0
STREAM = 3
"""Of a phantom's random numbers: those of its place and look here, beside those of cohorts."""
EMPTY_SHARE = 1 / 3
COMPLETE_FROM = 0.98
VISIBLE_MM3 = 500.0
"""A body of which less is visible in a patch is not looked for there."""
CUT_SHARE, SIDE_CUT_SHARE = 0.4, 0.1
"""How often the field of view ends within the spine, and how often beside it."""
EXACT_MEMORY = 0.4
TURN_DEG, ZOOM = 8.0, 0.12
LEVELS = {value: level for level, value in VALUES.items()}


@dataclass(frozen=True, eq=False)
class Volume:
    """One phantom, or one scan whose bodies are known, on the working grid; its axes stand for right, anterior and superior.

    Parameters
    ----------
    hu : (i, j, k) int16
        Its CT; a phantom's without noise.
    labels : (i, j, k) uint8
        Which vertebra's body a voxel touches: VerSe's values.
    body, bone : (i, j, k) uint8
        Share of a voxel that is vertebral body, or any part of a vertebra; 255 is all.
    spacing_mm : float
    partial : frozenset of int
        Label values of bodies of which the scan itself shows a part only.
    """

    hu: NDArray[np.int16]
    labels: NDArray[np.uint8]
    body: NDArray[np.uint8]
    bone: NDArray[np.uint8]
    spacing_mm: float
    partial: frozenset[int] = frozenset()

    def order(self) -> list[int]:
        """Label values from the head downward."""
        return sorted((int(value) for value in np.unique(self.labels) if value), key=lambda value: LEVELS[value].rank)


@dataclass(frozen=True, eq=False)
class Sample:
    """A patch to learn from.

    Parameters
    ----------
    image : (P, P, P) float32
        Scaled intensities.
    memory : (P, P, P) float32
        1 where a body was segmented already.
    target : (P, P, P) float32
        Share of each voxel that belongs to the next body; all 0 where there is none.
    complete : float
        1 where at least 98 % of the body is visible, else 0.
    value : float
        Its level's vote; 0 where there is no body.
    """

    image: Array
    memory: Array
    target: Array
    complete: float
    value: float


def draw_volume(index: int, *, seed: int, spacing_mm: float = 2.0) -> Volume:
    """Draw phantom ``index`` of a seed.

    Parameters
    ----------
    index, seed : int
    spacing_mm : float

    Returns
    -------
    Volume

    Examples
    --------
    >>> volume = draw_volume(0, seed=1, spacing_mm=4.0)
    >>> volume.hu.shape == volume.body.shape, len(volume.order()) >= 15
    (True, True)
    """
    patient = draw_patient(patient_generator(seed, index))
    generator = np.random.default_rng(SeedSequence(seed, spawn_key=(index, STREAM)))
    grid = scan_grid(patient, spacing_mm, margin_mm=MARGIN_MM, rotation=random_rotation(TILT_DEG, generator=generator))
    affine = grid.affine.copy()
    affine[:3, :3] /= 2
    affine[:3, 3] = grid.to_world((-0.25, -0.25, -0.25))
    i, j, k = grid.shape
    scan = acquire(patient, Grid((2 * i, 2 * j, 2 * k), affine), generator=generator, noise_mm=0.0, defects=0.0)
    assert scan.labels.body_mask is not None
    of_body = np.where(scan.labels.body_mask, scan.labels.array, 0).reshape(i, 2, j, 2, k, 2)
    bone = (scan.labels.array > 0).reshape(i, 2, j, 2, k, 2)
    look = replace(draw_look(patient, generator=generator), noise_hu=0.0)
    hu = simulate_ct(patient, grid, look, generator=generator).array.astype(np.float32)
    labels = of_body.max(axis=(1, 3, 5)).astype(np.uint8)
    beyond_the_ends(hu, labels, spacing_mm, generator)
    share = ((of_body > 0).mean(axis=(1, 3, 5), dtype=np.float32) * 255).round().astype(np.uint8)
    whole = (bone.mean(axis=(1, 3, 5), dtype=np.float32) * 255).round().astype(np.uint8)
    return Volume(np.rint(hu).astype(np.int16), labels, share, whole, spacing_mm)


def draw_sample(volume: Volume, patch: int, *, generator: Generator) -> Sample:
    """Draw one patch of a phantom as a traversal would meet it; one in three shows nothing that is left to find.

    Parameters
    ----------
    volume : Volume
    patch : int
        Voxels along each side.
    generator : numpy.random.Generator

    Returns
    -------
    Sample
    """
    order = volume.order()
    low, high = _field_of_view(volume, order, generator)
    empty = generator.random() < EMPTY_SHARE
    seen = len(order) if empty else int(generator.integers(len(order)))
    maps = _view(generator)
    if empty and generator.random() < 0.5:
        middle = generator.uniform(low, high)  # anywhere
    else:
        middle = _aim(volume, order[min(seen, len(order) - 1)], patch, low, high, generator)
    offset = middle - maps @ np.full(3, (patch - 1) / 2)
    size = (patch, patch, patch)

    def cut(array: NDArray[np.generic], degree: int, beyond: float) -> Array:
        return np.asarray(ndimage.affine_transform(array, maps, offset, size, np.float32, degree, mode="constant", cval=beyond))

    axes = [np.arange(patch)[:, None] * maps[:, axis] for axis in range(3)]
    index = offset + axes[0][:, None, None] + axes[1][None, :, None] + axes[2][None, None, :]
    inside = ((index >= low - 0.5) & (index <= high + 0.5)).all(axis=-1)
    labels = np.where(inside, cut(volume.labels, 0, 0.0), 0.0).astype(np.uint8)
    body, bone = (np.where(inside, cut(part, 1, 0.0) / 255, 0).astype(np.float32) for part in (volume.body, volume.bone))
    target, label = _next_body(volume, labels, body, order[seen:], maps)
    complete, value = 0.0, 0.0
    if label:
        complete = float(label not in volume.partial and _visible(volume, label, low, high, maps, offset, patch) >= COMPLETE_FROM)
        value = vote_of(LEVELS[label])
    memory = np.zeros(size, np.float32)
    for label in order[:seen]:
        own = labels == label
        if own.any():
            memory[_remembered(np.where(own, body, np.float32(0.0)), generator) & (target < 0.5)] = 1.0
    hu = new_intensities(cut(volume.hu, 1, AIR_HU), body, bone, generator)
    add_things(hu, bone, volume.spacing_mm, generator)
    hu = worse_scanner(hu, generator)
    hu[~inside] = AIR_HU
    flip = slice(None, None, -1) if generator.random() < 0.5 else slice(None)
    image, memory, target = (np.ascontiguousarray(part[flip]) for part in (scaled(hu), memory, target))
    return Sample(image, memory, target, complete, value)


def _view(generator: Generator) -> Float:
    """How a patch lies in a volume: slightly turned and scaled, (3, 3)."""
    return np.asarray(random_rotation(TURN_DEG, generator=generator) * generator.uniform(1 - ZOOM, 1 + ZOOM))


def _field_of_view(volume: Volume, order: list[int], generator: Generator) -> tuple[Float, Float]:
    """First and last voxel that the scanner sees."""
    low, high = np.zeros(3), np.array(volume.hu.shape) - 1.0
    if generator.random() < CUT_SHARE:
        spans = [np.flatnonzero((volume.labels == label).any(axis=(0, 1))) for label in generator.choice(order, 2)]
        ends = sorted(float(generator.uniform(span[0], span[-1] + 1)) for span in spans)
        which = generator.integers(3)  # below, above or both
        low[2] = np.floor(ends[0]) if which != 1 else low[2]
        high[2] = np.ceil(ends[1]) if which != 0 else high[2]
        if high[2] - low[2] < 40.0 / volume.spacing_mm:
            high[2] = volume.hu.shape[2] - 1.0
    if generator.random() < SIDE_CUT_SHARE:
        axis = int(generator.integers(2))
        middle = (volume.hu.shape[axis] - 1) / 2
        low[axis] = np.floor(generator.uniform(0.0, middle))
    return low, high


def _aim(volume: Volume, label: int, patch: int, low: Float, high: Float, generator: Generator) -> Float:
    """Middle of a patch about a body: as near as when a traversal stands still, or as far off as when it slides."""
    where = np.argwhere(volume.labels == label)
    where = where[((where >= low) & (where <= high)).all(axis=1)]
    centre = where.mean(axis=0) if len(where) else np.clip(np.argwhere(volume.labels == label).mean(axis=0), low, high)
    if generator.random() < 0.6:
        return np.asarray(centre + generator.normal(0.0, 1.5, 3))
    return np.asarray(centre + generator.uniform(-0.55, 0.55, 3) * patch)


def _next_body(volume: Volume, labels: NDArray[np.uint8], body: Array, left: list[int], maps: Float) -> tuple[Array, int]:
    """Find the first body from above of which enough is visible; its shares and its label, 0 for none."""
    scale = abs(float(np.linalg.det(maps)))
    for label in left:
        target = np.where(labels == label, body, np.float32(0.0))
        if float(target.sum()) * scale * volume.spacing_mm**3 >= VISIBLE_MM3:
            return target, label
    return np.zeros_like(body), 0


def _visible(volume: Volume, label: int, low: Float, high: Float, maps: Float, offset: Float, patch: int) -> float:
    """Share of a body that lies both in the field of view and in a patch, told from the volume: a patch's interpolated shares lose its rim."""
    where = np.argwhere(volume.labels == label)
    weight = volume.body[tuple(where.T)].astype(np.float64)
    index = (where - offset) @ np.linalg.inv(maps).T
    inside = ((where >= low - 0.5) & (where <= high + 0.5)).all(axis=1) & ((index >= -0.5) & (index <= patch - 0.5)).all(axis=1)
    return float(weight[inside].sum() / weight.sum())


def _remembered(share: Array, generator: Generator) -> NDArray[np.bool_]:
    """What a segmentation makes of a body: exact, too large or small, displaced, or rough."""
    kind = generator.random()
    if kind < EXACT_MEMORY:
        return share > 0.5
    if kind < 0.6:
        share = np.roll(share, int(generator.integers(-1, 2)), int(generator.integers(3)))
    elif kind < 0.8:
        rough = ndimage.gaussian_filter(generator.standard_normal(share.shape, dtype=np.float32), 1.5)
        share = ndimage.gaussian_filter(share, 0.7) + 4.0 * rough * (share > 0)
    return np.asarray(share > generator.uniform(0.25, 0.8))
