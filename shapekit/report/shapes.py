"""The shapes a report shows: surfaces on a lattice coarse enough to send, and cuts through the middle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shapekit.core.frame import Frame
from shapekit.core.grid import Grid
from shapekit.core.values import Mesh, Sdf
from shapekit.mesh import mesh_from_sdf, smooth_mesh
from shapekit.pipeline import Scored
from shapekit.scoring.deficit import Deficit, deficit_map
from shapekit.sdf import resample_sdf

Float = NDArray[np.float64]

SPACING_MM = 1.8
"""Lattice of the surfaces: 0.1 mm from those at 1 mm, at a third of their triangles."""
CUT_MM = 0.5


def actual_sdf(one: Scored) -> Sdf | None:
    """Signed distance (mm) of the actual body: on the expected one's patch where there is one."""
    if one.actual is not None:
        return one.actual
    return one.body.sdf if one.body is not None else None


def actual_surface(one: Scored, spacing_mm: float = SPACING_MM) -> Mesh | None:
    """Closed surface of the actual body (mm, RAS); None where there is no body or it is too small to show."""
    sdf = actual_sdf(one)
    coarse = None if sdf is None else _coarsened(sdf, spacing_mm)
    return None if coarse is None or float(coarse.values.min()) >= 0 else smooth_mesh(mesh_from_sdf(coarse))


def expected_surface(one: Scored, spacing_mm: float = SPACING_MM) -> Deficit | None:
    """Closed surface of the expected body (mm, RAS) with what is missing below it; None where nothing was expected."""
    if one.expected is None or one.actual is None or float(one.actual.values.min()) >= 0:
        return None
    return deficit_map(_coarsened(one.expected.sdf, spacing_mm), one.actual, one.expected.frame)


def midsagittal_outline(sdf: Sdf, frame: Frame, half_mm: float = 36.0) -> list[Float]:
    """Outlines of a shape in the plane of a frame's AP and SI axes.

    Parameters
    ----------
    sdf : Sdf
    frame : Frame
        The plane runs through its origin.
    half_mm : float
        How far the plane reaches in each direction.

    Returns
    -------
    list of (n, 2) float
        Polylines of (AP, SI) in mm from the frame's origin; closed ones end where they begin.
    """
    from skimage.measure import find_contours

    side = np.arange(-half_mm, half_mm + CUT_MM / 2, CUT_MM)
    ap, si = np.meshgrid(side, side, indexing="ij")
    field = sdf.sample(frame.to_world(np.stack([np.zeros_like(ap), ap, si], axis=-1)))
    return [np.asarray(line * CUT_MM - half_mm) for line in find_contours(np.asarray(field, dtype=np.float64), 0.0)]


def _coarsened(sdf: Sdf, spacing_mm: float) -> Sdf:
    """Resample on cubes of ``spacing_mm`` along the same axes, about the same middle."""
    extent = (np.array(sdf.grid.shape) - 1) * sdf.grid.spacing_mm
    sides = np.maximum(2, np.ceil(extent / spacing_mm).astype(int) + 1)
    affine = np.eye(4)
    affine[:3, :3] = sdf.grid.affine[:3, :3] / sdf.grid.spacing_mm * spacing_mm
    middle = sdf.grid.to_world((np.array(sdf.grid.shape) - 1) / 2)
    affine[:3, 3] = middle - affine[:3, :3] @ ((sides - 1) / 2)
    return resample_sdf(sdf, Grid((int(sides[0]), int(sides[1]), int(sides[2])), affine))
