"""One small lumbar spine for the command line and the results: what it is, how it scores, and files of it."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK

import shapekit as sk
from shapekit.core.levels import Level
from shapekit.core.values import LabelMap
from shapekit.results import SpineScore
from tests.factories import OBLIQUE, body_spine

LABELS = {Level.L2: 21, Level.L3: 22, Level.L4: 23, Level.L5: 24}
BROKEN = Level.L4
KEPT = 2 / 3
AXES = OBLIQUE
"""Columns: which way right, anterior and superior of the spine lie in patient space."""
LPS = np.diag([-1.0, -1.0, 1.0])


@cache
def lumbar() -> tuple[LabelMap, dict[Level, float]]:
    """L2 to L5 as bodies, the upper third of L4 missing, and their true volumes, mm³."""
    return body_spine(crushed=BROKEN, keep=KEPT)


@cache
def healthy_volumes() -> dict[Level, float]:
    return body_spine()[1]


@cache
def lumbar_score() -> SpineScore:
    """Scored once for all tests that only look at what came out."""
    spine = replace(lumbar()[0], notes=("21 to 24 are L2 to L5",))
    return sk.score(spine, device="cpu")


def only(*levels: Level) -> np.ndarray:
    """The label array with these levels alone."""
    array = lumbar()[0].array
    return np.where(np.isin(array, [LABELS[level] for level in levels]), array, 0).astype(np.uint8)


def write(path: Path, array: np.ndarray | None = None, affine: np.ndarray | None = None) -> Path:
    """Write a mask as its suffix says, by the format's own library; the lumbar spine unless told otherwise."""
    array = lumbar()[0].array if array is None else array
    affine = lumbar()[0].grid.affine if affine is None else affine
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name.endswith((".nii", ".nii.gz")):
        nib.Nifti1Image(array, affine).to_filename(path)
        return path
    image = SimpleITK.GetImageFromArray(array.transpose())
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((LPS @ affine[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin((LPS @ affine[:3, 3]).tolist())
    SimpleITK.WriteImage(image, str(path), useCompression=True)
    return path
