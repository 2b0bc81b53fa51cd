"""Lay phantoms beside the real healthy bodies at hand (shared/data): shapes without their size, and how hard their neighbours are to guess from.

Prints the tables of docs/phantom.md and writes docs/figures/phantom_sections.png: outlines of both, scaled to one volume.
"""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

mpl.use("Agg")
import matplotlib.pyplot as plt

import shapekit as sk
from shapekit.core.frame import Frame
from shapekit.core.grid import Grid
from shapekit.core.levels import Level
from shapekit.core.values import Sdf
from shapekit.mesh import mesh_from_sdf
from shapekit.phantom.acquisition import acquire, scan_grid
from shapekit.phantom.patient import draw_patient, patient_generator
from shapekit.spine import patch_grid

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
REAL = {
    "verse19/sub-verse004_seg-vert_msk.nii.gz": {"T9", "T10", "L1"},  # fractured: left out
    "verse19/sub-verse006_seg-vert_msk.nii.gz": set(),
    "verse19/sub-verse014_seg-vert_msk.nii.gz": set(),
    "totalsegmentator/s0327_vertebrae_verse-labels.nii.gz": {"T1"},
    "healthy_reference/healthy_ref_mask.nii.gz": {"T1", "T3", "T4", "T6", "T7"},  # a label is skipped there: names above T7 are one off
}
INTACT = ("verse19/sub-verse014_seg-vert_msk.nii.gz", *list(REAL)[3:])
PHANTOMS = int(sys.argv[1]) if len(sys.argv) > 1 else 10
STEPS = np.array([0.01, 0.01, 0.01, 0.3, 0.3, 0.3])


def shape_of(vertebra):
    """A body's distance field and surface points about its own middle, along its own axes, scaled to 10 cm³."""
    frame = vertebra.frame
    values = vertebra._scored.body.sdf.sample(patch_grid(frame).points())
    scale = (1e4 / max(float((values < 0).sum()), 1.0)) ** (1 / 3)
    upright = patch_grid(Frame(np.zeros(3), np.eye(3)))
    affine = upright.affine.copy()
    affine[:3] *= scale
    field = Sdf(values * np.float32(scale), Grid(upright.shape, affine))
    return field, mesh_from_sdf(field).vertices[::9]


def distance(one, other):
    """Mean symmetric surface distance after the best rigid motion of one over the other, mm at 10 cm³."""
    (field_one, points_one), (field_other, points_other) = one, other

    def turned(step):
        return Rotation.from_rotvec(step[:3]).as_matrix()

    def gaps(step):
        there = field_other.sample(points_one @ turned(step).T + step[3:])
        back = field_one.sample((points_other - step[3:]) @ turned(step))
        return np.concatenate([there, back]).astype(float)

    def slopes(step):
        return np.stack([(gaps(step + h) - gaps(step - h)) / (2 * h.sum()) for h in np.diag(STEPS)], axis=1)

    best = least_squares(gaps, np.zeros(6), jac=slopes, method="lm", max_nfev=12).x
    found = np.abs(gaps(best))
    return (found[: len(points_one)].mean() + found[len(points_one) :].mean()) / 2


def two_sided(result, leave_out=()):
    rows = [v.measures for v in result if v.status == "ok" and v.measures.level not in leave_out]
    return [row.surface_distance_mm for row in rows if len(row.neighbours_used.split()) == 2]


def main():
    if not DATA.exists():
        sys.exit("docs/phantom/beside_real.py needs the real cases in shared/data beside the repository.")
    real, phantom = {}, {}
    hardness = {"real": [], "phantom": []}
    for path, leave_out in REAL.items():
        result = sk.score(sk.load(DATA / path, scheme="verse"), predictor="neighbours")
        if path in INTACT:
            hardness["real"] += two_sided(result)
        for v in result:
            if v._scored.body is not None and v.status != "partial" and v.measures.level not in leave_out and not v.level.is_cervical:
                real.setdefault(v.level, []).append(shape_of(v))
    for index in range(PHANTOMS):
        generator = patient_generator(77, index)
        patient = draw_patient(generator, fractures="none", name=f"phantom{index}")
        result = sk.score(acquire(patient, scan_grid(patient, (1.0, 1.0, 1.5)), generator=generator).labels, predictor="neighbours")
        hardness["phantom"] += two_sided(result)
        for v in result:
            if v.status != "partial":
                phantom.setdefault(v.level, []).append(shape_of(v))

    print("| level | real, phantoms | real to nearest real | phantom to nearest real | real to nearest phantom | among reals | among phantoms |")
    print("|---|---|---|---|---|---|---|")
    ratios = []
    for level in Level:
        ours, theirs = phantom.get(level, []), real.get(level, [])
        if len(theirs) < 2 or len(ours) < 3:
            continue
        among = np.array([[distance(a, b) if a is not b else np.nan for b in theirs] for a in theirs])
        across = np.array([[distance(a, b) for b in theirs] for a in ours])
        own = np.array([[distance(a, b) if a is not b else np.nan for b in ours[:5]] for a in ours[:5]])
        base = np.nanmin(among, axis=1).mean()
        row = [across.min(axis=1).mean(), across.min(axis=0).mean(), np.nanmean(among), np.nanmean(own)]
        ratios.append((row[0] / np.nanmean(among), row[1] / np.nanmean(among), row[3] / row[2]))
        print(f"| {level} | {len(theirs)}, {len(ours)} | {base:.2f} | " + " | ".join(f"{value:.2f}" for value in row) + " |")
    ratios = np.array(ratios).mean(axis=0)
    print(
        f"\nMean over levels, as multiples of the distance real bodies have among themselves: phantom to nearest real {ratios[0]:.2f}, "
        f"real to nearest phantom {ratios[1]:.2f}, phantoms among themselves {ratios[2]:.2f}.\n"
    )
    means = {name: float(np.mean(values)) for name, values in hardness.items()}
    print(
        f"Surface distance of the neighbour mean where both neighbours are whole: real {means['real']:.2f} mm ({len(hardness['real'])} bodies), "
        f"phantoms {means['phantom']:.2f} mm ({len(hardness['phantom'])} bodies), ratio {means['phantom'] / means['real']:.2f}."
    )

    columns = ("T8", "T10", "T12", "L2", "L4", "L5")
    figure, panels = plt.subplots(2, len(columns), figsize=(13, 4.8))
    upright = np.stack(np.meshgrid(np.arange(-30, 30.5, 0.5), np.arange(-30, 30.5, 0.5), indexing="ij"), axis=-1)
    for column, name in enumerate(columns):
        for row, (axes, title) in enumerate((((0, 1), "mid-height"), ((1, 2), "mid-sagittal"))):
            panel = panels[row, column]
            for bodies, colour, width in ((phantom, "0.65", 0.7), (real, "tab:orange", 1.4)):
                for field, _ in bodies.get(Level(name), []):
                    points = np.zeros((*upright.shape[:2], 3))
                    points[..., axes] = upright
                    panel.contour(*upright.transpose(2, 0, 1), field.sample(points), levels=[0], colors=colour, linewidths=width)
            panel.set(aspect="equal", xlim=(-24, 24), ylim=(-19, 19), xticks=[], yticks=[], title=f"{name}, {title}")
            panel.set_frame_on(False)
    figure.legend(
        handles=[plt.Line2D([], [], color=c, label=t) for c, t in (("tab:orange", "real"), ("0.65", "phantom"))], loc="lower center", ncols=2
    )
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    figure.savefig(ROOT / "docs" / "figures" / "phantom_sections.png", dpi=80, metadata={"Software": None})


if __name__ == "__main__":
    main()
