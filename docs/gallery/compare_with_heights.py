"""Compare the score with height losses
====================================

Beside the classical way: ``python docs/gallery/compare_with_heights.py [MASK]``.
"""

# sphinx_gallery_thumbnail_path = "figures/heights.png"

import argparse
from pathlib import Path

import shapekit as sk

DEMO = Path(__file__).resolve().parents[2] / "data" / "demo" / "demo_spine.nii.gz"

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("mask", nargs="?", type=Path, default=DEMO)
arguments = parser.parse_args()

table = sk.score(sk.load(arguments.mask)).table().query("status == 'ok'")
# against the expected body, and against the nearest unfractured vertebrae
columns = ["level", "score", "height_loss", "height_loss_neighbours", "genant_grade", "deformity"]
print(table[columns].to_string(index=False, float_format="%.2f"))
ranks = table[["score", "height_loss", "height_loss_neighbours"]].rank().corr()
print("\nrank correlation with the score:")
for name in ("height_loss", "height_loss_neighbours"):
    print(f"  {name}: {ranks.loc['score', name]:.2f}")
