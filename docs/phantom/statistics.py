"""Print the tables of docs/phantom.md: sizes, correlations and fractures of drawn patients beside the figures they were drawn from."""

import sys

import numpy as np

from shapekit.core.levels import Level
from shapekit.phantom.patient import draw_patient, patient_generator
from shapekit.phantom.reference import HEIGHT_SCALE, SIZE_SD, level_references

COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 300
LEVELS = [level for level in Level if level.region != "C" and level not in (Level.T13, Level.L6)]
patients = [draw_patient(patient_generator(1, index)) for index in range(COUNT)]
usual = [p for p in patients if list(p.levels) == LEVELS]
print(f"{COUNT} patients (seed 1), {len(usual)} of them with the usual 17 levels, {sum(p.sex == 'F' for p in patients)} women.\n")


def healthy(level):
    return [vertebra.healthy for patient in usual for vertebra in patient if vertebra.level is level]


def below(level):
    """Distance of the body centres and height of the disc in its middle, mm, below a level where nothing is broken."""
    pairs = [(p[level], p[LEVELS[LEVELS.index(level) + 1]]) for p in usual]
    rows = []
    for upper, lower in pairs:
        if not (upper.kind or lower.kind):
            foot = upper.placement.to_world(upper.healthy.plate_planes()[1][0])
            seat = lower.placement.to_world(lower.healthy.plate_planes()[0][0])
            rows.append((np.linalg.norm(upper.frame("healthy").origin - lower.frame("healthy").origin), np.linalg.norm(foot - seat)))
    return np.array(rows)


def measured(level):
    """Widths and depths at both rims (mm) and the wedge angle (degrees) of every body of a level."""
    rows = []
    for body in healthy(level):
        angle = np.linspace(0, 2 * np.pi, 72, endpoint=False)
        spans = []
        for rim in (0.95, -0.95):
            radius = body.wall_radius(angle, np.full(72, rim))
            spans += [np.ptp(radius * np.cos(angle)), body.wall_radius(np.pi / 2, rim) + body.wall_radius(-np.pi / 2, rim)]
        (_, top), (_, low) = body.plate_planes()
        rows.append([*spans, np.degrees(np.arctan2(top[1], top[2]) - np.arctan2(-low[1], -low[2]))])
    return np.array(rows, dtype=float)


def cell(drawn, mean, sd):
    """One quantity: drawn, wanted, how far off."""
    differences.append((drawn.mean() - mean) / sd)
    return f"{drawn.mean():.1f} ± {drawn.std():.1f} | {mean:.1f} ± {sd:.1f} | {differences[-1]:+.2f}"


def head(*names):
    print("| level |", " | ".join(f"{name} | wanted | off, SD" for name in names), "|")
    print("|---|" + "---|" * 3 * len(names))


references, differences = level_references(), []
heights = {level: np.array([body.heights_mm() for body in healthy(level)]) for level in LEVELS}
head("Ha, mm", "Hm, mm", "Hp, mm")
for level in LEVELS:
    known = references[level]
    wanted = [(HEIGHT_SCALE * getattr(known, f"{name}_mm"), getattr(known, f"{name}_sd")) for name in ("ha", "hm", "hp")]
    print(f"| {level} |", " | ".join(cell(heights[level][:, n], *wanted[n]) for n in range(3)), "|")
off = np.abs(differences)
print(f"\nMean heights off by more than 1 SD: {(off > 1).sum()} of {len(off)}; by more than 0.3 SD: {(off > 0.3).sum()}.\n")

differences = []
head("width of the superior rim, mm", "of the inferior rim, mm", "depth of the superior rim, mm", "of the inferior rim, mm", "wedge, degrees")
for level in LEVELS:
    known, found = references[level], measured(level)
    sizes = [getattr(known, f"{name}_mm") for name in ("width_superior", "depth_superior", "width_inferior", "depth_inferior")]
    cells = [cell(found[:, n], sizes[n], (SIZE_SD["width"] ** 2 + 0.0028) ** 0.5 * sizes[n]) for n in (0, 2, 1, 3)]
    print(f"| {level} |", " | ".join([*cells, cell(found[:, 4], known.wedge_deg, known.wedge_sd)]), "|")
off = np.abs(differences)
print(f"\nMeans off by more than 1 SD: {(off > 1).sum()} of {len(off)}; by more than 0.3 SD: {(off > 0.3).sum()}.\n")

print("| level | spacing below, mm | VID mean (5-95 %) | off, SD | disc below, mm | published | off, SD |\n|---|---|---|---|---|---|---|")
for level in LEVELS[:-1]:
    known, found = references[level], below(level)
    (spacing, disc), (spacing_sd, disc_sd) = found.mean(axis=0), found.std(axis=0)
    vid = f"{known.spacing_below_mm:.1f} ({known.spacing_below_p05:.1f}-{known.spacing_below_p95:.1f})"
    apart = (spacing - known.spacing_below_mm) / known.spacing_below_sd, (disc - known.disc_below_mm) / known.disc_below_sd
    between = f"{spacing:.1f} ± {spacing_sd:.1f} | {vid} | {apart[0]:+.2f}"
    print(f"| {level} | {between} | {disc:.1f} ± {disc_sd:.1f} | {known.disc_below_mm:.1f} ± {known.disc_below_sd:.1f} | {apart[1]:+.2f} |")
print()

print("| levels | Ha, drawn | Ha, 802 CTs | Hp, drawn | Hp, 802 CTs |\n|---|---|---|---|---|")
WANTED = {"T11": (0.67, 0.84), "T12": (0.74, 0.86), "L1": (0.75, 0.87), "L2": (0.73, 0.84), "L3": (0.75, 0.74), "L4": (0.68, 0.48)}
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
pairs = [(a.grade > 0, b.grade > 0) for p in patients for x, y in zip(p.vertebrae, p.vertebrae[1:], strict=False) for a, b in ((x, y), (y, x))]
alone = [not any(p.vertebrae[k].grade for k in (n - 1, n + 1)) for p in patients for n in range(1, len(p) - 1) if p.vertebrae[n].grade]
kinds = [vertebra.deformity for vertebra in everyone if vertebra.grade]
print("\n| | drawn | VerSe'19 |\n|---|---|---|")
for grade, share in enumerate((1172, 141, 96, 51)):
    print(f"| grade {grade} | {(grades == grade).mean():.3f} | {share / 1460:.3f} |")
print(f"| grade 0 with a loss of 5-20 % | {((losses >= 0.05) & ~broken).sum() / (~broken).sum():.3f} | |")
print(f"| P(the vertebra beside a fractured one is fractured) | {np.mean([other for own, other in pairs if own]):.2f} | 0.55 |")
print(f"| P(the vertebra beside a whole one is fractured) | {np.mean([other for own, other in pairs if not own]):.2f} | 0.11 |")
print(f"| fractured with two whole neighbours | {np.mean(alone):.2f} | 0.22, ends of scans counted |")
for kind, share in (("wedge", "0.51 of all, rest mixed"), ("biconcave", "0.17"), ("crush", "0.13")):
    print(f"| {kind} among the fractured | {kinds.count(kind) / max(len(kinds), 1):.2f} | {share} |")
