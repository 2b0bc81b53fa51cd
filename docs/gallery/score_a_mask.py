"""Score a mask
============

Read what came out: ``python docs/gallery/score_a_mask.py [MASK] [-o DIR]``.
"""

# sphinx_gallery_thumbnail_path = "figures/report_demo_spine.png"

import argparse
from pathlib import Path

import shapekit as sk

DEMO = Path(__file__).resolve().parents[2] / "data" / "demo" / "demo_spine.nii.gz"

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("mask", nargs="?", type=Path, default=DEMO)
parser.add_argument("-o", "--output", type=Path, default=Path("out/gallery"))
arguments = parser.parse_args()

spine = sk.load(arguments.mask)
result = sk.score(spine)
table = result.table()
print(table[["level", "status", "score", "relative_loss", "neighbours_used"]].to_string(index=False, float_format="%.2f"))

worst = max((vertebra for vertebra in result if vertebra.status == "ok"), key=lambda vertebra: vertebra.score)
print(f"\nworst: {worst.level}, score {worst.score:.0f}, expected {worst.measures.expected_mm3:.0f} mm³, actual {worst.measures.actual_mm3:.0f} mm³")
folder = result.save(arguments.output, report=True)
print(f"open {folder / 'report.html'} in a browser")
