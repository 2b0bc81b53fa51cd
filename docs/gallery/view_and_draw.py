"""Shapes and figures of one vertebra
==================================

Take them, see where bone is missing, and draw it: ``python docs/gallery/view_and_draw.py [MASK] [-o DIR]``.
"""

# sphinx_gallery_thumbnail_path = "figures/card_demo_spine.png"

import argparse
from pathlib import Path

import numpy as np

import shapekit as sk
from shapekit.report.figure import save_figure
from shapekit.scoring.deficit import deficit_map

DEMO = Path(__file__).resolve().parents[2] / "data" / "demo" / "demo_spine.nii.gz"

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("mask", nargs="?", type=Path, default=DEMO)
parser.add_argument("-o", "--output", type=Path, default=Path("out/gallery"))
arguments = parser.parse_args()
arguments.output.mkdir(parents=True, exist_ok=True)

result = sk.score(sk.load(arguments.mask))
worst = max((vertebra for vertebra in result if vertebra.status == "ok"), key=lambda vertebra: vertebra.score)
deficit = deficit_map(worst.expected, worst.actual, worst.expected_frame)
low, middle, high = np.percentile(deficit.along_si_mm, (5, 50, 95))
print(f"{worst.level}: missing along its height {middle:.1f} mm (median), {low:.1f} to {high:.1f} mm (5 to 95 %)")

mesh = worst.mesh("actual")  # vertices (n, 3) in mm, RAS, and faces: any mesh library takes them
print(f"actual surface: {len(mesh.vertices)} vertices, {len(mesh.faces)} triangles")
print(save_figure(result.figure(), arguments.output / "spine.png"))
print(save_figure(result.figure(str(worst.level)), arguments.output / "vertebra.svg"))
