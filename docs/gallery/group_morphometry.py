"""Group morphometry
=================

Mean shapes, reference ranges by sex and scan-rescan repeatability of a small cohort:
``python docs/gallery/group_morphometry.py [-n PATIENTS] [-o DIR]``.

The people are synthetic, without fractures, and each is scanned twice on different grids.
"""

# sphinx_gallery_thumbnail_path = "figures/mean_shapes.png"

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

import shapekit as sk
from shapekit.core.values import LabelMap
from shapekit.phantom import acquire, draw_patient, patient_generator, scan_grid
from shapekit.study import mean_shapes, reference_ranges, repeatability, with_covariates

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("-n", "--patients", type=int, default=6)
parser.add_argument("-o", "--output", type=Path, default=Path("out/gallery"))
arguments = parser.parse_args()
arguments.output.mkdir(parents=True, exist_ok=True)

# %%
# Score everybody, twice
# ----------------------
# The tables keep the case's name; here it begins with ``sub-<label>``, as BIDS has it.
spines, tables, people = [], [], []
for n in range(arguments.patients):
    generator = patient_generator(2024, n)
    patient = draw_patient(generator, levels=["T12", "L1", "L2", "L3"], sex="FM"[n % 2], fractures="none")
    people.append({"participant_id": f"sub-{n:02d}", "sex": patient.sex, "age": int(generator.integers(50, 85))})
    for scan, spacing in enumerate(((0.9, 0.9, 1.0), (1.0, 1.0, 2.0)), start=1):
        labels: LabelMap = acquire(patient, scan_grid(patient, spacing), generator=generator).labels
        result = sk.score(labels, predictor="linear")
        tables.append(result.table().assign(case=f"sub-{n:02d}_run-{scan}", scan=scan))
        spines += [result] if scan == 1 else []
table = with_covariates(pd.concat(tables, ignore_index=True), pd.DataFrame(people))
print(table[["case", "level", "sex", "age", "score", "ha_mm"]].head(4).to_string(index=False, float_format="%.1f"))

# %%
# Reference ranges
# ----------------
# Of the first scans, by level and sex. With so few people only the median has a value: percentiles near the ends stay empty
# rather than being guessed (39 are needed for the 2.5th, 119 for its interval).
ranges = reference_ranges(table[table["scan"] == 1], ["ha_mm"], by=["level", "sex"])
print(ranges.query("percentile == 50").to_string(index=False, float_format="%.1f"))

# %%
# Repeatability
# -------------
# Which differences between two scans of one vertebra mean something.
agreement = repeatability(table, ["ha_mm", "score", "relative_loss"])
columns = ["column", "targets", "within_sd", "repeatability", "icc_2_1", "bias", "limit_low", "limit_high"]
print(agreement[columns].to_string(index=False, float_format="%.3f"))

# %%
# Mean shapes
# -----------
# In the vertebra's own frame, at true size; the spread is that of the surface along its normal.
shapes = mean_shapes(spines, kind="actual")
for level, shape in shapes.items():
    lr, ap, si = np.ptp(shape.mesh.vertices, axis=0)
    print(f"{level}: {shape.count} bodies, {lr:.1f} x {ap:.1f} x {si:.1f} mm (LR, AP, SI), SD {shape.sd_mm.mean():.2f} mm on average")

from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

figure = Figure(figsize=(3.2 * len(shapes) + 0.8, 3.2), layout="constrained")
limit = max(float(np.percentile(shape.sd_mm, 98)) for shape in shapes.values())
for axes, (level, shape) in zip(np.atleast_1d(figure.subplots(1, len(shapes), sharey=True, sharex=True)), shapes.items(), strict=True):
    corners = shape.mesh.vertices[shape.mesh.faces]  # LR, AP, SI; seen from the left, anterior to the left
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    seen = np.flatnonzero(normals[:, 0] < 0)
    seen = seen[np.argsort(-corners[seen, :, 0].mean(axis=1))]
    drawn = PolyCollection(corners[seen][:, :, 1:] * (-1, 1), array=shape.sd_mm[shape.mesh.faces[seen]].mean(axis=1), cmap="viridis")
    drawn.set(clim=(0, limit), edgecolor="face", linewidth=0.3)
    axes.add_collection(drawn)
    axes.set(title=f"{level}, n = {shape.count}", aspect="equal", xlim=(-21, 21), ylim=(-17, 17), xlabel="anterior   mm   posterior")
figure.colorbar(drawn, ax=figure.axes, label="SD of the surface, mm")
figure.savefig(arguments.output / "mean_shapes.png", dpi=90)
print(arguments.output / "mean_shapes.png")
