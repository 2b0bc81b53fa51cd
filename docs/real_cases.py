"""Print the tables of docs/real-cases.md: scores of the real cases beside the repository (shared/data), and the body cut against what is known."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

import shapekit as sk
from shapekit.core.values import Mesh
from shapekit.mesh import mesh_from_sdf, volume_mm3
from shapekit.spine import bodies_from_meshes, extract_bodies

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"
CASES = (
    "verse19/sub-verse004_seg-vert_msk.nii.gz",
    "verse19/sub-verse005_seg-vert_msk.nii.gz",
    "verse19/sub-verse006_seg-vert_msk.nii.gz",
    "verse19/sub-verse014_seg-vert_msk.nii.gz",
    "totalsegmentator/s0327_vertebrae_verse-labels.nii.gz",
    "healthy_reference/healthy_ref_mask.nii.gz",
    "totalsegmentator/example_vertebrae_verse-labels_v1.nii.gz",
    "tptbox/sub-ct_seg-vert_label-22_msk.nii.gz",
)


def grades():
    path = DATA / "verse19" / "genant_grades.csv"
    rows = [line.split(",") for line in path.read_text().splitlines()[1:]]
    return {(row[0], row[2]): row[3] for row in rows}


def show_scores(name, result, known):
    print(f"\n**{name}**\n\n| level | grade | score | relative loss | surface distance, mm | neighbours | status |\n|---|---|---|---|---|---|---|")
    for vertebra in result:
        row = vertebra.measures
        grade = known.get((name.split("_")[0], row.level), "")
        numbers = (
            (f"{row.score:.1f}", f"{row.relative_loss:.3f}", f"{row.surface_distance_mm:.2f}") if row.status in ("ok", "uncertain") else ("", "", "")
        )
        print(
            "|",
            " | ".join([row.level, grade, *numbers, row.neighbours_used, f"{row.status} {'(' + row.reason + ')' if row.reason else ''}".strip()]),
            "|",
        )


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def show_cuts():
    levels = ["L1", "L2", "L3", "L4", "L5"]
    spine = sk.load(DATA / CASES[-1])
    truth = sk.load(DATA / CASES[-1], body_mask=DATA / "tptbox/sub-ct_seg-subreg_label-22_msk.nii.gz").body_mask & (spine.array == 22)
    third = next(body for body in extract_bodies(spine, bodies="split")[0] if body.level is sk.Level.L3)
    print(f"\nTPTBox L3, Dice against sub-regions 49 and 50: {dice(third.sdf.sample(spine.grid.points()) < 0, truth):.3f}\n")
    spine = sk.load(DATA / CASES[0])
    points = json.loads((DATA / "verse19/sub-verse004_seg-subreg_ctd.json").read_text())[1:]
    given = {point["label"]: spine.grid.to_world([point["X"], point["Y"], point["Z"]]) for point in points}
    away = {str(body.level): float(np.linalg.norm(body.centre_mm - given[body.label])) for body in extract_bodies(spine)[0]}
    print("VerSe 004, distance from the given body centres, mm:", ", ".join(f"{level} {mm:.1f}" for level, mm in away.items()), "\n")
    posed = sk.load({level: DATA / f"remus_vhm/{level}_body.ply" for level in levels})
    whole = sk.load({level: DATA / f"remus_vhm/{level}_whole.ply" for level in levels})
    ratios = [
        (body.level, volume_mm3(mesh_from_sdf(body.sdf)) / volume_mm3(posed.meshes[body.level]))
        for body in bodies_from_meshes(whole, bodies="split")[0]
    ]
    print("Visible Human, volume of the cut body over the posed one:", ", ".join(f"{level} {ratio:.3f}" for level, ratio in ratios))
    # that model has x to the front and y to the left
    return replace(
        posed, meshes={level: Mesh(mesh.vertices @ np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]]), mesh.faces) for level, mesh in posed.meshes.items()}
    )


def main():
    if not DATA.exists():
        sys.exit("docs/real_cases.py needs the real cases in shared/data beside the repository.")
    known_grades = grades()
    for case in CASES:
        show_scores(Path(case).name.split(".")[0], sk.score(sk.load(DATA / case)), known_grades)
    show_scores("Visible Human bodies (meshes)", sk.score(show_cuts()), {})


if __name__ == "__main__":
    main()
