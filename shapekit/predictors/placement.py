"""Where the expected body lies: rigidly, by what a fracture leaves alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from shapekit.core.conventions import AP, SI
from shapekit.core.frame import Frame
from shapekit.core.grid import Grid, voxels_of
from shapekit.core.values import Sdf
from shapekit.ops import fit_rigidly

NEAR_VOXELS = 0.9
"""Voxels as near to the surface as this stand for it: more than half a voxel, or a plate along the voxels' faces would have none."""
THINNED = 9
"""One of so many of them is looked at."""
NOISE_MM = 0.5
"""Standard deviation of a mask's surface, about (segmentation noise 0.35 mm and half a voxel's stairs)."""
INDEPENDENT = 40
"""Points of a body's surface that err independently at that noise's correlation length, about."""
WALL_WEIGHT = 2.0
"""The posterior wall is what a fracture leaves alone first."""
LOWER_PLATE_WEIGHT = 1.5
"""Fractures break the superior endplate nearly always, the inferior one alone in 1.9 %: where both fit, the lower one decides."""
TILT_SD_DEG = 4.0
SHIFT_SD_MM = (2.0, 2.0, 4.0)
"""How far (LR, AP, SI) and how much turned from the first guess an expected body may be expected to lie."""

Float = NDArray[np.float64]


def place(expected: Sdf, actual: Sdf, frame: Frame) -> Frame:
    """Find the frame in which an expected shape lies best over an actual body.

    Points of the expected surface are moved rigidly over the actual signed distance (``fit_rigidly``).
    Where the actual body reaches beyond the expected one, the misfit counts in full; where bone is missing it saturates at
    a millimetre and a half, so that a collapsed plate is not split between both plates but left as the deficit it is, while
    the posterior wall (twice the weight), the lower plate (half as much again) and whatever else fits hold the shape. The
    search starts with the middles, the upper plates and the lower plates aligned, and the best end wins; a prior keeps it
    near the first guess.

    Parameters
    ----------
    expected : Sdf
        On the patch of ``frame``, about its own centre.
    actual : Sdf
        Of the actual body, mm, in patient space.
    frame : Frame
        First guess: the target's frame about the actual body's centre.

    Returns
    -------
    Frame
        In patient space; the expected shape's patch belongs on it.
    """
    points, normals = _surface(frame, expected)
    weight = np.where(normals[:, AP] < -0.7, WALL_WEIGHT, np.where(normals[:, SI] < -0.7, LOWER_PLATE_WEIGHT, 1.0))
    scale = np.sqrt(weight / weight.sum() * INDEPENDENT) / NOISE_MM
    middle = points.mean(axis=0)
    spread = np.concatenate([np.full(3, np.radians(TILT_SD_DEG)), np.array(SHIFT_SD_MM)])
    starts = np.array([[0.0, 0.0, 0.0, 0.0, 0.0, shift] for shift in _plate_shifts(points, actual, frame)])
    best = fit_rigidly(actual.values, actual.grid, frame.moved(frame.to_world(middle)), points - middle, scale, starts, spread)
    turn = Rotation.from_rotvec(best[:3]).as_matrix()
    # the patch's own origin goes where the motion takes it
    return Frame(frame.to_world(middle + best[3:] - turn @ middle), frame.axes @ turn, frame.error_deg)


def _surface(frame: Frame, expected: Sdf) -> tuple[Float, Float]:
    """Points on the zero level and their outward normals in the frame's axes, evenly thinned; (n, 3) mm each."""
    values = expected.values
    near = voxels_of(np.abs(values[1:-1, 1:-1, 1:-1]) < NEAR_VOXELS * float(expected.grid.spacing_mm[0])) + 1
    near = near[near.sum(axis=1) % THINNED == 0]  # by place, so that a rounding error elsewhere does not choose other points
    i, j, k = near.T
    spacing = expected.grid.spacing_mm
    slope = np.stack(
        [
            (values[i + 1, j, k] - values[i - 1, j, k]) / (2 * spacing[0]),
            (values[i, j + 1, k] - values[i, j - 1, k]) / (2 * spacing[1]),
            (values[i, j, k + 1] - values[i, j, k - 1]) / (2 * spacing[2]),
        ],
        axis=1,
    ).astype(np.float64)
    length = np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-3)
    local = frame.to_local(expected.grid.to_world(near))
    return local - slope / length * (values[i, j, k] / length[:, 0])[:, None], slope / length


def _plate_shifts(points: Float, actual: Sdf, frame: Frame) -> list[float]:
    """SI shifts that align the middles, the upper and the lower plates; mm."""
    superior, affine = frame.axes[:, SI], actual.grid.affine
    inside = voxels_of(actual.values < 0) @ (superior @ affine[:3, :3]) + superior @ (affine[:3, 3] - frame.origin)
    low, high = np.percentile(inside, (2, 98))
    expected_low, expected_high = np.percentile(points[:, SI], (2, 98))
    return sorted({0.0, round(float(high - expected_high), 3), round(float(low - expected_low), 3)})


def placed(values: NDArray[np.float32], frame: Frame, grid: Grid) -> Sdf:
    """Put a patch's values on another frame's patch: the shape moves with its frame."""
    return Sdf(values, Grid.from_frame(frame, grid.shape, float(grid.spacing_mm[0])))
