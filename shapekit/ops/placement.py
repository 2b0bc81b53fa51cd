"""The rigid motion that lays points of a surface best over a signed distance, which counts missing bone less than bone in excess."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from shapekit.core.checks import InputError, check_array
from shapekit.core.frame import Frame
from shapekit.core.grid import Grid
from shapekit.ops import _native
from shapekit.ops.backends import backend_for
from shapekit.ops.sampling import check_field, into_index, sample_field

LOSS_MM = 1.5
"""A deficit much larger than this is damage and pulls no longer."""
EXCESS_MM = 4.0
PROBE_MM = 0.06
"""Step of the differences that tell the distance's slope: wide enough for the field's float32 rounding."""
PROBES_MM = PROBE_MM * np.array([[0, 0, 0], [1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]])
DAMPING = 1e-3
MOST_ROUNDS = 60
GAIN = 1e-6
"""A start is at its end where a round lowers its cost by a smaller share,"""
STILL = 1e-5
"""or moves it by less, in standard deviations of the prior;"""
TOGETHER = 5e-2
"""and of two that have come as near to each other the higher one stops."""

Float = NDArray[np.float64]
Field = NDArray[np.float32]


def fit_rigidly(
    values: Field, grid: Grid, frame: Frame, points: ArrayLike, scale: ArrayLike, starts: ArrayLike, spread: ArrayLike, *, backend: str = "auto"
) -> Float:
    """Find the step that lays points best onto the zero level of a signed distance.

    Where the distance at a point is negative (excess), its misfit counts in full; where it is positive (loss) it saturates. The
    steps' own squares, in units of their spread, are added (a prior). Levenberg-Marquardt (Nocedal & Wright 2006, section 10.3) from
    several starts side by side.

    Parameters
    ----------
    values : (i, j, k) float32, mm
        Signed distance, negative inside.
    grid : Grid
    frame : Frame
        Its axes are the points' axes, its origin is where the points' own zero lies before a step.
    points : (n, 3) float, mm
        About the zero that they turn about.
    scale : (n,) float, 1/mm
        Weight of each point's misfit before it is squared.
    starts : (s, 6) float
        Steps to begin with, at least one: a rotation vector in rad and a shift in mm, along the frame's axes.
    spread : (6,) float
        Standard deviation of each of a step's numbers.
    backend : str
        ``"auto"``, ``"reference"`` or ``"cpu"``; see ``backend_for``.

    Returns
    -------
    (6,) float
        The best end.

    Raises
    ------
    InputError
        If ``values`` does not belong on the grid or is not float32, if another array has another shape, or if a spread is not above 0.
    UsageError, MissingPackageError
        See ``backend_for``.

    Examples
    --------
    Corners of a cube of 6 mm, looked for a millimetre beside their place in the distance to its middle:

    >>> grid = Grid((32, 32, 32), np.diag([0.5, 0.5, 0.5, 1.0]))
    >>> frame = Frame(np.array([8.0, 8.0, 8.0]), np.eye(3))
    >>> values = (np.linalg.norm(grid.points() - [9, 8, 8], axis=-1) - np.sqrt(27)).astype(np.float32)
    >>> corners = 3.0 * np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    >>> step = fit_rigidly(values, grid, frame, corners, np.full(8, 10.0), np.zeros((1, 6)), np.ones(6))
    >>> np.abs(step.round(1)).tolist()
    [0.0, 0.0, 0.0, 1.0, 0.0, 0.0]
    """
    check_field(values, grid)
    about, weights, begin, unit = (np.ascontiguousarray(one, dtype=np.float64) for one in (points, scale, starts, spread))
    check_array("points", about, shape=(None, 3))
    check_array("scale", weights, shape=(len(about),))
    check_array("starts", begin, ndim=2)
    if begin.shape[1] != 6 or not len(begin):
        raise InputError(f"starts has shape {begin.shape}, but must be (s, 6) with at least one.")
    check_array("spread", unit, shape=(6,))
    if not (unit > 0).all():
        raise InputError(f"spread is {unit.tolist()}, but each standard deviation must be above 0.")
    if backend_for("cpu", backend=backend).name == "reference":
        return _least(_misfits(values, grid, frame, about, weights), begin, unit)
    field = np.ascontiguousarray(values)  # under a name each: an address does not keep a copy alive
    metric = np.ascontiguousarray(grid.affine[:3, :3])
    base = into_index(grid, np.column_stack([frame.axes, frame.origin]))
    settings, found = np.array([LOSS_MM, EXCESS_MM, PROBE_MM, DAMPING, GAIN, STILL, TOGETHER]), np.zeros(6)
    given = (one.ctypes.data for one in (begin, unit, settings))
    _native.call(
        "shapekit_fit_rigidly",
        *(field.ctypes.data, metric.ctypes.data, *grid.shape, base.ctypes.data),
        *(len(about), about.ctypes.data, weights.ctypes.data, len(begin), *given, MOST_ROUNDS, found.ctypes.data),
    )
    return found


def _misfits(values: Field, grid: Grid, frame: Frame, about: Float, scale: Float) -> Callable[[Float], tuple[Float, Float]]:
    """Return what takes (k, 6) steps to the points' (k, n) misfits and their slopes (k, 6, n)."""
    x, y, z = about.T

    def misfits(steps: Float) -> tuple[Float, Float]:
        turns = Rotation.from_rotvec(steps[:, :3]).as_matrix()
        axes = frame.axes @ turns
        # each point where a step takes it, and a little to either side along the turned shape's axes
        there = frame.to_world(steps[:, 3:])[:, None] + PROBES_MM @ axes.transpose(0, 2, 1)  # (k, 7, 3)
        found = sample_field(values, grid, there[:, :, None] + (about @ axes.transpose(0, 2, 1))[:, None], backend="reference")  # (k, 7, n)
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

    return misfits


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
