"""Where the expected body lies: rigidly, by what a fracture leaves alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from shapekit.core.conventions import AP, SI
from shapekit.core.frame import Frame
from shapekit.core.grid import Grid, voxels_of
from shapekit.core.values import Sdf
from shapekit.ops import sample_field

NEAR_VOXELS = 0.9
"""Voxels as near to the surface as this stand for it: more than half a voxel, or a plate along the voxels' faces would have none."""
THINNED = 9
"""One of so many of them is looked at."""
NOISE_MM = 0.5
"""Standard deviation of a mask's surface, about (segmentation noise 0.35 mm and half a voxel's stairs)."""
INDEPENDENT = 40
"""Points of a body's surface that err independently at that noise's correlation length, about."""
LOSS_MM = 1.5
"""A deficit much larger than this is damage and pulls no longer."""
EXCESS_MM = 4.0
WALL_WEIGHT = 2.0
"""The posterior wall is what a fracture leaves alone first."""
PROBE_MM = 0.06
"""Step of the differences that tell the actual distance's slope: wide enough for the field's float32 rounding."""
PROBES_MM = PROBE_MM * np.array([[0, 0, 0], [1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]])
DAMPING = 1e-3
MOST_ROUNDS = 60
GAIN = 1e-6
"""A start is at its end where a round lowers its cost by a smaller share,"""
STILL = 1e-5
"""or moves it by less, in standard deviations of the prior;"""
TOGETHER = 5e-2
"""and of two that have come as near to each other the higher one stops."""
LOWER_PLATE_WEIGHT = 1.5
"""Fractures break the superior endplate nearly always, the inferior one alone in 1.9 %: where both fit, the lower one decides."""
TILT_SD_DEG = 4.0
SHIFT_SD_MM = (2.0, 2.0, 4.0)
"""How far (LR, AP, SI) and how much turned from the first guess an expected body may be expected to lie."""

Float = NDArray[np.float64]


def place(expected: Sdf, actual: Sdf, frame: Frame) -> Frame:
    """Find the frame in which an expected shape lies best over an actual body.

    Points of the expected surface are moved rigidly (six parameters, Levenberg-Marquardt) over the actual signed distance.
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
    about = points - middle
    x, y, z = about.T
    spread = np.concatenate([np.full(3, np.radians(TILT_SD_DEG)), np.array(SHIFT_SD_MM)])

    def misfits(steps: Float) -> tuple[Float, Float]:  # (k, 6) -> (k, n), and their slopes (k, 6, n)
        turns = Rotation.from_rotvec(steps[:, :3]).as_matrix()
        moves = np.zeros((len(steps), len(PROBES_MM), 3, 4))
        axes = frame.axes @ turns
        moves[..., :3] = axes[:, None]
        # each point where a step takes it, and a little to either side along the turned shape's axes
        moves[..., 3] = frame.to_world(middle + steps[:, 3:])[:, None] + PROBES_MM @ axes.transpose(0, 2, 1)
        found = sample_field(actual.values, actual.grid, about, moves=moves.reshape(-1, 3, 4)).reshape(len(steps), len(PROBES_MM), -1)
        gap = found[:, 0].astype(np.float64)
        missing = gap > 0
        share = 1.0 + (gap / np.where(missing, LOSS_MM, EXCESS_MM)) ** 2
        root = np.sqrt(share)
        root = np.where(missing, root, np.sqrt(root))
        felt = np.where(missing, 1.0 / share, 0.5 + 0.5 / share) * scale / root  # of a change of the gap
        uphill = (found[:, 1::2] - found[:, 2::2]) * (felt / (2.0 * PROBE_MM))[:, None]  # (k, 3, n)
        u, v, w = uphill.transpose(1, 0, 2)
        turned = np.stack([y * w - z * v, z * u - x * w, x * v - y * u], axis=1)
        slopes = np.concatenate([_right_jacobian(steps[:, :3]).transpose(0, 2, 1) @ turned, turns @ uphill], axis=1)
        return gap * scale / root, slopes

    best = _least(misfits, np.array([[0.0, 0.0, 0.0, 0.0, 0.0, shift] for shift in _plate_shifts(points, actual, frame)]), spread)
    turn = Rotation.from_rotvec(best[:3]).as_matrix()
    # the patch's own origin goes where the motion takes it
    return Frame(frame.to_world(middle + best[3:] - turn @ middle), frame.axes @ turn, frame.error_deg)


def _least(misfits: Callable[[Float], tuple[Float, Float]], starts: Float, spread: Float) -> Float:
    """Minimise a sum of squares and of the steps' own, in units of their spread, from several starts side by side.

    Levenberg-Marquardt (Nocedal & Wright 2006, section 10.3); every round looks at a trial of each start.

    Parameters
    ----------
    misfits : callable
        (k, 6) steps, a rotation vector in rad and a shift in mm, to (k, n) misfits and their slopes (k, 6, n).
    starts : (s, 6) float
        Steps to begin with.
    spread : (6,) float
        Standard deviation of each parameter, its unit here.

    Returns
    -------
    (6,) float
        The best end.
    """
    at, trial = starts / spread, starts / spread
    cost, damping = np.full(len(at), np.inf), np.full(len(at), DAMPING)
    slope, normal = np.zeros((len(at), 6)), np.tile(np.eye(6), (len(at), 1, 1))
    going = np.arange(len(at))
    for _ in range(MOST_ROUNDS):
        steps = trial[going]
        found, rates = misfits(steps * spread)
        rates = rates * spread[:, None]
        height = (found**2).sum(axis=1) + (steps**2).sum(axis=1)
        gain = cost[going] - height
        down = gain > 0
        won = going[down]
        at[won], cost[won] = steps[down], height[down]
        slope[won] = (rates @ found[..., None])[down, :, 0] + steps[down]
        normal[won] = (rates @ rates.transpose(0, 2, 1))[down] + np.eye(6)
        damping[going] *= np.where(down, 0.1, 10.0)
        step = np.linalg.solve(normal[going] * (1.0 + damping[going, None, None] * np.eye(6)), -slope[going, :, None])[..., 0]
        trial[going] = at[going] + step
        settled = (down & (gain <= GAIN * height)) | (np.abs(step).max(axis=1) < STILL)
        met = (np.abs(at[going, None] - at).max(axis=2) < TOGETHER) & (cost < cost[going, None])
        going = going[~(settled | met.any(axis=1))]
        if not len(going):
            break
    return np.asarray(at[int(cost.argmin())] * spread)


def _right_jacobian(turns: Float) -> Float:
    """How a rotation vector's change turns what it has turned, in its turned axes (Chirikjian 2012, section 10.7); (k, 3) rad -> (k, 3, 3)."""
    angle = np.maximum(np.linalg.norm(turns, axis=1), 1e-4)[:, None, None]
    a, b, c = turns.T
    crossed = np.zeros((len(turns), 3, 3))
    crossed[:, 2, 1], crossed[:, 0, 2], crossed[:, 1, 0] = a, b, c
    crossed -= crossed.transpose(0, 2, 1)
    return np.asarray(np.eye(3) - (1.0 - np.cos(angle)) / angle**2 * crossed + (angle - np.sin(angle)) / angle**3 * crossed @ crossed)


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
