"""A cohort as a figure
====================

Score a small cohort of phantoms and draw it by true grade: ``python docs/gallery/cohort_figure.py [-n PATIENTS] [-o DIR]``.

Phantoms know their truth, so the figure shows how the score separates grades; it says nothing about patients.
"""

# sphinx_gallery_thumbnail_path = "figures/reproduce_phantom.png"

import argparse
import math
from pathlib import Path

import shapekit as sk
from shapekit.datasets import read_cohort, write_cohort
from shapekit.report.figure import draw_scores, save_figure

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("-n", "--patients", type=int, default=16)
parser.add_argument("-o", "--output", type=Path, default=Path("out/gallery"))
arguments = parser.parse_args()

cohort = arguments.output / "phantoms"
if not cohort.exists():
    write_cohort(cohort, arguments.patients, seed=2022)

groups = {str(grade): [] for grade in range(4)}
known = []
for case in read_cohort(cohort):
    for vertebra in sk.score(sk.load(case.mask, scheme=case.scheme)):
        if not math.isnan(vertebra.score):
            groups[str(case.grades[vertebra.level])].append(vertebra.score)
            known.append(vertebra)
for grade, scores in groups.items():
    median = f"median score {sorted(scores)[len(scores) // 2]:.1f}" if scores else "none"
    print(f"grade {grade}: {len(scores)} vertebrae, {median}")

# examples from green to red: those nearest to 0, 25 … 100
examples = {min(known, key=lambda vertebra: abs(vertebra.score - wanted)) for wanted in (0, 25, 50, 75, 100)}
figure = draw_scores(groups, [vertebra.scored for vertebra in examples], group_name="Genant grade (truth)")
print(save_figure(figure, arguments.output / "cohort.png"))
