"""Scans whose every body is known, and an eye that sees exactly the next one that is not in memory."""

from dataclasses import dataclass

import numpy as np

from shapekit.core.grid import Grid
from shapekit.core.values import Image
from shapekit.phantom import acquire, draw_patient, scan_grid
from shapekit.segmentation.labelling import VALUES
from shapekit.segmentation.traversal import Sight
from shapekit.segmentation.working import working_grid

PATCH = 48


@dataclass
class KnownScan:
    """A CT (bone 300, soft tissue 40 HU), the scan's truth, and its bodies' exact shares of working voxels."""

    image: Image
    scan: object
    shares: dict
    working: Grid
    spacing_mm: float


def known_scan(levels, spacing_mm, *, working_mm=2.0, seed=3, **field_of_view):
    patient = draw_patient(seed, levels=levels, fractures="none")
    grid = scan_grid(patient, spacing_mm, **field_of_view)
    scan = acquire(patient, grid, generator=np.random.default_rng(0), noise_mm=0.0, defects=0.0)
    hu = np.where(scan.labels.array > 0, 300, 40).astype(np.int16)
    hu[:2] = -1000  # a strip of air, so that it looks like a CT
    working = working_grid(grid, working_mm)
    points = working.points()
    inside = (np.abs(grid.to_index(points) - (np.array(grid.shape) - 1) / 2) <= np.array(grid.shape) / 2).all(axis=-1)
    shares = {}
    for vertebra in patient:
        near = np.linalg.norm(points - vertebra.frame().origin, axis=-1) < 40.0
        share = np.zeros(working.shape, np.float32)
        share[near] = np.clip(0.5 - vertebra.signed_distance(points[near]) / working_mm, 0.0, 1.0)
        if (share * inside).any():
            shares[vertebra.label] = share * inside
    return KnownScan(Image(hu, grid), scan, shares, working, working_mm)


class OracleEye:
    """Sees the first body from above, of at least 500 mm³ in the patch, that memory does not hold."""

    def __init__(self, known, *, patch=PATCH, votes=None):
        self.known, self.patch, self.looks = known, patch, 0
        self.votes = votes or {}
        self.named = {value: level for level, value in VALUES.items()}

    def __call__(self, image, memory, start):
        assert image.shape == memory.shape == (self.patch,) * 3
        self.looks += 1
        low, high = np.clip(start, 0, self.known.working.shape), np.clip(start + self.patch, 0, self.known.working.shape)
        here = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        there = tuple(slice(a, b) for a, b in zip(low - start, high - start, strict=True))
        for label in sorted(self.known.shares, key=lambda value: self.named[value].rank):
            seen = np.zeros(image.shape, np.float32)
            seen[there] = self.known.shares[label][here]
            solid = seen > 0.5
            if solid.sum() * self.known.spacing_mm**3 >= 500 and memory[solid].mean() < 0.5:
                return Sight(seen, 0.02 if label in self.known.scan.cut else 0.98, self.votes.get(label, float(label)))
        return Sight(np.zeros(image.shape, np.float32), 0.0, 0.0)
