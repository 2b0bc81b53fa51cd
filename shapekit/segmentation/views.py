"""All that a scan shows around its bodies, on 4 mm voxels: what levels are told from; of found bodies, and of volumes to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from shapekit.core.grid import Grid, voxels_of
from shapekit.core.levels import Level
from shapekit.core.values import Image
from shapekit.phantom import random_rotation
from shapekit.segmentation.synthesis import VISIBLE_MM3, field_of_view, remembered, sampled, shown_bodies
from shapekit.segmentation.traversal import Piece
from shapekit.segmentation.volume import LEVELS, Volume
from shapekit.segmentation.working import scaled, to_working

Array = NDArray[np.float32]
Float = NDArray[np.float64]

VIEW_MM = 4.0
ACROSS, STEP = 48, 16
"""Voxels of a view from side to side and from front to back; its height is a multiple of the other."""
OVER_MM, UNDER_MM = 48.0, 64.0
"""How far a view goes on above and below the bodies, at least below."""
TURN_DEG, ZOOM, SHIFT_MM = 8.0, 0.05, 8.0
"""How views to learn from are turned, scaled and shifted; sizes tell levels, so that they are left nearly as they are."""
NARROW_SHARE, NARROW_MM = 0.3, (35.0, 90.0)
"""How often, and how far from the bodies' middle, a field of view ends on both sides, and how often both before and behind them."""
LOST_ABOVE, LOST_BELOW, SACRAL_SHARE = 0.12, 0.06, 0.1
"""How often the uppermost or the lowest body was not found, and a part of the sacrum was taken for one."""
INNER_SHARE = 0.25
"""How often a field of view has to show neither the first nor the last body, for least of all tells levels there; where no try does, all is shown."""
TRIES = 20


@dataclass(frozen=True, eq=False)
class View:
    """A scan around its bodies.

    Parameters
    ----------
    image : (48, 48, K) float32
        Scaled intensities; right, anterior, superior.
    bodies : (48, 48, K) uint8
        Which body a voxel belongs to, 1 ... n from the head downward; 0: none.
    count : int
        n.
    levels : tuple of Level or None
        What they are, where it is known; None: a part of the sacrum.
    """

    image: Array
    bodies: NDArray[np.uint8]
    count: int
    levels: tuple[Level | None, ...] = ()


def view_grid(places: Sequence[Float]) -> Grid:
    """Lay a view around bodies; their points along right, anterior and superior, each (n, 3) mm → its grid."""
    middle = np.mean([points.mean(axis=0) for points in places], axis=0)
    low, high = min(float(points[:, 2].min()) for points in places), max(float(points[:, 2].max()) for points in places)
    height = int(np.ceil((high - low + OVER_MM + UNDER_MM) / VIEW_MM / STEP)) * STEP
    affine = np.diag([VIEW_MM, VIEW_MM, VIEW_MM, 1.0])
    affine[:2, 3] = middle[:2] - VIEW_MM * (ACROSS - 1) / 2
    affine[2, 3] = high + OVER_MM - VIEW_MM * (height - 1)
    return Grid((ACROSS, ACROSS, height), affine)


def view_of_pieces(working: Image, pieces: Sequence[Piece]) -> View:
    """Look at what a traversal found.

    Parameters
    ----------
    working : Image
        Hounsfield units on the working grid.
    pieces : sequence of Piece
        From the head downward, at least one.

    Returns
    -------
    View
        Without levels.
    """
    places = [working.grid.to_world(voxels_of(piece.mask) + piece.start) for piece in pieces]
    grid = view_grid(places)
    bodies, most = np.zeros(grid.shape, np.uint8), np.zeros(grid.shape, np.float32)
    for n, points in enumerate(places, start=1):
        index = np.rint(grid.to_index(points)).astype(np.int64)
        index = index[((index >= 0) & (index < grid.shape)).all(axis=1)]
        share = np.zeros(grid.shape, np.float32)
        np.add.at(share, tuple(index.T), np.float32(working.grid.voxel_mm3 / grid.voxel_mm3))
        here = (share > most) & (share >= min(0.5, float(share.max())))  # a voxel at least, also of a sliver
        bodies[here], most[here] = n, share[here]
    return View(scaled(to_working(working, VIEW_MM, onto=grid).array), bodies, len(pieces))


def draw_view(volume: Volume, *, generator: Generator) -> View:
    """Draw one view of a phantom or scan with a random field of view and look, and its bodies as a traversal might have found them.

    Parameters
    ----------
    volume : Volume
        On 4 mm voxels; see ``Volume.coarser``.
    generator : numpy.random.Generator

    Returns
    -------
    View
        With levels.
    """
    view, shown = _field(volume, generator)
    if len(shown) > 1 and generator.random() < LOST_ABOVE:
        shown = shown[1:]
    if len(shown) > 1 and generator.random() < LOST_BELOW:
        shown = shown[:-1]
    maps = random_rotation(TURN_DEG, generator=generator) * generator.uniform(1 - ZOOM, 1 + ZOOM)
    back = np.linalg.inv(maps)
    values = [volume.order[n] for n in shown]
    places = []
    for value in values:
        where = volume.places[value][0].astype(np.float64)
        held = (where @ view[:, :3].T >= -view[:, 3]).all(axis=1)
        places.append(where[held] @ back.T * VIEW_MM)
    grid = view_grid(places)
    affine = np.eye(4)
    affine[:3, :3] = maps
    affine[:3, 3] = maps @ (grid.affine[:3, 3] + generator.uniform(-SHIFT_MM, SHIFT_MM, 3)) / VIEW_MM
    lattice = Grid(grid.shape, affine)
    seen = sampled(volume, lattice, view)
    bodies, levels = np.zeros(grid.shape, np.uint8), list[Level | None](LEVELS[value] for value in values)
    for n, value in enumerate(values, start=1):
        share = np.where(seen.labels == value, seen.body, np.float32(0.0))
        known = remembered(share, generator)
        bodies[known if known.any() else (share > 0) & (share >= share.max())] = n
    if levels[-1] in (Level.L5, Level.L6) and shown[-1] == len(volume.order) - 1 and len(values) > 1 and generator.random() < SACRAL_SHARE:
        own = voxels_of(bodies == len(values)) + np.rint((places[-1].mean(axis=0) - places[-2].mean(axis=0)) / VIEW_MM).astype(np.int64)
        own = own[((own >= 0) & (own < grid.shape)).all(axis=1)]
        own = own[(bodies[tuple(own.T)] == 0) & seen.inside[tuple(own.T)]]
        if len(own) * VIEW_MM**3 >= VISIBLE_MM3:
            bodies[tuple(own.T)] = len(values) + 1
            levels.append(None)
    image = seen.looked(VIEW_MM, generator)
    flip = slice(None, None, -1) if generator.random() < 0.5 else slice(None)
    return View(np.ascontiguousarray(image[flip]), np.ascontiguousarray(bodies[flip]), len(levels), tuple(levels))


def _field(volume: Volume, generator: Generator) -> tuple[Float, list[int]]:
    """A field of view that holds a body at least, as half spaces, and the places from above of those that it holds."""
    inner = len(volume.order) > 2 and generator.random() < INNER_SHARE
    for _ in range(TRIES):
        view = field_of_view(volume, generator)
        middle = np.mean([volume.places[value][0].mean(axis=0) for value in volume.order], axis=0)
        for axis in (0, 1):
            if generator.random() < NARROW_SHARE:
                ends = middle[axis] + np.array([-1, 1]) * generator.uniform(*NARROW_MM, 2) / volume.spacing_mm
                view = np.vstack([view, [*np.eye(3)[axis], -ends[0]], [*-np.eye(3)[axis], ends[1]]])
        shown = shown_bodies(volume, view)
        if shown and not (inner and (shown[0] == 0 or shown[-1] == len(volume.order) - 1)):
            rows = np.split(shown, np.flatnonzero(np.diff(shown) != 1) + 1)
            return view, max(rows, key=len).tolist()  # a curved spine may leave a narrow field of view and come back
    last = np.array(volume.hu.shape) - 0.5
    whole = np.vstack([np.hstack([np.eye(3), np.full((3, 1), 0.5)]), np.hstack([-np.eye(3), last[:, None]])])
    return whole, list(range(len(volume.order)))
