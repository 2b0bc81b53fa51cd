"""Print the tables of docs/phantom.md: sizes, correlations and fractures of drawn patients beside the figures they were drawn from."""

import sys

import numpy as np

from shapekit.core.levels import Level
from shapekit.phantom.patient import draw_patient, patient_generator
from shapekit.phantom.reference import level_references

COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 300
HEIGHT_SCALE = 1.04
LEVELS = [level for level in Level if level.region != "C" and level not in (Level.T13, Level.L6)]
patients = [draw_patient(patient_generator(1, index)) for index in range(COUNT)]
usual = [p for p in patients if list(p.levels) == LEVELS]
print(f"{COUNT} patients (seed 1), {len(usual)} of them with the usual 17 levels, {sum(p.sex == 'F' for p in patients)} women.\n")


def healthy(level):
    return [vertebra.healthy for patient in usual for vertebra in patient if vertebra.level is level]


def spacing(level):
    pairs = [(p[level], p[LEVELS[LEVELS.index(level) + 1]]) for p in usual]
    return np.array([np.linalg.norm(a.frame("healthy").origin - b.frame("healthy").origin) for a, b in pairs if not (a.kind or b.kind)])


references = level_references()
heights = {level: np.array([body.heights_mm() for body in healthy(level)]) for level in LEVELS}
columns = "level | Ha, mm | wanted | off, SD | Hp, mm | wanted | off, SD | Hm, mm | wanted | off, SD | width, mm | depth, mm"
print(f"| {columns} | spacing below, mm | VID mean (5-95 %) |")
print("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|")
off = []
for level in LEVELS:
    row, known = heights[level], references[level]
    cells = []
    for column, name in ((0, "ha"), (2, "hp"), (1, "hm")):
        want, sd = HEIGHT_SCALE * getattr(known, f"{name}_mm"), getattr(known, f"{name}_sd")
        off.append((row[:, column].mean() - want) / sd)
        cells += [f"{row[:, column].mean():.1f} ± {row[:, column].std():.1f}", f"{want:.1f} ± {sd:.1f}", f"{off[-1]:+.2f}"]
    width = np.mean([2 * body.half_width_mm for body in healthy(level)])
    depth = np.mean([2 * body.half_depth_mm for body in healthy(level)])
    between, vid = "", ""
    if level is not Level.L5:
        found = spacing(level)
        between = f"{found.mean():.1f} ± {found.std():.1f}"
        vid = f"{known.spacing_below_mm:.1f} ({known.spacing_below_p05:.1f}-{known.spacing_below_p95:.1f})"
    print("|", " | ".join([str(level), *cells, f"{width:.1f}", f"{depth:.1f}", between, vid]), "|")
off = np.abs(off)
print(f"\nMean heights off by more than 1 SD: {(off > 1).sum()} of {len(off)}; by more than 0.3 SD: {(off > 0.3).sum()}.\n")

print("| levels | Ha, drawn | Ha, 802 CTs | Hp, drawn | Hp, 802 CTs |\n|---|---|---|---|---|")
WANTED = {"T11": (0.67, 0.84), "T12": (0.74, 0.86), "L1": (0.75, 0.87), "L2": (0.73, 0.84), "L3": (0.75, 0.74), "L4": (0.68, 0.48)}


def within_sex(level, column):
    sexes = np.array([p.sex == "F" for p in usual])
    values = heights[level][:, column].copy()
    for sex in (True, False):
        values[sexes == sex] -= values[sexes == sex].mean()
    return values


for name, wanted in WANTED.items():
    upper = Level(name)
    lower = LEVELS[LEVELS.index(upper) + 1]
    drawn = [np.corrcoef(heights[upper][:, c], heights[lower][:, c])[0, 1] for c in (0, 2)]
    print(f"| {upper}-{lower} | {drawn[0]:.2f} | {wanted[0]:.2f} | {drawn[1]:.2f} | {wanted[1]:.2f} |")

print("\n| level | residual SD of Ha given both neighbours, mm | of Hp |\n|---|---|---|")
for n in range(1, len(LEVELS) - 1):
    cells = []
    for column in (0, 2):
        terms = np.stack([np.ones(len(usual)), heights[LEVELS[n - 1]][:, column], heights[LEVELS[n + 1]][:, column]], axis=1)
        rest = heights[LEVELS[n]][:, column] - terms @ np.linalg.lstsq(terms, heights[LEVELS[n]][:, column], rcond=None)[0]
        cells.append(f"{rest.std(ddof=3):.2f}")
    print(f"| {LEVELS[n]} | {cells[0]} | {cells[1]} |")

everyone = [vertebra for patient in patients for vertebra in patient]
grades = np.array([vertebra.grade for vertebra in everyone])
losses = np.array([vertebra.loss.worst for vertebra in everyone])
broken = grades > 0
beside = [
    (patient.vertebrae[n].grade > 0, any(patient.vertebrae[k].grade > 0 for k in (n - 1, n + 1) if 0 <= k < len(patient)))
    for patient in patients
    for n in range(len(patient))
]
kinds = [vertebra.deformity for vertebra in everyone if vertebra.grade]
print("\n| | drawn | VerSe'19 |\n|---|---|---|")
for grade, share in enumerate((1172, 141, 96, 51)):
    print(f"| grade {grade} | {(grades == grade).mean():.3f} | {share / 1460:.3f} |")
print(f"| grade 0 with a loss of 5-20 % | {((losses >= 0.05) & ~broken).sum() / (~broken).sum():.3f} | |")
print(f"| P(a neighbour is fractured), fractured | {np.mean([side for own, side in beside if own]):.2f} | 0.55 |")
print(f"| P(a neighbour is fractured), not fractured | {np.mean([side for own, side in beside if not own]):.2f} | 0.11 |")
for kind, share in (("wedge", "0.51 of all, rest mixed"), ("biconcave", "0.17"), ("crush", "0.13")):
    print(f"| {kind} among the fractured | {kinds.count(kind) / max(len(kinds), 1):.2f} | {share} |")
