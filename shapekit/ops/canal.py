"""What lies behind a vertebral body: the gap that is the spinal canal, and the posterior wall in front of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shapekit.core.conventions import AP, LR, SI
from shapekit.core.frame import Frame
from shapekit.core.grid import Grid, middle_of, voxels_of
from shapekit.ops import _native
from shapekit.ops.backends import backend_for
from shapekit.ops.sampling import check_field, into_index, resample_field

LR_MM, AP_MM, SI_MM = np.arange(-34.0, 35.0), np.arange(20.0, -51.0, -1.0), np.arange(-26.0, 27.0)
"""Millimetres that are looked at about the body's centre; AP from the front backward, the way the canal is looked for."""
MIN_GAP_MM = 7.0
"""Narrowest gap behind a body that passes for the canal (a normal one measures 12-20 mm)."""
MIN_COLUMNS = 10
MIN_ROWS = 4
MIDLINE_MM = 5.0
WALL_MM = 26.0
"""The posterior wall lies nearer to a body's centre than this."""
WALL_SPREAD_MM = 5.0
CLEAR_OF_ARCH_MM = 8.0
TIE_MM = 1e-6
"""What lies on the wall is in front of it: of a grid along the frame whole layers do, and rounding must not decide about them."""

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Behind:
    """What was seen behind a body, mm along the frame that it was looked for in.

    Parameters
    ----------
    centre, body : (3,) float
        Middle of the canal, and of what lies in front of it.
    wall : (6,) float
        The posterior wall, which bends twice: AP = wall · (1, x, z, x², z², xz), x = LR, z = SI.
    lr, si : (float, float)
        Where the wall was seen.
    outline : (len(LR_MM),) float
        How far back the body reaches at each distance from the midline, where no pedicle hides it.
    sides : (float, float)
        How far it reaches to the left (negative) and to the right in front of the arch.
    """

    centre: Float
    body: Float
    wall: Float
    lr: tuple[float, float]
    si: tuple[float, float]
    outline: Float
    sides: tuple[float, float]


def look_behind(field: NDArray[np.float32], grid: Grid, frame: Frame, *, backend: str = "auto") -> Behind | None:
    """Look for the canal straight behind a body's middle.

    Parameters
    ----------
    field : (i, j, k) float32
        One vertebra's mask, 0 and 1.
    grid : Grid
    frame : Frame
        About the body's middle, AP forward from the canal.
    backend : str
        ``"auto"``, ``"reference"`` or ``"cpu"``; see ``backend_for``.

    Returns
    -------
    Behind or None
        None where fewer than ``MIN_COLUMNS`` columns on the midline end in a gap.

    Raises
    ------
    InputError
        If ``field`` does not belong on the grid or is not float32.
    UsageError, MissingPackageError
        See ``backend_for``.

    Examples
    --------
    A block of 30 mm, the middle of an arch 15 mm behind it:

    >>> field = np.zeros((60, 80, 40), np.float32)
    >>> field[15:45, 40:70, 5:35] = field[10:50, 20:25, 5:35] = 1
    >>> grid, frame = Grid(field.shape, np.eye(4)), Frame(np.array([29.5, 54.5, 19.5]), np.eye(3))
    >>> seen = look_behind(field, grid, frame)
    >>> seen.centre.tolist()
    [0.0, -22.5, 0.0]
    """
    check_field(field, grid, name="field")
    if backend_for("cpu", backend=backend).name == "reference":
        return _behind(field, grid, frame)
    lattice, values = _lattice(frame), np.ascontiguousarray(field)  # under a name each: an address does not keep a copy alive
    onto = into_index(grid, lattice.affine[:3])
    to_local = np.ascontiguousarray(frame.local_map() @ grid.affine)
    lengths = (LR_MM[0], AP_MM[0], SI_MM[0], MIN_GAP_MM, WALL_MM, MIDLINE_MM, WALL_SPREAD_MM, CLEAR_OF_ARCH_MM, TIE_MM)
    settings = np.array([*lengths, MIN_COLUMNS, MIN_ROWS], dtype=np.float64)
    found = np.zeros(19 + len(LR_MM))
    _native.call(
        "shapekit_look_behind",
        *(values.ctypes.data, *grid.shape, onto.ctypes.data, *lattice.shape),
        *(to_local.ctypes.data, settings.ctypes.data, found.ctypes.data),
    )
    if not found[0]:
        return None
    centre, body, wall, (left, right, low, high, *sides), outline = np.split(found[1:], [3, 6, 12, 18])
    return Behind(centre, body, wall, (float(left), float(right)), (float(low), float(high)), outline, (float(sides[0]), float(sides[1])))


def _behind(field: NDArray[np.float32], grid: Grid, frame: Frame) -> Behind | None:
    """Return the same by NumPy."""
    bone = resample_field(field, grid, _lattice(frame), adds_way=False, backend="reference") > 0.5
    back = bone[:, :, int(np.argmin(np.abs(AP_MM))) :]  # from the body's middle backward
    run = _first(~back)
    behind = back & (np.arange(back.shape[2]) >= run[:, :, None])
    next_bone = _first(behind)
    gap, closed = next_bone - run, next_bone < back.shape[2]
    exit_mm = np.asarray(0.5 - run, dtype=np.float64)
    seen = (run > 0) & closed & (gap >= MIN_GAP_MM) & (exit_mm > -WALL_MM)
    midline = seen & (np.abs(LR_MM)[:, None] <= MIDLINE_MM)
    if midline.sum() < MIN_COLUMNS:
        return None
    depth = float(np.median(exit_mm[midline]))
    seen &= np.abs(exit_mm - depth) < WALL_SPREAD_MM
    between = _between_pedicles(bone, depth)
    if between is not None:
        seen &= (LR_MM[:, None] >= between[0]) & (LR_MM[:, None] <= between[1])
    if not seen.any():
        return None
    lr, si = (grid_mm[seen] for grid_mm in np.meshgrid(LR_MM, SI_MM, indexing="ij"))
    left, right = between or (float(np.percentile(lr, 5)), float(np.percentile(lr, 95)))
    wall = _robust_fit(_terms(lr, si), exit_mm[seen])
    centre = np.array([(left + right) / 2, depth - float(np.median(gap[midline])) / 2, 0.0])
    si_mm = (float(si.min()), float(si.max()))
    local = frame.to_local(grid.to_world(voxels_of(field > 0.5)))
    front = local[:, 1] >= wall_at(wall, np.clip(local[:, 0], left, right), np.clip(local[:, 2], *si_mm)) - TIE_MM
    if not front.any():
        return None
    body = middle_of(local.take(np.flatnonzero(front), axis=0))
    sides = _sides(bone, depth)
    body[0] = sum(sides) / 2
    outline = _outline(exit_mm, run > 0, wall, (left, right), si_mm)
    return Behind(centre, body, wall, (left, right), si_mm, outline, sides)


def _lattice(frame: Frame) -> Grid:
    """Lay the millimetres that are looked at along a frame: array axes LR, SI, AP."""
    affine = np.eye(4)
    affine[:3, :3] = frame.axes[:, [LR, SI, AP]] * [axis_mm[1] - axis_mm[0] for axis_mm in (LR_MM, SI_MM, AP_MM)]
    affine[:3, 3] = frame.to_world([LR_MM[0], AP_MM[0], SI_MM[0]])
    return Grid((len(LR_MM), len(SI_MM), len(AP_MM)), affine)


def _first(along: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Where along the last axis is true first; its length where nowhere."""
    found = along.argmax(axis=-1, keepdims=True)
    return np.asarray(np.where(np.take_along_axis(along, found, -1), found, along.shape[-1])[..., 0], dtype=np.intp)


def _sides(bone: NDArray[np.bool_], depth_mm: float) -> tuple[float, float]:
    """LR of the body's left and right side where neither pedicles nor transverse processes reach; LR of its middle lies half way."""
    rows = bone[:, :, AP_MM >= depth_mm + CLEAR_OF_ARCH_MM]
    middle = int(np.argmin(np.abs(LR_MM)))
    left, right = (np.where(half.all(axis=0), len(half), half.argmin(axis=0)) for half in (rows[middle::-1], rows[middle:]))
    wide = left + right >= 0.7 * np.percentile(left + right, 95)
    centre, half = float(np.median((right - left)[wide])) / 2, float(np.percentile((left + right)[wide], 95)) / 2
    return centre - half, centre + half


def _outline(exit_mm: Float, inside: NDArray[np.bool_], wall: Float, lr_mm: tuple[float, float], si_mm: tuple[float, float]) -> Float:
    """How far back the body reaches at each LR_MM beside the canal: the median over the rows where no pedicle hides it."""
    lr, si = np.meshgrid(LR_MM, SI_MM, indexing="ij")
    # exits come in whole millimetres: half of one decides between the wall and a pedicle
    in_sight = inside & (exit_mm >= wall_at(wall, np.clip(lr, *lr_mm), np.clip(si, *si_mm)) - 0.5 - TIE_MM)
    count = in_sight.sum(axis=1)
    sorted_mm = np.sort(np.where(in_sight, exit_mm, np.inf), axis=1)
    lower, upper = (np.take_along_axis(sorted_mm, (at // 2)[:, None], axis=1)[:, 0] for at in (np.maximum(count - 1, 0), count))
    return np.asarray(np.where(count >= MIN_ROWS, (lower + upper) / 2, AP_MM[-1]))


def _between_pedicles(bone: NDArray[np.bool_], depth_mm: float) -> tuple[float, float] | None:
    """Return the canal's left and right edge in the rows where a pedicle stands on either side of it, median over these rows."""
    behind = (AP_MM < depth_mm - 2.0) & (AP_MM > depth_mm - 6.0)
    across = bone[:, :, behind].mean(axis=2) > 0.5  # (lr, si), just behind the wall
    middle = int(np.argmin(np.abs(LR_MM)))
    left, right = across[middle::-1], across[middle:]
    rows = left.any(axis=0) & right.any(axis=0) & ~across[middle]
    if rows.sum() < 3:
        return None
    return -float(np.median(left.argmax(axis=0)[rows])), float(np.median(right.argmax(axis=0)[rows]))


def wall_at(wall: Float, lr: Float, si: Float) -> Float:
    """AP of a wall (6,) at LR and SI, (n,) mm each: ``_terms(lr, si) @ wall`` without the terms' memory."""
    constant, x, z, xx, zz, xz = wall.tolist()
    return np.asarray(constant + lr * (x + xx * lr + xz * si) + si * (z + zz * si))


def _terms(lr: Float, si: Float) -> Float:
    return np.stack([np.ones_like(lr), lr, si, lr**2, si**2, lr * si], axis=-1)


def _robust_fit(terms: Float, values: Float) -> Float:
    """Least squares reweighted by Cauchy's rule at twice the median deviation."""
    weight: Float = np.ones(len(values))
    fitted: NDArray[np.floating] = np.zeros(terms.shape[1])
    for _ in range(8):
        weighted = terms * (weight**2)[:, None]
        fitted = np.linalg.lstsq(weighted.T @ terms, weighted.T @ values, rcond=None)[0]
        off = np.abs(values - terms @ fitted)
        weight = 1.0 / np.sqrt(1.0 + (off / (2.0 * (1.48 * np.median(off) + 0.3))) ** 2)
    return np.asarray(fitted, dtype=np.float64)
