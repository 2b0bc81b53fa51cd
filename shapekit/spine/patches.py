"""Patches: boxes along a vertebra's axes on which expected and actual shapes meet."""

from __future__ import annotations

import numpy as np

from shapekit.core.conventions import PATCH_MARGIN_MM, PATCH_SHAPE, PATCH_SPACING_MM
from shapekit.core.frame import Frame
from shapekit.core.grid import Grid
from shapekit.core.values import Body, Sdf
from shapekit.sdf import resample_sdf


def patch_grid(frame: Frame) -> Grid:
    """Grid of the 80 x 64 x 64 mm patch along a frame's (LR, AP, SI) axes, the frame's origin at its middle."""
    return Grid.from_frame(frame, PATCH_SHAPE, PATCH_SPACING_MM)


def body_on_patch(body: Body, frame: Frame) -> Sdf:
    """Resample a body's signed distance (mm) on the patch of a frame."""
    return resample_sdf(body.sdf, patch_grid(frame))


def nears_edge(patch: Sdf) -> bool:
    """Tell whether the shape on a patch comes nearer than 4 mm to its edge."""
    faces = [np.take(patch.values, side, axis=axis) for axis in range(3) for side in (0, -1)]
    return bool(min(float(face.min()) for face in faces) < PATCH_MARGIN_MM)
