"""One phantom, or one scan whose bodies are known, on the working grid: what views to learn from are cut out of.

A phantom is drawn once, with the bones beside its spine; looks, fields of view and scanners come with each view.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.random import SeedSequence
from numpy.typing import NDArray
from scipy import ndimage

from shapekit.core.grid import Grid, voxels_of
from shapekit.phantom import acquire, draw_look, draw_patient, patient_generator, random_rotation, scan_grid, simulate_ct
from shapekit.segmentation.labelling import VALUES
from shapekit.segmentation.surroundings import ABOVE_MM, BELOW_MM, surround

Array = NDArray[np.float32]

MARGIN_MM = 36.0
TILT_DEG = 12.0
STREAM = 3
"""Of a phantom's random numbers: those of its place and look here, beside those of cohorts."""
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

    @cached_property
    def order(self) -> tuple[int, ...]:
        """Label values from the head downward."""
        return tuple(sorted((int(value) for value in np.unique(self.labels) if value), key=lambda value: LEVELS[value].rank))

    @cached_property
    def places(self) -> dict[int, tuple[NDArray[np.int16], Array]]:
        """By label value: the voxels that a body touches, (n, 3), and how much of each is body, (n,)."""
        found = {}
        for value, box in enumerate(ndimage.find_objects(self.labels), start=1):
            if box is not None:
                where = voxels_of(self.labels[box] == value) + [part.start for part in box]
                found[value] = where.astype(np.int16), self.body[tuple(where.T)].astype(np.float32) / 255
        return found

    def coarser(self, times: int) -> Volume:
        """Return the mean of blocks of so many voxels along each side; labels: the largest in a block, as where a phantom is drawn."""
        sides = [side // times for side in self.hu.shape]
        blocks = tuple(part for side in sides for part in (side, times))

        def over(array: NDArray[np.generic]) -> NDArray[np.generic]:
            return array[tuple(slice(side * times) for side in sides)].reshape(blocks)

        hu, body, bone = (np.rint(over(part).mean(axis=(1, 3, 5), dtype=np.float32)).astype(part.dtype) for part in (self.hu, self.body, self.bone))
        return Volume(hu, over(self.labels).max(axis=(1, 3, 5)), body, bone, self.spacing_mm * times, self.partial)


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
    >>> volume.hu.shape == volume.body.shape, len(volume.order) >= 15
    (True, True)
    """
    patient = draw_patient(patient_generator(seed, index))
    generator = np.random.default_rng(SeedSequence(seed, spawn_key=(index, STREAM)))
    grid = scan_grid(patient, spacing_mm, margin_mm=MARGIN_MM, rotation=random_rotation(TILT_DEG, generator=generator))
    below, above = (round((reach - MARGIN_MM) / spacing_mm) for reach in (BELOW_MM, ABOVE_MM))
    grid = grid.crop((0, 0, -below), (*grid.shape[:2], grid.shape[2] + below + above))
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
    surround(hu, patient, grid, np.asarray(bone.any(axis=(1, 3, 5))), generator)
    labels = of_body.max(axis=(1, 3, 5)).astype(np.uint8)
    share = ((of_body > 0).mean(axis=(1, 3, 5), dtype=np.float32) * 255).round().astype(np.uint8)
    whole = (bone.mean(axis=(1, 3, 5), dtype=np.float32) * 255).round().astype(np.uint8)
    return Volume(np.rint(hu).astype(np.int16), labels, share, whole, spacing_mm)
