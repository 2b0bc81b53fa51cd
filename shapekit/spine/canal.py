"""The spinal canal behind a vertebral body, and the posterior wall in front of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shapekit.core.frame import Frame
from shapekit.core.grid import Grid, centre_of, voxels_of
from shapekit.ops.canal import LR_MM, Behind, look_behind, wall_at

ROUNDS = 3
MIN_OFFSET_MM = 1.0
"""A mask whose middle is as near as this to its body's has no arch."""
SIDE_GRACE_MM = 3.0
"""A body reaches this far beyond the sides seen in front of the arch: further out begin transverse processes (of L5 above all) and ribs' facets."""
GRACE_MM = 1.0
"""In front of the canal nothing but body can lie this far behind the fitted wall."""


@dataclass(frozen=True, eq=False)
class Canal:
    """Where the canal is, and what was seen about it.

    Parameters
    ----------
    frame : Frame
        In which it was looked for.
    seen : Behind
        In that frame; beyond where the posterior wall was seen it goes on as it was at its edge.
    """

    frame: Frame
    seen: Behind

    @property
    def centre_mm(self) -> NDArray[np.float64]:
        """Middle of the canal, (3,) mm, RAS."""
        return self.frame.to_world(self.seen.centre)

    @property
    def body_centre_mm(self) -> NDArray[np.float64]:
        """Middle of what lies in front of the canal, (3,) mm, RAS."""
        return self.frame.to_world(self.seen.body)

    @property
    def anterior(self) -> NDArray[np.float64]:
        """From the canal's centre to the body's, mm, RAS."""
        return self.body_centre_mm - self.centre_mm

    def in_front(self, mask: NDArray[np.bool_], grid: Grid) -> NDArray[np.bool_]:
        """Return the part of a mask that lies in front of the posterior wall."""
        index = voxels_of(mask)
        local = self.frame.local_map() @ grid.affine
        lr, ap, si = local[:, :3] @ index.T + local[:, 3:]
        seen = self.seen
        wall = wall_at(seen.wall, np.clip(lr, *seen.lr), np.clip(si, *seen.si))
        free = (lr > seen.lr[0]) & (lr < seen.lr[1])
        limit = np.where(free, wall - GRACE_MM, np.maximum(wall, np.interp(lr, LR_MM, seen.outline)))
        body = np.zeros_like(mask)
        beside = (lr > seen.sides[0] - SIDE_GRACE_MM) & (lr < seen.sides[1] + SIDE_GRACE_MM)
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
    field = mask.astype(np.float32)
    ahead = np.asarray(centre_mm) - grid.to_world(centre_of(mask)) if anterior is None else anterior
    found: Canal | None = None
    middle = np.asarray(centre_mm, dtype=np.float64)
    for _ in range(ROUNDS if anterior is None else ROUNDS - 1):
        if anterior is None and np.linalg.norm(ahead - up * (ahead @ up)) < MIN_OFFSET_MM:
            return None
        frame = Frame.from_directions(middle, up, ahead)
        seen = look_behind(field, grid, frame)
        if seen is None:
            return None
        found = Canal(frame, seen)
        middle = found.body_centre_mm
        ahead = found.anterior if anterior is None else anterior
    return found
