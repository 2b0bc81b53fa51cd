"""Anterior, middle and posterior height of a vertebral body, and its height everywhere else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shapekit.core.checks import InputError
from shapekit.core.values import Sdf

Float = NDArray[np.float64]

BAND_MM = 5.0
"""Half width of the mid-sagittal band whose mean profile is measured."""
RIM_FRACTION = 0.1
"""Ha and Hp are taken this share of the depth behind the front and before the back: on the crests of the rims."""
SMOOTH_MM = 3.0
"""Length over which the profile is averaged before its least height is sought: noise would make it too low."""


@dataclass(frozen=True)
class Heights:
    """Heights of one body, mm.

    Parameters
    ----------
    ha_mm, hm_mm, hp_mm : float
        Anterior, middle, posterior.
    """

    ha_mm: float
    hm_mm: float
    hp_mm: float

    def __iter__(self) -> Iterator[float]:
        """Ha, Hm, Hp in this order."""
        return iter((self.ha_mm, self.hm_mm, self.hp_mm))


@dataclass(frozen=True, eq=False)
class HeightMap:
    """Both endplates as height fields over a patch's (LR, AP) plane, mm from the patch's middle; NaN beside the body.

    Parameters
    ----------
    lr_mm : (L,) float
    ap_mm : (P,) float
    superior_mm, inferior_mm : (L, P) float
        SI of the highest and the lowest point of the body above and below each (LR, AP).
    """

    lr_mm: Float
    ap_mm: Float
    superior_mm: Float
    inferior_mm: Float

    @property
    def height_mm(self) -> Float:
        """Distance between the endplates along SI, (L, P) mm; NaN beside the body."""
        return self.superior_mm - self.inferior_mm


def height_map(patch: Sdf) -> HeightMap:
    """Measure a body's endplates as height fields.

    Parameters
    ----------
    patch : Sdf
        On a grid whose array axes are the body's (LR, AP, SI).

    Returns
    -------
    HeightMap

    Examples
    --------
    >>> from shapekit.phantom import body_patch, draw_patient
    >>> vertebra = draw_patient(1, levels=["L2"], fractures="none")["L2"]
    >>> found = height_map(body_patch(vertebra, vertebra.frame()))
    >>> found.height_mm.shape
    (80, 64)
    """
    values = patch.values.astype(np.float64)
    lr, ap, si = (_axis_mm(patch, axis) for axis in range(3))
    return HeightMap(lr, ap, _last_crossing(values, si), _last_crossing(values[:, :, ::-1], si[::-1]))


def measure_heights(patch: Sdf) -> Heights:
    """Ha, Hm and Hp on the mid-sagittal band of a body.

    The profile is the mean over a band of 10 mm about the midline. Its depth runs from the back to the front of the body, each
    the mean of the greatest reach in the upper and the lower half. Ha and Hp are the distances between the endplates along SI a
    tenth of the depth from the front and from the back, where the rims have their crests; Hm is the least distance in the
    middle third (the six points of Genant et al. 1993, J Bone Miner Res 8:1137).

    Parameters
    ----------
    patch : Sdf
        On a grid whose array axes are the body's (LR, AP, SI), the body near its middle.

    Returns
    -------
    Heights

    Raises
    ------
    InputError
        If no body meets the middle of the patch.

    Examples
    --------
    >>> from shapekit.phantom import body_patch, draw_patient
    >>> vertebra = draw_patient(1, levels=["L2"], fractures="none")["L2"]
    >>> measured, true = measure_heights(body_patch(vertebra, vertebra.frame())), vertebra.actual.heights_mm()
    >>> max(abs(m - t) for m, t in zip(measured, true)) < 0.3
    True
    """
    values = patch.values.astype(np.float64)
    lr, ap, si = (_axis_mm(patch, axis) for axis in range(3))
    inside = np.argwhere(values < 0)
    if not len(inside):
        raise InputError("the body is empty on its patch; its heights cannot be measured.")
    middle = (lr[inside[:, 0].min()] + lr[inside[:, 0].max()]) / 2
    band = values[np.abs(lr - middle) <= BAND_MM]
    tops, bottoms = (_last_crossing(v, s) for v, s in ((band, si), (band[:, :, ::-1], si[::-1])))
    seen = np.isfinite(tops).mean(axis=0) >= 0.5
    if seen.sum() < 4:
        raise InputError("no body meets the middle of its patch; its heights cannot be measured.")
    top, bottom = np.nanmean(tops[:, seen], axis=0), np.nanmean(bottoms[:, seen], axis=0)
    ap_seen = ap[seen]
    back, front = _depth_span(band.mean(axis=0), ap, si)
    profile = top - bottom
    step = float(ap_seen[1] - ap_seen[0])
    width = max(int(round(SMOOTH_MM / step)) // 2 * 2 + 1, 1)
    smooth = np.convolve(np.pad(profile, width // 2, mode="edge"), np.full(width, 1.0 / width), mode="valid")
    depth = front - back
    ha, hp = np.interp([front - RIM_FRACTION * depth, back + RIM_FRACTION * depth], ap_seen, profile)
    hm = np.interp(np.linspace(back + depth / 3, front - depth / 3, 21), ap_seen, smooth).min()
    return Heights(float(ha), float(hm), float(hp))


def _axis_mm(patch: Sdf, axis: int) -> Float:
    side = patch.grid.shape[axis]
    return np.asarray((np.arange(side) - (side - 1) / 2) * patch.grid.spacing_mm[axis])


def _last_crossing(values: Float, along: Float) -> Float:
    """Where the last axis leaves the body for the last time, interpolated linearly; NaN where it never enters."""
    inside = values < 0
    count = values.shape[-1]
    last = count - 1 - inside[..., ::-1].argmax(axis=-1)
    after = np.minimum(last + 1, count - 1)
    here = np.take_along_axis(values, last[..., None], -1)[..., 0]
    there = np.take_along_axis(values, after[..., None], -1)[..., 0]
    share = np.where(there > here, here / np.where(there > here, here - there, 1.0), 0.0)
    reached = along[last] + np.clip(share, 0.0, 1.0) * (along[after] - along[last])
    return np.where(inside.any(axis=-1), reached, np.nan)


def _depth_span(section: Float, ap: Float, si: Float) -> tuple[float, float]:
    """AP of the back and the front of a mid-sagittal section (AP, SI): the greatest reach, mean of the upper and the lower half."""
    rows = section.T
    front, back = _last_crossing(rows, ap), _last_crossing(rows[:, ::-1], ap[::-1])
    seen = np.flatnonzero(np.isfinite(front))
    middle = (si[seen[0]] + si[seen[-1]]) / 2
    halves = [seen[si[seen] >= middle], seen[si[seen] < middle]]
    return float(np.mean([back[h].min() for h in halves if len(h)])), float(np.mean([front[h].max() for h in halves if len(h)]))
