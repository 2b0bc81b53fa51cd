"""Measure frames, heights and grades on phantoms that the model was not fitted on, and print the tables of docs/morphometry.md."""

import sys
from collections import defaultdict

import numpy as np

from shapekit.core.frame import Frame
from shapekit.morphometry import GRADE_LIMITS, genant_grade, height_losses, measure_heights
from shapekit.phantom.acquisition import acquire, scan_grid
from shapekit.phantom.patient import body_patch, draw_patient, patient_generator
from shapekit.spine import body_on_patch, extract_bodies, vertebra_frames

COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 40
SEED = int(sys.argv[2]) if len(sys.argv) > 2 else 700
SPACINGS = {"1 × 1 × 1": (1.0, 1.0, 1.0), "0.8 × 0.8 × 3": (0.8, 0.8, 3.0)}


def chord_frame(centres, n):
    """Frame of the first implementation: the sagittal tilt of the chord between the centres on either side, and nothing else."""
    chord = centres[max(n - 1, 0)] - centres[min(n + 1, len(centres) - 1)]
    return Frame.from_directions(centres[n], [0.0, chord[1], chord[2]], [0.0, 1.0, 0.0])


rows = defaultdict(list)
for index in range(COUNT):
    generator = patient_generator(SEED, index)
    patient = draw_patient(generator)
    name = list(SPACINGS)[index % 2]
    scan = acquire(patient, scan_grid(patient, SPACINGS[name]), generator=generator)
    bodies, _, _ = extract_bodies(scan.labels)
    frames = vertebra_frames(bodies)
    centres = np.stack([body.centre_mm for body in bodies])
    for n, (body, frame) in enumerate(zip(bodies, frames, strict=True)):
        if body.partial:
            continue
        vertebra = patient[body.level]
        true = vertebra.frame()
        found = np.array([*measure_heights(body_on_patch(body, frame))])
        expected = measure_heights(body_patch(vertebra, vertebra.frame("healthy"), which="healthy", limit_mm=2.0))
        loss = max(height_losses(measure_heights(body_on_patch(body, frame)), expected))
        rows[name, vertebra.grade > 0].append(
            [
                chord_frame(centres, n).angle_to(true),
                frame.angle_to(true),
                frame.error_deg,
                *(found - vertebra.actual.heights_mm()),
                *(found - np.array([*measure_heights(body_patch(vertebra, true))])),
                vertebra.loss.worst,
                genant_grade(loss) == vertebra.grade,
                vertebra.grade,
            ]
        )

print("| voxels, mm | bodies | | chord: mean, 95 % | frame: mean, 95 % | stated, mean | within the stated |\n|---|---|---|---|---|---|---|")
for (name, broken), values in sorted(rows.items()):
    data = np.array(values, dtype=float)
    cells = [f"{data[:, k].mean():.2f}°, {np.percentile(data[:, k], 95):.2f}°" for k in (0, 1)]
    inside = (data[:, 1] <= data[:, 2]).mean()
    print(f"| {name} | {'fractured' if broken else 'healthy'} | {len(data)} | {' | '.join(cells)} | {data[:, 2].mean():.2f}° | {inside:.2f} |")

print("\n| voxels, mm | bodies | | against | Ha: bias, SD | Hm | Hp |\n|---|---|---|---|---|---|---|")
for name in sorted(SPACINGS):
    kinds = {"healthy": rows[name, False], "fractured": rows[name, True], "all": rows[name, False] + rows[name, True]}
    for kind, values in kinds.items():
        data = np.array(values, dtype=float)
        for first, against in ((3, "the phantom's parameters"), (6, "its exact surface, read alike")):
            cells = [f"{data[:, k].mean():+.2f}, {data[:, k].std():.2f}" for k in range(first, first + 3)]
            print(f"| {name} | {kind} | {len(data)} | {against} | {' | '.join(cells)} |")

print(
    "\n| voxels, mm | outside ± 1.5 points of a limit | grade as the truth's | fractured among them | grade as the truth's |\n|---|---|---|---|---|"
)
for name in SPACINGS:
    data = np.array(rows[name, False] + rows[name, True], dtype=float)
    clear = np.abs(data[:, 9:10] - np.array(GRADE_LIMITS)).min(axis=1) > 0.015
    broken = clear & (data[:, 11] > 0)
    print(f"| {name} | {clear.sum()} | {data[clear, 10].mean():.3f} | {broken.sum()} | {data[broken, 10].mean():.3f} |")
