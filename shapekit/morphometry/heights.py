"""Anterior, middle and posterior height of a vertebral body, and its height everywhere else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from shapekit.core.checks import InputError
from shapekit.core.values import Sdf

Float = NDArray[np.float64]

_NAN = float("nan")

BAND_MM = 5.0
"""Half width of the mid-sagittal band whose mean profile is measured."""
MIDDLE_BAND_MM = 9.0
"""Half width of the band across which a parabola is fitted for Hm: a depression is deepest on the midline, and its mean is not."""
RIM_FRACTION = 0.08
"""The rims' crests lie within this share of the depth from the front and from the back."""
STEEP = 1.0
"""An endplate ends where its profile falls faster than this (45°)."""
SMOOTH_MM = 3.0
"""Length over which the profile is averaged before its least height is sought: noise would make it too low."""


@dataclass(frozen=True)
class Heights:
    """Heights of one body, mm.

    Parameters
    ----------
    ha_mm, hm_mm, hp_mm : float
        Anterior, middle, posterior.
    ap_mm : (3,) float
        Where along AP they were measured, from the patch's middle, in the same order; not part of equality.
    """

    ha_mm: float
    hm_mm: float
    hp_mm: float
    ap_mm: tuple[float, float, float] = field(default=(_NAN, _NAN, _NAN), compare=False)

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
    lr, ap, si = patch_axes(patch)
    return HeightMap(lr, ap, _last_crossing(values, si), _last_crossing(values[:, :, ::-1], si[::-1]))


def measure_heights(patch: Sdf) -> Heights:
    """Ha, Hm and Hp on the mid-sagittal band of a body.

    Each endplate's profile is the mean over a band of 10 mm about the midline; it ends where it begins to fall faster than 45°.
    Ha and Hp are the distances along SI between the crests of both rims, each the outermost point of its endplate within the
    first and the last twelfth of the depth; Hm is the least distance in the middle third, on the midline of parabolas fitted across
    18 mm (the six points of Genant et al. 1993, J Bone Miner Res 8:1137).

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
    lr, ap, si = patch_axes(patch)
    values = patch.values.astype(np.float64)
    deepest, step = values.min(axis=(1, 2)), float(patch.grid.spacing_mm[0])
    if not (deepest < 0).any():
        raise InputError("the body is empty on its patch; its heights cannot be measured.")
    off = lr - float(_last_crossing(deepest, lr) + _last_crossing(deepest[::-1], lr[::-1])) / 2
    across = np.abs(off) < MIDDLE_BAND_MM + step / 2
    near, off = values[across], off[across]
    fields = _last_crossing(near, si), _last_crossing(near[:, :, ::-1], si[::-1])
    # a column counts by how much of it lies within the band, and one at the wall by how far it has entered the body: heights do not jump
    band, middle_band = (np.clip((half - np.abs(off)) / step + 0.5, 0.0, 1.0) for half in (BAND_MM, MIDDLE_BAND_MM))
    entered = np.clip(-2.0 * near.min(axis=2) / step, 0.0, 1.0)
    seen = band @ entered >= 0.5 * band.sum()
    if seen.sum() < 4:
        raise InputError("no body meets the middle of its patch; its heights cannot be measured.")
    entered, fields = entered[:, seen], (fields[0][:, seen], fields[1][:, seen])
    top, bottom = (_weighted_mean(field, band[:, None] * entered) for field in fields)
    ap_seen = ap[seen]
    upper_middle, lower_middle = (_on_midline(field, off, middle_band, entered) for field in fields)
    upper_back, upper_front = _edges(ap_seen, top)
    lower_back, lower_front = _edges(ap_seen, -bottom)
    back, front = (upper_back + lower_back) / 2, (upper_front + lower_front) / 2
    rim = RIM_FRACTION * (front - back)
    (a_top, a_up), (a_low, a_down) = _crest(ap_seen, top, upper_front - rim, upper_front), _crest(ap_seen, -bottom, lower_front - rim, lower_front)
    (p_top, p_up), (p_low, p_down) = _crest(ap_seen, top, upper_back, upper_back + rim), _crest(ap_seen, -bottom, lower_back, lower_back + rim)
    width = max(round(SMOOTH_MM / float(ap_seen[1] - ap_seen[0])) // 2 * 2 + 1, 1)
    smooth = np.convolve(np.pad(upper_middle - lower_middle, width // 2, mode="edge"), np.full(width, 1.0 / width), mode="valid")
    middle_third = np.linspace(back + (front - back) / 3, front - (front - back) / 3, 21)
    between = np.interp(middle_third, ap_seen, smooth)
    least = int(np.argmin(between))
    where = ((a_top + a_low) / 2, float(middle_third[least]), (p_top + p_low) / 2)
    return Heights(a_up + a_down, float(between[least]), p_up + p_down, where)


def patch_axes(patch: Sdf) -> tuple[Float, Float, Float]:
    """Places of a patch's voxels along LR, AP and SI from its middle, mm."""
    lr, ap, si = ((np.arange(side) - (side - 1) / 2) * step for side, step in zip(patch.grid.shape, patch.grid.spacing_mm, strict=True))
    return lr, ap, si


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


def _weighted_mean(field: Float, weight: Float) -> Float:
    """Mean along LR of a height field at every AP, (P,) mm, weighted by an array of its shape that is 0 where nothing is seen."""
    return np.asarray((weight * np.where(weight > 0, field, 0.0)).sum(axis=0) / weight.sum(axis=0))


def _on_midline(field: Float, lr: Float, weight: Float, entered: Float) -> Float:
    """Value at LR 0 of a parabola across every AP of a height field, (P,) mm; where a column is not seen its row's mean stands in."""
    filled = np.where(entered > 0, entered * field, 0.0) + (1.0 - entered) * _weighted_mean(field, weight[:, None] * entered)
    root = np.sqrt(weight)[:, None]
    return np.asarray(np.linalg.pinv(root * np.stack([np.ones_like(lr), lr, lr**2], axis=1))[0] @ (root * filled))


def _edges(ap: Float, outward: Float) -> tuple[float, float]:
    """AP of the back and the front edge of an endplate: where, going outward, its profile begins to fall faster than 45°."""
    return -_front_edge(-ap[::-1], outward[::-1]), _front_edge(ap, outward)


def _front_edge(ap: Float, outward: Float) -> float:
    """AP where the fall from one place to the next passes 45°, interpolated between the two; the last place where it never does."""
    fall, between = np.diff(outward) / np.diff(ap), (ap[:-1] + ap[1:]) / 2
    for n in range(max(len(ap) - 1 - len(ap) // 4, 1), len(ap) - 1):
        if fall[n] < -STEEP:
            share = (fall[n - 1] + STEEP) / (fall[n - 1] - fall[n]) if fall[n - 1] > -STEEP else 0.5
            return float(between[n - 1] + share * (between[n] - between[n - 1]))
    return float(ap[-1])


def _crest(ap: Float, outward: Float, start: float, stop: float) -> tuple[float, float]:
    """AP and SI of the highest point of an endplate's profile between two places."""
    along = np.linspace(start, stop, 9)
    level = np.interp(along, ap, outward)
    best = int(np.argmax(level))
    return float(along[best]), float(level[best])
