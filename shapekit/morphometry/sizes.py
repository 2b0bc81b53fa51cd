"""Heights, width and depth of a vertebral body: what it can be compared by with the size it should have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shapekit.core.values import Sdf
from shapekit.morphometry.heights import Heights, measure_heights, patch_axes

WAIST_SD_MM = 2.0
"""Sections count as a Gaussian of this width about the body's middle height has them."""
LEAST_MM = 0.1

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Sizes:
    """Heights of one body, and its width and depth about its middle height, mm.

    Parameters
    ----------
    heights : Heights
    width_mm, depth_mm : float
        Along LR and AP: of the ellipse that has the second moments of the body's sections.
    """

    heights: Heights
    width_mm: float
    depth_mm: float

    @property
    def logarithms(self) -> Float:
        """Natural logarithms of Ha, Hm, Hp, width and depth in mm, (5,); a size below a tenth of a millimetre counts as that."""
        return np.asarray(np.log(np.maximum([*self.heights, self.width_mm, self.depth_mm], LEAST_MM)))


def measure_sizes(patch: Sdf) -> Sizes:
    """Measure a body's heights, and its width and depth where fractures change them least: about its middle height.

    Parameters
    ----------
    patch : Sdf
        On a grid whose array axes are the body's (LR, AP, SI), the body near its middle.

    Returns
    -------
    Sizes

    Raises
    ------
    InputError
        If no body meets the middle of the patch.

    Examples
    --------
    >>> from shapekit.phantom import body_patch, draw_patient
    >>> vertebra = draw_patient(1, levels=["L2"], fractures="none")["L2"]
    >>> found = measure_sizes(body_patch(vertebra, vertebra.frame()))
    >>> 25 < found.depth_mm < found.width_mm < 45
    True
    """
    heights = measure_heights(patch)
    lr, ap, si = patch_axes(patch)
    occupied = np.clip(0.5 - patch.values / float(patch.grid.spacing_mm[0]), 0.0, 1.0)
    middle = float(occupied.sum(axis=(0, 1)) @ si / occupied.sum())
    weight = np.exp(-0.5 * ((si - middle) / WAIST_SD_MM) ** 2)
    section = np.minimum(2.0 * (occupied @ weight) / weight.sum(), 1.0)  # what is thin here counts no less than what is thick
    return Sizes(heights, _extent(section.sum(axis=1), lr), _extent(section.sum(axis=0), ap))


def _extent(mass: Float, along: Float) -> float:
    """Axis of the ellipse that has the second moment of a mass."""
    centre = mass @ along / mass.sum()
    return float(4.0 * np.sqrt(mass @ (along - centre) ** 2 / mass.sum()))
