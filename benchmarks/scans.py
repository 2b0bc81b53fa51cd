"""The scans that the benchmarks read: synthetic patients of three sizes, drawn once and kept under out/benchmarks/scans.

small   VerSe 004's size and voxels: 161 x 338 x 61 of 1 x 1 x 2 mm, 9 vertebrae, sagittal slices
large   512 x 512 x 600 of 0.8 x 0.8 x 1.0 mm, 17 vertebrae (T1 to L5)
cohort  as many as are asked for, each with its own patient, spacing and field of view
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import shapekit as sk
from shapekit.core.grid import Grid
from shapekit.datasets.phantom import read_cohort, write_cohort
from shapekit.io.nifti import write_label_map
from shapekit.phantom import acquire, draw_patient

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "out" / "benchmarks" / "scans"
VERSE_004 = ROOT.parent / "shared" / "data" / "verse19" / "sub-verse004_seg-vert_msk.nii.gz"
SIZES = {
    "small": ((161, 338, 61), "PIR", (1.0, 1.0, 2.0), "T9 T10 T11 T12 L1 L2 L3 L4 L5"),
    "large": ((512, 512, 600), "LPS", (0.8, 0.8, 1.0), "T1 T2 T3 T4 T5 T6 T7 T8 T9 T10 T11 T12 L1 L2 L3 L4 L5"),
}
DIRECTIONS = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}


def scan(size: str) -> Path:
    """Path of the small or the large scan, drawn when it is not there yet (the large one takes about half a minute)."""
    path = KEPT / f"{size}.nii.gz"
    if not path.exists():
        shape, axes, spacing, names = SIZES[size]
        path.parent.mkdir(parents=True, exist_ok=True)
        spine = draw(shape, axes, spacing, names.split())
        write_label_map(path, spine.array, spine.grid)
    return path


def draw(shape, axes, spacing, names, seed=4):
    """A patient's label map of a given shape, orientation (such as LPS) and spacing, the spine in its middle."""
    patient = draw_patient(seed, levels=[sk.Level(name) for name in names])
    places = np.concatenate([vertebra.mesh().vertices for vertebra in patient])
    middle = (places.min(axis=0) + places.max(axis=0)) / 2 - (0.0, 20.0, 0.0)  # arches lie behind
    affine = np.eye(4)
    affine[:3, :3] = 0.0
    for axis, letter in enumerate(axes):
        where, sign = DIRECTIONS[letter]
        affine[where, axis] = sign * spacing[axis]
    affine[:3, 3] = middle - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return acquire(patient, Grid(shape, affine), generator=np.random.default_rng(seed)).labels


def cohort(patients: int) -> list[Path]:
    """Masks of a cohort of whole vertebrae (a second and a half to draw each)."""
    folder = KEPT / f"cohort{patients}"
    if not folder.exists():
        write_cohort(folder, patients, seed=9)
    return [case.mask for case in read_cohort(folder)]


def highest(path):
    """Level and score of the vertebra that departs most; sent to a process."""
    result = sk.score(sk.load(path))
    return max((one.score, str(one.level)) for one in result if one.status == "ok")


def drawn(spacing_mm: float) -> Path:
    """One whole patient on cubic voxels, drawn when it is not there yet."""
    path = KEPT / f"cubic{spacing_mm:g}.nii.gz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        sides = [round(side / spacing_mm) for side in (128.0, 160.0, 512.0)]
        spine = draw((sides[0], sides[1], sides[2]), "RAS", (spacing_mm,) * 3, SIZES["large"][3].split())
        write_label_map(path, spine.array, spine.grid)
    return path
