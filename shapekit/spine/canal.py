"""The spinal canal behind a vertebral body, and the posterior wall in front of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shapekit.core.conventions import AP, LR, SI
from shapekit.core.frame import Frame
from shapekit.core.grid import Grid, middle_of, voxels_of
from shapekit.ops import resample_field

LR_MM, AP_MM, SI_MM = np.arange(-34.0, 35.0), np.arange(20.0, -51.0, -1.0), np.arange(-26.0, 27.0)
"""Millimetres that are looked at about the body's centre; AP from the front backward, the way the canal is looked for."""
MIN_GAP_MM = 7.0
"""Narrowest gap behind a body that passes for the canal (a normal one measures 12-20 mm)."""
MIN_COLUMNS = 10
MIN_ROWS = 4
ROUNDS = 3
MIN_OFFSET_MM = 1.0
"""A mask whose middle is as near as this to its body's has no arch."""
MIDLINE_MM = 5.0
WALL_MM = 26.0
"""The posterior wall lies nearer to a body's centre than this."""
WALL_SPREAD_MM = 5.0
CLEAR_OF_ARCH_MM = 8.0
SIDE_GRACE_MM = 3.0
"""A body reaches this far beyond the sides seen in front of the arch: further out begin transverse processes (of L5 above all) and ribs' facets."""
GRACE_MM = 1.0
"""In front of the canal nothing but body can lie this far behind the fitted wall."""


@dataclass(frozen=True, eq=False)
class Canal:
    """Where the canal is, and a posterior wall that bends twice: AP = wall · (1, x, z, x², z², xz), x = LR, z = SI.

    Parameters
    ----------
    centre_mm, body_centre_mm : (3,) float, mm, RAS
    frame : Frame
        In which the wall is given.
    wall : (6,) float
    lr_mm, si_mm : (2,) float
        Where the wall was seen; beyond these it goes on as it was at their edge.
    outline_mm : (len(LR_MM),) float
        How far back the body reaches at each distance from the midline, where no pedicle hides it.
    sides_mm : (2,) float
        How far it reaches to the left (negative) and to the right in front of the arch.
    """

    centre_mm: NDArray[np.float64]
    body_centre_mm: NDArray[np.float64]
    frame: Frame
    wall: NDArray[np.float64]
    lr_mm: tuple[float, float]
    si_mm: tuple[float, float]
    outline_mm: NDArray[np.float64]
    sides_mm: tuple[float, float]

    @property
    def anterior(self) -> NDArray[np.float64]:
        """From the canal's centre to the body's, mm, RAS."""
        return self.body_centre_mm - self.centre_mm

    def in_front(self, mask: NDArray[np.bool_], grid: Grid) -> NDArray[np.bool_]:
        """Return the part of a mask that lies in front of the posterior wall."""
        index = voxels_of(mask)
        lr, ap, si = self.frame.to_local(grid.to_world(index)).T
        wall = _wall_at(self.wall, np.clip(lr, *self.lr_mm), np.clip(si, *self.si_mm))
        free = (lr > self.lr_mm[0]) & (lr < self.lr_mm[1])
        limit = np.where(free, wall - GRACE_MM, np.maximum(wall, np.interp(lr, LR_MM, self.outline_mm)))
        body = np.zeros_like(mask)
        beside = (lr > self.sides_mm[0] - SIDE_GRACE_MM) & (lr < self.sides_mm[1] + SIDE_GRACE_MM)
        body[tuple(index[(ap >= limit) & beside].T)] = True
        return body


def find_canal(
    mask: NDArray[np.bool_], grid: Grid, centre_mm: NDArray[np.float64], up: NDArray[np.float64], anterior: NDArray[np.float64] | None = None
) -> Canal | None:
    """Find the gap behind a body on the midline, in the vertebra's own frame.

    Every column that runs backward from the body's middle leaves the bone at the posterior wall; where it meets bone again,
    the gap between is the canal. A surface that bends twice is fitted to the walls so found (robustly: retropulsed
    fragments and noise are outvoted). In three rounds the frame is turned so that the canal lies straight behind the body,
    unless the anterior direction is known already.

    Parameters
    ----------
    mask : (i, j, k) bool
        One vertebra.
    grid : Grid
    centre_mm : (3,) float, mm, RAS
        A point near the body's middle.
    up : (3,) float
        Superior direction there.
    anterior : (3,) float, optional
        Direction from the canal to the body, where it is known.

    Returns
    -------
    Canal or None
        None where no canal is seen: a body without its arch, or a vertebra cut through.
    """
    points, field = grid.to_world(voxels_of(mask)), mask.astype(np.float32)
    ahead = np.asarray(centre_mm) - middle_of(points) if anterior is None else anterior
    found: Canal | None = None
    middle = np.asarray(centre_mm, dtype=np.float64)
    for _ in range(ROUNDS if anterior is None else ROUNDS - 1):
        if anterior is None and np.linalg.norm(ahead - up * (ahead @ up)) < MIN_OFFSET_MM:
            return None
        frame = Frame.from_directions(middle, up, ahead)
        found = _canal_in(frame, field, grid, points)
        if found is None:
            return None
        middle = found.body_centre_mm
        ahead = found.anterior if anterior is None else anterior
    return found


def _canal_in(frame: Frame, field: NDArray[np.float32], grid: Grid, points: NDArray[np.float64]) -> Canal | None:
    bone = resample_field(field, grid, _lattice(frame), adds_way=False) > 0.5
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
    lr, si = (grid_mm[seen] for grid_mm in np.meshgrid(LR_MM, SI_MM, indexing="ij"))
    left, right = between or (float(np.percentile(lr, 5)), float(np.percentile(lr, 95)))
    wall = _robust_fit(_terms(lr, si), exit_mm[seen])
    centre = frame.to_world([(left + right) / 2, depth - float(np.median(gap[midline])) / 2, 0.0])
    si_mm = (float(si.min()), float(si.max()))
    local = frame.to_local(points)
    front = local[:, 1] >= _wall_at(wall, np.clip(local[:, 0], left, right), np.clip(local[:, 2], *si_mm))
    if not front.any():
        return None
    body = middle_of(local.take(np.flatnonzero(front), axis=0))
    sides = _sides(bone, depth)
    body[0] = sum(sides) / 2
    outline = _outline(exit_mm, run > 0, wall, (left, right), si_mm)
    return Canal(centre, frame.to_world(body), frame, wall, (left, right), si_mm, outline, sides)


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


def _outline(
    exit_mm: NDArray[np.float64], inside: NDArray[np.bool_], wall: NDArray[np.float64], lr_mm: tuple[float, float], si_mm: tuple[float, float]
) -> NDArray[np.float64]:
    """How far back the body reaches at each LR_MM beside the canal: the median over the rows where no pedicle hides it."""
    lr, si = np.meshgrid(LR_MM, SI_MM, indexing="ij")
    # exits come in whole millimetres: half of one decides between the wall and a pedicle
    in_sight = inside & (exit_mm >= _wall_at(wall, np.clip(lr, *lr_mm), np.clip(si, *si_mm)) - 0.5)
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


def _wall_at(wall: NDArray[np.float64], lr: NDArray[np.float64], si: NDArray[np.float64]) -> NDArray[np.float64]:
    """AP of a wall: ``_terms(lr, si) @ wall`` without the terms' memory."""
    constant, x, z, xx, zz, xz = wall.tolist()
    return np.asarray(constant + lr * (x + xx * lr + xz * si) + si * (z + zz * si))


def _terms(lr: NDArray[np.float64], si: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([np.ones_like(lr), lr, si, lr**2, si**2, lr * si], axis=-1)


def _robust_fit(terms: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least squares reweighted by Cauchy's rule at twice the median deviation."""
    weight: NDArray[np.float64] = np.ones(len(values))
    fitted: NDArray[np.floating] = np.zeros(terms.shape[1])
    for _ in range(8):
        weighted = terms * (weight**2)[:, None]
        fitted = np.linalg.lstsq(weighted.T @ terms, weighted.T @ values, rcond=None)[0]
        off = np.abs(values - terms @ fitted)
        weight = 1.0 / np.sqrt(1.0 + (off / (2.0 * (1.48 * np.median(off) + 0.3))) ** 2)
    return np.asarray(fitted, dtype=np.float64)
