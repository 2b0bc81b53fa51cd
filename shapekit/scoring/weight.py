"""The Gaussian weight's size: how wide and how deep the actual body is through its middle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shapekit.core.checks import InputError
from shapekit.core.conventions import AP, LR
from shapekit.core.grid import centre_of
from shapekit.core.values import Sdf
from shapekit.ops import sample_field

BUNDLE_MM = 2.0
"""Lines run through a square of this half side about the centre; the chord is their median, so no single voxel decides."""
STEP_MM = 0.25
SIGMA_SHARE = 1.0 / 6.0


def chord_lengths(actual: Sdf) -> tuple[float, float]:
    """Length of a body along LR and along AP through its centre of volume, mm.

    Parameters
    ----------
    actual : Sdf
        On a patch whose axes are (LR, AP, SI).

    Returns
    -------
    l_lr_mm, l_ap_mm : float

    Raises
    ------
    InputError
        If no line through the middle meets the body.
    """
    inside = actual.values < 0
    if not inside.any():
        raise InputError("the actual body is empty on its patch.")
    spacing = actual.grid.spacing_mm
    middle = centre_of(inside) * spacing
    lines = [_lines(actual, middle, axis) for axis in (LR, AP)]
    where = actual.grid.to_world(np.concatenate([along.reshape(-1, 3) for along in lines]) / spacing)
    values = sample_field(actual.values, actual.grid, where)
    along_lr, along_ap = np.split(values, [lines[0].size // 3])
    return _chord(along_lr.reshape(lines[0].shape[:-1])), _chord(along_ap.reshape(lines[1].shape[:-1]))


def _lines(actual: Sdf, middle: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Points along a bundle of lines, (u, v, s, 3) mm from the patch's first voxel."""
    spacing = actual.grid.spacing_mm
    along = np.arange(0.0, (actual.grid.shape[axis] - 1) * spacing[axis], STEP_MM)
    across = np.linspace(-BUNDLE_MM, BUNDLE_MM, 5)
    u, v, s = np.meshgrid(across, across, along, indexing="ij")
    where = np.zeros((*s.shape, 3))
    first, second = (n for n in range(3) if n != axis)
    where[..., axis], where[..., first], where[..., second] = s, middle[first] + u, middle[second] + v
    return where


def _chord(values: NDArray[np.float32]) -> float:
    """Median length inside the body of lines along the last axis, mm."""
    # a linear ramp over one step about zero measures the length inside without stairs
    lengths = np.clip(0.5 - values / STEP_MM, 0.0, 1.0).sum(axis=-1) * STEP_MM
    met = lengths[lengths > 0]
    if not len(met):
        raise InputError("no line through the middle of the actual body meets it.")
    return float(np.median(met))
