"""Lay phantoms of either build beside the real healthy bodies at hand (shared/data): prints a table of docs/phantom.md."""

import sys
from pathlib import Path

import numpy as np
from scipy.spatial import ConvexHull
from skimage.measure import find_contours

import shapekit as sk
from shapekit.core.levels import Level
from shapekit.phantom import BUILDS, acquire, draw_patient, patient_generator, scan_grid
from shapekit.spine import patch_grid

sys.path.insert(0, str(Path(__file__).parent))
from beside_real import DATA, REAL

PHANTOMS = int(sys.argv[1]) if len(sys.argv) > 1 else 12
GROUPS = {"T8-T10": ("T8", "T9", "T10"), "T11-L1": ("T11", "T12", "L1"), "L2-L4": ("L2", "L3", "L4"), "L5": ("L5",)}
MEASURES = ("volume / hull", "mid-height section / hull", "mid-sagittal section / hull", "mid width / rim width", "sag of both endplates, mm")


def build_of(vertebra):
    """How far a body is from convex, as a whole and in two sections, how narrow its waist is, and how far its endplates sag."""
    heights = vertebra.measures
    sag = (heights.ha_mm + heights.hp_mm) / 2 - heights.hm_mm
    grid = patch_grid(vertebra.frame)
    field = vertebra._scored.body.sdf.sample(grid.points())
    inside = np.argwhere(field < 0)
    corners = (inside[:, None] + np.array(np.meshgrid(*[[-0.5, 0.5]] * 3)).reshape(3, -1).T).reshape(-1, 3)
    low, high = inside[:, 2].min(), inside[:, 2].max()
    at = [round(low + share * (high - low)) for share in (0.05, 0.28, 0.4, 0.6, 0.72, 0.95)]
    width = np.array([np.ptp(inside[inside[:, 2] == k, 0]) + 1.0 if (inside[:, 2] == k).any() else 0.0 for k in range(field.shape[2])])
    rims = (width[at[0] : at[1] + 1].max() + width[at[4] : at[5] + 1].max()) / 2
    sections = (field[:, :, (low + high) // 2], field[field.shape[0] // 2])
    return [len(inside) / ConvexHull(corners).volume, *(convexity(part) for part in sections), width[at[2] : at[3] + 1].mean() / rims, sag]


def convexity(section):
    """Area inside the largest outline of a section, over that of its convex hull."""
    line = max(find_contours(section, 0.0), key=len)
    x, y = line[:-1].T
    return 0.5 * abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / ConvexHull(line).volume


def gather(found, result, leave_out=()):
    for vertebra in result:
        if vertebra.status == "ok" and vertebra.measures.level not in leave_out:
            found.setdefault(vertebra.level, []).append(build_of(vertebra))


def main():
    if not DATA.exists():
        sys.exit("docs/phantom/builds.py needs the real cases in shared/data beside the repository.")
    sources = {"real": {}, **{build: {} for build in BUILDS}}
    for path, leave_out in REAL.items():
        gather(sources["real"], sk.score(sk.load(DATA / path, scheme="verse"), predictor="neighbours"), leave_out)
    for build in BUILDS:
        for index in range(PHANTOMS):
            generator = patient_generator(77, index)
            patient = draw_patient(generator, fractures="none", build=build)
            scan = acquire(patient, scan_grid(patient, (1.0, 1.0, 1.5)), generator=generator)
            gather(sources[build], sk.score(scan.labels, predictor="neighbours", bodies="split"))
    print(f"| levels | | {' | '.join(MEASURES)} |\n|---|---|{'---|' * len(MEASURES)}")
    for name, levels in GROUPS.items():
        for source, found in sources.items():
            rows = np.array([row for level in levels for row in found.get(Level(level), [])])
            shown = " | ".join(f"{mean:.3f} ± {sd:.3f}" for mean, sd in zip(rows.mean(axis=0), rows.std(axis=0), strict=True))
            print(f"| {name} | {source} ({len(rows)}) | {shown} |")


if __name__ == "__main__":
    main()
