"""Training patches without patients: phantoms' CTs whose looks are drawn at random, so that a network learns shapes and not a simulator.

A patch is cut out of a ``Volume`` turned, scaled and mirrored; bones, soft tissue and air then get other intensities, and bars, blobs,
screws, cement, gradients, blur, thick slices and noise are added [all ranges assumed]. Fields of view end anywhere; the bodies at their ends, the
hardest and the rarest, are drawn more often than others. The memory holds what a traversal from the head downward would have found by then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

from shapekit.core.grid import Grid
from shapekit.ops.sampling import resample_field
from shapekit.phantom import random_rotation
from shapekit.segmentation.labelling import vote_of
from shapekit.segmentation.looks import add_things, new_intensities, worse_scanner
from shapekit.segmentation.volume import LEVELS, Volume
from shapekit.segmentation.working import AIR_HU, scaled

Array = NDArray[np.float32]
Float = NDArray[np.float64]

EMPTY_SHARE = 1 / 3
COMPLETE_FROM = 0.98
VISIBLE_MM3 = 500.0
"""A body of which less is visible in a patch is not looked for there."""
CUT_SHARE, SIDE_CUT_SHARE, CUT_TILT_DEG = 0.5, 0.1, 12.0
"""How often the field of view ends within the spine and beside it, and how oblique it may be."""
BEYOND = 0.4
"""Fields of view end within a body or up to this share of its height beyond it, in a disc or just outside the spine."""
LEAST_VIEW_MM = 40.0
END_SHARE = 0.4
"""How often the first or the last body in view is looked for, rather than any."""
EXACT_MEMORY = 0.4
MISSED_SHARE = 0.1
"""How often memory lacks one of the last bodies, which then is the one to find."""
TURN_DEG, ZOOM = 8.0, 0.12


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


@dataclass(frozen=True, eq=False)
class Sampled:
    """What a lattice shows of a volume; all of the lattice's shape.

    Parameters
    ----------
    hu : float32
    labels : uint8
        0 beyond the field of view, as are ``body`` and ``bone``.
    body, bone : float32
        Shares, 0-1.
    inside : bool
        The field of view.
    """

    hu: Array
    labels: NDArray[np.uint8]
    body: Array
    bone: Array
    inside: NDArray[np.bool_]

    def looked(self, spacing_mm: float, generator: Generator) -> Array:
        """Return scaled intensities with a random look; air beyond the field of view."""
        hu = new_intensities(self.hu, self.body, self.bone, generator)
        add_things(hu, self.bone, spacing_mm, generator)
        hu = worse_scanner(hu, generator)
        hu[~self.inside] = AIR_HU
        return scaled(hu)


def sampled(volume: Volume, lattice: Grid, view: Float) -> Sampled:
    """Cut out of a volume what a lattice of its voxels shows within a field of view.

    Parameters
    ----------
    volume : Volume
    lattice : Grid
        In the volume's voxels.
    view : (m, 4) float
        See ``field_of_view``.

    Returns
    -------
    Sampled
    """
    inside = np.all([_along(lattice, plane[:3]) >= -plane[3] for plane in view], axis=0)
    box, start = _around(lattice, volume.hu.shape)
    source = Grid(volume.hu.shape, np.eye(4)).crop(start, volume.hu[box].shape)

    def cut(array: NDArray[np.generic]) -> Array:
        return resample_field(np.ascontiguousarray(array[box], np.float32), source, lattice, adds_way=False)

    axes, sides = np.eye(3), source.shape
    nearest = [np.clip(np.rint(_along(lattice, axes[n]) - start[n]).astype(np.int32), 0, side - 1) for n, side in enumerate(sides)]
    labels = np.where(inside, volume.labels[box].take((nearest[0] * sides[1] + nearest[1]) * sides[2] + nearest[2]), 0)
    body, bone = (np.where(inside, cut(part) / np.float32(255), np.float32(0.0)) for part in (volume.body, volume.bone))
    return Sampled(cut(volume.hu), labels, body, bone, inside)


def draw_looks(volume: Volume, patch: int, *, generator: Generator) -> tuple[Sample, Sample]:
    """Draw one view of a phantom as a traversal would meet it, with two memories; one view in three shows nothing that is left to find.

    Parameters
    ----------
    volume : Volume
    patch : int
        Voxels along each side.
    generator : numpy.random.Generator

    Returns
    -------
    first, second : Sample
        Of one image: the second as after the first one's body was accepted; where there was none, as before the last one in the patch was.
        Twice the same where the patch shows no body.
    """
    view = field_of_view(volume, generator)
    shown = shown_bodies(volume, view)
    empty = not shown or generator.random() < EMPTY_SHARE
    if empty:
        seen = len(volume.order)
    else:
        ends = generator.random() < END_SHARE
        seen = int(generator.choice([shown[0], shown[-1]] if ends else shown))
    known = [volume.order[n] for n in shown if n < seen]
    left = list(volume.order[seen:])
    if known and not empty and generator.random() < MISSED_SHARE:
        left.insert(0, known.pop(-int(generator.integers(1, min(len(known), 2) + 1))))
    maps = _view(generator)
    if empty and (not shown or generator.random() < 0.4):
        places = generator.uniform(0.0, volume.hu.shape, (20, 3))
        middle = next((place for place in places if _inside(place, view)), places[0])  # anywhere in view
    else:
        middle = _aim(volume, volume.order[min(seen, shown[-1])], patch, view, generator, below=empty)
    onto = np.eye(4)
    onto[:3, :3], onto[:3, 3] = maps, middle - maps @ np.full(3, (patch - 1) / 2)
    lattice = Grid((patch, patch, patch), onto)
    found = sampled(volume, lattice, view)
    labels, body = found.labels, found.body
    first, label = _next_body(volume, labels, body, left, maps)
    if label:
        second, other = _next_body(volume, labels, body, left[left.index(label) + 1 :], maps)
    else:
        second, other = _next_body(volume, labels, body, known[::-1], maps)
    after, masks = [*known, label] if label else known, {}
    for value in after:
        own = labels == value
        if own.any():
            masks[value] = remembered(np.where(own, body, np.float32(0.0)), generator)
    image = found.looked(volume.spacing_mm, generator)
    flip = slice(None, None, -1) if generator.random() < 0.5 else slice(None)

    def look(target: Array, value: int, recalled: Sequence[int]) -> Sample:
        memory = np.zeros(lattice.shape, np.float32)
        for one in recalled:
            if one in masks:
                memory[masks[one] & (target < 0.5)] = 1.0
        complete = bool(value) and value not in volume.partial and _visible(volume, value, view, lattice) >= COMPLETE_FROM
        image_of, memory, target = (np.ascontiguousarray(part[flip]) for part in (image, memory, target))
        return Sample(image_of, memory, target, float(complete), vote_of(LEVELS[value]) if value else 0.0)

    before = known[: known.index(other)] if other in known else known
    return look(first, label, known), look(second, other, after if label else before)


def _view(generator: Generator) -> Float:
    """How a patch lies in a volume: slightly turned and scaled, (3, 3), patch voxels to volume voxels."""
    return np.asarray(random_rotation(TURN_DEG, generator=generator) * generator.uniform(1 - ZOOM, 1 + ZOOM))


def field_of_view(volume: Volume, generator: Generator) -> Float:
    """Half spaces that the scanner sees, (m, 4): a b c d with a x + b y + c z + d >= 0 of voxels x y z."""
    last = np.array(volume.hu.shape) - 1.0
    planes = [*np.hstack([np.eye(3), np.full((3, 1), 0.5)]), *np.hstack([-np.eye(3), last[:, None] + 0.5])]
    if generator.random() < CUT_SHARE:
        normal = random_rotation(CUT_TILT_DEG, generator=generator)[:, 2]
        ends = []
        for label in generator.choice(volume.order, 2):
            places = volume.places[int(label)][0]
            middle = places.mean(axis=0)
            along = (places - middle) @ normal
            reach = BEYOND * np.ptp(along)
            ends.append(float(middle @ normal + generator.uniform(along.min() - reach, along.max() + reach)))
        low, high = sorted(ends)
        which = int(generator.integers(3))  # below, above or both
        if which == 2 and high - low < LEAST_VIEW_MM / volume.spacing_mm:
            which = 0
        if which != 1:
            planes.append(np.array([*normal, -low]))
        if which != 0:
            planes.append(np.array([*-normal, high]))
    if generator.random() < SIDE_CUT_SHARE:
        axis = int(generator.integers(2))
        planes.append(np.array([*np.eye(3)[axis], -generator.uniform(0.0, last[axis] / 2)]))
    return np.stack(planes)


def _inside(points: NDArray[np.number], view: Float) -> NDArray[np.bool_]:
    """Which points (..., 3) a field of view holds."""
    return np.asarray((points @ view[:, :3].T >= -view[:, 3]).all(axis=-1))


def _along(lattice: Grid, direction: Float) -> Array:
    """How far along a direction, (3,), each of a lattice's points lies; its shape."""
    i, j, k = (
        np.float32(step) * np.arange(side, dtype=np.float32) for step, side in zip(direction @ lattice.affine[:3, :3], lattice.shape, strict=True)
    )
    return np.asarray((i + np.float32(direction @ lattice.affine[:3, 3]))[:, None, None] + (j[:, None] + k))


def shown_bodies(volume: Volume, view: Float) -> list[int]:
    """Which bodies, by their place from above, a field of view holds enough of."""
    where, share = (np.concatenate(parts) for parts in zip(*(volume.places[label] for label in volume.order), strict=True))
    starts = np.cumsum([0, *(len(volume.places[label][1]) for label in volume.order[:-1])])
    held = np.add.reduceat(share * _inside(where.astype(np.float32), view.astype(np.float32)), starts) * volume.spacing_mm**3
    return np.flatnonzero(held >= VISIBLE_MM3).tolist()


def _around(lattice: Grid, shape: tuple[int, ...]) -> tuple[tuple[slice, ...], NDArray[np.int64]]:
    """Part of a volume that a lattice lies in, at least a voxel of it, and where it begins."""
    corners = lattice.to_world(np.array(np.meshgrid(*((0, side - 1) for side in lattice.shape))).reshape(3, -1).T)
    low = np.clip(np.floor(corners.min(axis=0)).astype(np.int64), 0, np.array(shape) - 1)
    high = np.clip(np.ceil(corners.max(axis=0)).astype(np.int64) + 1, low + 1, shape)
    return tuple(slice(a, b) for a, b in zip(low, high, strict=True)), low


def _aim(volume: Volume, label: int, patch: int, view: Float, generator: Generator, *, below: bool) -> Float:
    """Middle of a patch about a body: as near as when a traversal stands still, or as far off as when it slides, or goes on below."""
    where, _ = volume.places[label]
    centre = where[_inside(where, view)].mean(axis=0)
    if generator.random() < 0.6 and not below:
        return np.asarray(centre + generator.normal(0.0, 1.5, 3))
    return np.asarray(centre + generator.uniform(-0.55, 0.55, 3) * patch - (0.0, 0.0, 0.3 * patch if below else 0.0))


def _next_body(volume: Volume, labels: NDArray[np.uint8], body: Array, left: Sequence[int], maps: Float) -> tuple[Array, int]:
    """Find the first body from above of which enough is visible; its shares and its label, 0 for none."""
    scale = abs(float(np.linalg.det(maps)))
    for label in left:
        target = np.where(labels == label, body, np.float32(0.0))
        if float(target.sum()) * scale * volume.spacing_mm**3 >= VISIBLE_MM3:
            return target, label
    return np.zeros_like(body), 0


def _visible(volume: Volume, label: int, view: Float, lattice: Grid) -> float:
    """Share of a body that lies both in the field of view and in a patch, told from the volume: a patch's interpolated shares lose its rim."""
    where, share = volume.places[label]
    index = lattice.to_index(where)
    inside = _inside(where, view) & ((index >= -0.5) & (index <= np.array(lattice.shape) - 0.5)).all(axis=1)
    return float(share[inside].sum() / share.sum())


def remembered(share: Array, generator: Generator) -> NDArray[np.bool_]:
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
