"""The line through the vertebral bodies: their order by position, and which way is up at each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shapekit.core.levels import Level

Float = NDArray[np.float64]
WINDOW_MM = 30.0
"""About one vertebra's distance to the next: its weight is a half."""
NEIGHBOURS_SHARE = 0.5
DOUBTFUL_DEG = 8.0


def order_along_spine(centres: Float, levels: Sequence[Level]) -> tuple[list[int], tuple[str, ...]]:
    """Order vertebrae from the head downward by where they are; the labels only say which end is up.

    The order is that of a chain from one end of the cloud's longest axis, always on to the nearest centre left, so gaps,
    T13, L6 and wrong labels do not break it.

    Parameters
    ----------
    centres : (n, 3) float, mm, RAS
    levels : n levels

    Returns
    -------
    order : list of int
        Indices from the head downward.
    notes : tuple of str
        One sentence where labels and positions disagree.
    """
    count = len(centres)
    if count < 2:
        return list(range(count)), ()
    spread = centres - centres.mean(axis=0)
    along = spread @ np.linalg.svd(spread, full_matrices=False)[2][0]
    order = [int(np.argmax(along))]
    left = set(range(count)) - set(order)
    while left:
        here = centres[order[-1]]
        order.append(min(left, key=lambda n: (float(np.linalg.norm(centres[n] - here)), n)))
        left.remove(order[-1])
    ranks = np.array([levels[n].rank for n in order])
    if float(np.dot(np.arange(count) - (count - 1) / 2, ranks)) < 0:
        order.reverse()
        ranks = ranks[::-1]
    if (np.diff(ranks) > 0).all():
        return order, ()
    names = ", ".join(str(levels[n]) for n in order)
    return order, (f"the labels do not follow the spine, which runs {names}; neighbours are taken by position.",)


def superior_directions(centres: Float, trusted: NDArray[np.bool_] | None = None) -> Float:
    """Unit tangents of the line through body centres, towards the head.

    Parameters
    ----------
    centres : (n, 3) float, mm, RAS
        From the head downward.
    trusted : (n,) bool, optional
        Centres that shape the line; the others (bodies cut by the volume's edge) only get a direction from it.

    Returns
    -------
    (n, 3) float
        Slope of a parabola fitted to each centre and two on either side (four at the ends) over arc length, nearer ones
        weighing more; the patient's superior axis for a lone vertebra.
    """
    count = len(centres)
    kept = np.arange(count) if trusted is None or trusted.sum() < 2 else np.flatnonzero(trusted)
    if count < 2:
        return np.tile([0.0, 0.0, 1.0], (count, 1))
    line = centres[kept]
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    down = np.zeros((count, 3))
    for n in range(count):
        at = int(np.argmin(np.abs(kept - n)))
        window = slice(max(0, min(at - 2, len(kept) - 4)), max(at + 3, min(4, len(kept))))
        offset = length[window] - length[at]
        weight = 1.0 / (1.0 + np.abs(offset) / WINDOW_MM)
        terms = np.stack([np.ones_like(offset), offset, offset**2][: min(3, len(offset))], axis=1)
        down[n] = np.linalg.lstsq(terms * weight[:, None], line[window] * weight[:, None], rcond=None)[0][1]
    return np.asarray(-down / np.linalg.norm(down, axis=1, keepdims=True))


def steady_anterior(directions: Sequence[Float | None], up: Float, trusted: NDArray[np.bool_]) -> Float:
    """Anterior directions along the spine, each seen with its neighbours.

    Adjacent vertebrae turn by a degree or two about the line; a single estimate errs by more, and by far more where a
    transverse process passes for body. So each direction is averaged with its neighbours', and the further it is from
    theirs, the less it weighs itself (half at 8°).

    Parameters
    ----------
    directions : n times (3,) float or None
        Estimates of any length from the head downward; None where there is none.
    up : (n, 3) float
        Superior unit vectors.
    trusted : (n,) bool
        Whose estimates count for their neighbours: a vertebra cut by the volume's edge misleads.

    Returns
    -------
    (n, 3) float
        Unit vectors perpendicular to ``up``; without any estimate the patient's anterior axis serves.
    """
    count = len(directions)
    flat = [None if d is None else _perpendicular(np.asarray(d, dtype=np.float64), up[n]) for n, d in enumerate(directions)]
    known = [n for n in range(count) if flat[n] is not None and trusted[n]]
    steady = np.zeros((count, 3))
    for n in range(count):
        total = np.zeros(3)
        for k in sorted((k for k in known if k != n), key=lambda k: (abs(k - n), k))[:4]:
            turned = _perpendicular(np.asarray(flat[k]), up[n])
            total += 0.0 if turned is None else turned * 0.5 ** abs(k - n)
        own = flat[n]
        length = float(np.linalg.norm(total))
        if own is not None and length > 0:
            off = np.degrees(np.arccos(np.clip(float(own @ total) / length, -1.0, 1.0)))
            total = total / length * min(length, NEIGHBOURS_SHARE) + own / (1.0 + (off / DOUBTFUL_DEG) ** 2)
        elif own is not None:
            total = own
        level = _perpendicular(total, up[n])
        if level is None:
            level = _perpendicular(np.array([0.0, 1.0, 0.0]), up[n])
        steady[n] = level if level is not None else np.cross(up[n], [1.0, 0.0, 0.0])
    return steady


def _perpendicular(direction: Float, up: Float) -> Float | None:
    """Unit vector of the part of a direction perpendicular to ``up``; None where hardly any is left."""
    flat = direction - up * (direction @ up)
    length = float(np.linalg.norm(flat))
    return flat / length if length > 0.2 * float(np.linalg.norm(direction)) and length > 0 else None
