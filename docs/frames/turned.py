"""Scan one patient upright and at random angles, without noise, on voxels of several sizes, and say what that does to frames and heights.

``turned.py [COUNT]`` turns it COUNT times (6) for each size; three minutes of one core.
"""

import sys

import numpy as np
from scipy.spatial.transform import Rotation

from shapekit.morphometry import measure_heights
from shapekit.phantom import acquire, draw_patient, scan_grid
from shapekit.spine import body_on_patch, extract_bodies, vertebra_frames

COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 6
PATIENT = draw_patient(19, levels=["T11", "T12", "L1", "L2", "L3"], fractures={"L1": ("wedge", 0.3)})
SHAPE = np.array([0.9, 1.0, 1.1])


def read(spacing_mm, rotation):
    """Frames of the five bodies, and their heights, (5, 3) mm."""
    grid = scan_grid(PATIENT, tuple(spacing_mm), rotation=rotation)
    bodies, _, _ = extract_bodies(acquire(PATIENT, grid, generator=np.random.default_rng(0), noise_mm=0.0, defects=0.0).labels)
    frames = vertebra_frames(bodies)
    return frames, np.array([[*measure_heights(body_on_patch(body, frame))] for body, frame in zip(bodies, frames, strict=True)])


print("| voxels, mm | turned against turned: heights, worst (95 %) | against upright | frames, worst | beyond the stated |\n|---|---|---|---|---|")
for scale in (0.5, 0.6, 0.8, 1.0):
    upright, straight = read(scale * SHAPE, np.eye(3))
    reads = [read(scale * SHAPE, Rotation.random(rng=np.random.default_rng(seed)).as_matrix()) for seed in range(1, COUNT + 1)]
    heights = np.stack([found for _, found in reads])
    among = np.abs(heights[:, None] - heights[None])[np.triu_indices(COUNT, 1)]
    beside = np.abs(heights - straight)
    off = np.array([[one.angle_to(two) for one, two in zip(upright, frames, strict=True)] for frames, _ in reads])
    stated = np.array([[max(one.error_deg, two.error_deg) for one, two in zip(upright, frames, strict=True)] for frames, _ in reads])
    cells = [f"{apart.max():.2f} ({np.percentile(apart, 95):.2f})" for apart in (among, beside)]
    sides = " × ".join(f"{side:.2f}" for side in scale * SHAPE)
    print(f"| {sides} | {' | '.join(cells)} | {off.max():.2f}° | {(off > stated).sum()} of {off.size} |", flush=True)
