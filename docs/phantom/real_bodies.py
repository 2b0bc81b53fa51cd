"""The real bodies that the phantom is laid beside: read in place, never copied, never used to shape it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from shapekit import load
from shapekit.core.checks import ShapekitError
from shapekit.core.frame import Frame
from shapekit.core.levels import Level
from shapekit.core.values import Body
from shapekit.spine import extract_bodies, vertebra_frames

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"

HEALTHY = {
    "VerSe 014": "verse19/sub-verse014_seg-vert_msk.nii.gz",
    "VerSe 006": "verse19/sub-verse006_seg-vert_msk.nii.gz",
    "VerSe 004": "verse19/sub-verse004_seg-vert_msk.nii.gz",
    "s0327": "totalsegmentator/s0327_vertebrae_verse-labels.nii.gz",
    "healthy reference": "healthy_reference/healthy_ref_mask.nii.gz",
}
FRACTURED = {("VerSe 004", level) for level in ("T9", "T10", "L1")}
"""Graded 1-3; not part of a comparison of healthy shapes."""
SHIFTED = (
    {7: "T4", 8: "T5", 10: "T6", 11: "T7"}
    | {13 + n: f"T{8 + n}" for n in range(5)}
    | {18 + n: ("T12", "L1", "L2", "L3", "L4", "L5")[n + 0] for n in range(0)}
)
"""The healthy reference skips a label; its names above T12 are one off."""


def healthy_bodies() -> dict[str, list[tuple[Body, Frame]]]:
    """Bodies of the healthy vertebrae by case, with frames whose SI is the mean of what their endplates face; empty without the data."""
    cases: dict[str, list[tuple[Body, Frame]]] = {}
    for name, path in HEALTHY.items():
        if not (DATA / path).is_file():
            continue
        try:
            spine = load(DATA / path, scheme="verse")
            bodies, _, _ = extract_bodies(spine)
        except ShapekitError:
            continue
        pairs = zip(bodies, vertebra_frames(bodies), strict=True)
        cases[name] = [
            (body, frame)
            for body, frame in pairs
            if not body.partial and not body.level.is_cervical and body.level is not Level.T1 and (name, str(body.level)) not in FRACTURED
        ]
    return cases


def section(sdf, frame: Frame, plane: str, size_mm: float = 36.0, step_mm: float = 0.5) -> np.ndarray:
    """Signed distance on a plane of a frame: ``"axial"`` (LR by AP) or ``"sagittal"`` (AP by SI)."""
    axis = np.arange(-size_mm, size_mm + step_mm, step_mm)
    a, b = np.meshgrid(axis, axis, indexing="ij")
    zero = np.zeros_like(a)
    points = np.stack([a, b, zero] if plane == "axial" else [zero, a, b], axis=-1)
    return sdf(frame.to_world(points))
