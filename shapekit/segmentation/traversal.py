"""From one end of the spine to the other: find a body, centre on it, keep it in memory, look for the next (Lessmann et al. 2019, section 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from shapekit.segmentation.working import OUTSIDE

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Index = NDArray[np.int64]

FIRST_MM3, LEAST_MM3 = 1000.0, 500.0
"""A fragment of this volume is worth centring on; a body smaller than this is none."""
STILL, MOVES = 2, 10
"""A patch that moves by no more voxels stands still; it moves no more often."""
MOST_BODIES = 25
"""C1 to L6."""
THRESHOLD = 0.5


@dataclass(frozen=True, eq=False)
class Sight:
    """What is seen in one patch.

    Parameters
    ----------
    probability : (P, P, P) float32
        Of each voxel's belonging to the next body that is not in memory.
    complete : float
        Probability that it is wholly visible.
    value : float
        Its level: C1 = 1 ... T12 = 19, L1 = 20 ... L6 = 25.
    """

    probability: Array
    complete: float
    value: float


Eye = Callable[[Array, Mask, Index], Sight]
"""Image (P, P, P), memory (P, P, P) and where the patch begins on the working grid → Sight; networks do not use the last."""


@dataclass(frozen=True, eq=False)
class Piece:
    """One body as the traversal found it.

    Parameters
    ----------
    start : (3,) int
        Where its patch begins on the working grid.
    probability : (P, P, P) float32
        Of one connected body and the voxels around it; 0 elsewhere.
    volume_mm3 : float
    complete, value : float
        See ``Sight``.
    confidence : float
        Mean probability of its voxels.
    """

    start: Index
    probability: Array
    volume_mm3: float
    complete: float
    value: float
    confidence: float

    @property
    def mask(self) -> Mask:
        """Voxels of its patch that are its."""
        return np.asarray(self.probability > THRESHOLD)


class Traversal:
    """One scan being gone through.

    Parameters
    ----------
    image : (i, j, k) float32
        Scaled intensities on the working grid (right, anterior, superior).
    eye : callable
        See ``Eye``.
    patch : int
        Voxels along each side of what the eye takes; even.
    spacing_mm : float
    progress : callable, optional
        Told the number of bodies found, after each.
    """

    def __init__(self, image: Array, eye: Eye, *, patch: int, spacing_mm: float, progress: Callable[[int], None] | None = None) -> None:
        self.image, self.eye, self.patch, self.voxel_mm3 = image, eye, patch, spacing_mm**3
        self.memory = np.zeros(image.shape, bool)
        self.found: list[Piece] = []
        self.progress = progress

    def run(self) -> list[Piece]:
        """Go from the top to the bottom, then look once more about every body for one that was missed.

        Returns
        -------
        list of Piece
            In the order in which they were found.
        """
        for start in self._everywhere():
            if self._follow(start, FIRST_MM3):
                break
        while self.found and len(self.found) < MOST_BODIES and any(self._follow(start, LEAST_MM3) for start in self._below(self.found[-1].start)):
            pass  # each time from the lowest body that is in memory
        for piece in sorted(self.found, key=lambda piece: -int(piece.start[2])):  # what was passed over: above and between them
            self._follow(piece.start + np.array([0, 0, self.patch // 4]), FIRST_MM3)
        return self.found

    def look(self, start: Index) -> Piece | None:
        """Look at one patch; return the largest connected body in it that is not in memory."""
        inside, image = self._part(self.image, start, OUTSIDE)
        _, memory = self._part(self.memory, start, False)
        sight = self.eye(image, memory, start)
        probability = np.where(inside & ~memory, sight.probability, np.float32(0.0))
        pieces, count = ndimage.label(probability > THRESHOLD, np.ones((3, 3, 3)))
        if not count:
            return None
        sizes = np.bincount(pieces.ravel())
        sizes[0] = 0
        body = pieces == int(sizes.argmax())
        near = ndimage.binary_dilation(body, np.ones((3, 3, 3))) & ((pieces == 0) | body)  # the surface lies between voxels
        return Piece(
            start,
            np.where(near, probability, np.float32(0.0)),
            float(sizes.max()) * self.voxel_mm3,
            sight.complete,
            sight.value,
            float(probability[body].mean()),
        )

    def _follow(self, start: Index, least_mm3: float) -> bool:
        """Take every body that can be reached from a place; say whether there was one."""
        before = len(self.found)
        while len(self.found) < MOST_BODIES and (piece := self.look(start)) is not None and piece.volume_mm3 >= least_mm3:
            settled = self._settle(piece)
            if settled is None or settled.volume_mm3 < LEAST_MM3:
                break
            self._accept(settled)
            start, least_mm3 = settled.start, LEAST_MM3
        return len(self.found) > before

    def _settle(self, piece: Piece) -> Piece | None:
        """Move the patch onto what it shows until it stands still."""
        for _ in range(MOVES):
            middle = np.array(ndimage.center_of_mass(piece.mask)) + piece.start
            start = np.rint(middle).astype(np.int64) - self.patch // 2
            if int(np.abs(start - piece.start).max()) <= STILL:
                return piece
            moved = self.look(start)
            if moved is None:
                return None
            piece = moved
        return piece

    def _accept(self, piece: Piece) -> None:
        low, high = np.maximum(piece.start, 0), np.minimum(piece.start + self.patch, self.image.shape)
        here = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        there = tuple(slice(a, b) for a, b in zip(low - piece.start, high - piece.start, strict=True))
        self.memory[here] |= piece.mask[there]
        self.found.append(piece)
        if self.progress is not None:
            self.progress(len(self.found))

    def _part(self, array: NDArray[Any], start: Index, beyond: float) -> tuple[Mask, NDArray[Any]]:
        """Cut a patch that may reach beyond the volume; also say which of its voxels lie within."""
        low, high = np.clip(start, 0, array.shape), np.clip(start + self.patch, 0, array.shape)
        there = tuple(slice(a, b) for a, b in zip(low - start, high - start, strict=True))
        inside = np.zeros((self.patch,) * 3, bool)
        part = np.full(inside.shape, beyond, array.dtype)
        if (high > low).all():
            inside[there] = True
            part[there] = array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        return inside, part

    def _everywhere(self) -> Iterator[Index]:
        """Places half a patch apart, from the top downward, that show more than air."""
        sides = [_steps(side, self.patch) for side in self.image.shape]
        for k in reversed(sides[2]):
            for i in sides[0]:
                for j in sides[1]:
                    start = np.array([i, j, k])
                    _, part = self._part(self.image, start, OUTSIDE)
                    if np.count_nonzero(part > AIR) * self.voxel_mm3 >= FIRST_MM3:
                        yield start

    def _below(self, place: Index) -> Iterator[Index]:
        """Places from a body downward, row by row, the nearest of each row first."""
        half = self.patch // 2
        aside = sorted(((i, j) for i in (-half, 0, half) for j in (-half, 0, half)), key=lambda step: (abs(step[0]) + abs(step[1]), step))
        k = int(place[2])
        while k > -half:
            k = max(k - half, -half)
            yield from (np.array([place[0] + i, place[1] + j, k]) for i, j in aside)


AIR = -0.75
"""Scaled intensities above this (about -190 HU) are no air."""


def _steps(side: int, patch: int) -> list[int]:
    """Where patches begin along an axis: half a patch apart, the last at the end; a short axis lies in the middle of one."""
    if side <= patch:
        return [(side - patch) // 2]
    return sorted({*range(0, side - patch, patch // 2), side - patch})
