"""Draw where Ha, Hm and Hp are measured: docs/figures/heights.png, on a synthetic wedge and its healthy twin."""

from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
import matplotlib.pyplot as plt

from shapekit.morphometry import height_map, measure_heights
from shapekit.phantom.patient import body_patch, demo_patient

vertebra = demo_patient()["T8"]
figure, panels = plt.subplots(1, 3, figsize=(12, 3.6), width_ratios=(1, 1, 1.15))
for panel, which, title in ((panels[0], "healthy", "healthy twin"), (panels[1], "actual", "wedge fracture")):
    patch = body_patch(vertebra, vertebra.frame("healthy"), which=which)
    found, maps = measure_heights(patch), height_map(patch)
    band = np.abs(maps.lr_mm) <= 5.0
    section = patch.values[band].mean(axis=0)
    panel.contourf(maps.ap_mm, maps.ap_mm, section.T, levels=[-99, 0], colors=["0.85"])
    panel.contour(maps.ap_mm, maps.ap_mm, section.T, levels=[0], colors=["0.3"], linewidths=1.0)
    seen = np.isfinite(maps.height_mm[band]).mean(axis=0) > 0.5
    top, low = (np.nanmean(side[band][:, seen], axis=0) for side in (maps.superior_mm, maps.inferior_mm))
    ap = maps.ap_mm[seen]
    marks = zip(("Ha", "Hm", "Hp"), found, found.ap_mm, ("tab:red", "tab:green", "tab:blue"), (2.5, 5.0, 2.5), strict=True)
    for name, value, at, colour, under in marks:
        here, there = np.interp(at, ap, low), np.interp(at, ap, top)
        panel.annotate("", (at, there), (at, here), arrowprops={"arrowstyle": "<->", "color": colour, "lw": 1.5})
        panel.text(at, here - under, f"{name} {value:.1f}", color=colour, ha="center", va="center", fontsize=9)
    panel.set(aspect="equal", xlim=(-22, 22), ylim=(-17, 15), title=title, xlabel="posterior to anterior, mm")
lost = height_map(body_patch(vertebra, vertebra.frame("healthy"), which="healthy"))
kept = height_map(body_patch(vertebra, vertebra.frame("healthy")))
picture = panels[2].pcolormesh(kept.lr_mm, kept.ap_mm, (lost.height_mm - kept.height_mm).T, cmap="magma_r", vmin=0, vmax=8)
panels[2].set(aspect="equal", xlim=(-22, 22), ylim=(-22, 22), title="height lost, mm", xlabel="left to right, mm", ylabel="posterior to anterior, mm")
figure.colorbar(picture, ax=panels[2])
figure.tight_layout()
figure.savefig(Path(__file__).resolve().parents[1] / "figures" / "heights.png", dpi=80, metadata={"Software": None})
