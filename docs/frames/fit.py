"""Fit the model that weighs a body's evidence (shapekit/spine/orientation.py) on phantoms: maximise the density it gives to the true angles.

Prints ``MODEL``. Phantoms only, seed 500; `accuracy.py` measures on others.
"""

import math
import sys

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from shapekit.ops.evidence import gather_evidence
from shapekit.phantom.acquisition import acquire, scan_grid
from shapekit.phantom.patient import draw_patient, patient_generator
from shapekit.spine import extract_bodies
from shapekit.spine.orientation import (
    ANGLES_DEG,
    Sighting,
    faces_of,
    first_frames,
    pitch_log_density,
    prior_angles,
    roll_log_density,
    yaw_log_density,
)

COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 85
THICK = 50
"""Of so many patients' first ones slices are 3 mm thick; only those with a fracture are used."""
STEPS, RATE = 100, 0.1

LEAST = {"low_broken": 0.05, "top_broken_sd": 4.0, "low_broken_sd": 4.0, "wall_pitch_sd": 1.5, "front_pitch_sd": 1.5}
LEAST |= {"wall_pitch_broken_sd": 1.5, "front_pitch_broken_sd": 1.5}
FIXED = {"wall_pitch_broken_freedom": 3.0, "front_pitch_broken_freedom": 3.0, "both_broken": 0.3}
"""Floors: real walls lean more variously than the phantom's, a plate that is broken can lie anyhow, and the lower one breaks too."""

seen, truth = [], []
for index in range(COUNT):
    generator = patient_generator(500, index)
    patient = draw_patient(generator)
    if not any(vertebra.grade for vertebra in patient):
        continue
    spacing = (0.8, 0.8, 3.0) if index < THICK else (1.0, 1.0, 1.0)
    scan = acquire(patient, scan_grid(patient, spacing), generator=generator)
    bodies, _, _ = extract_bodies(scan.labels)
    frames, up, ahead, _ = first_frames(bodies)
    for n, (body, frame) in enumerate(zip(bodies, frames, strict=True)):
        if not body.partial:
            seen.append(Sighting(body.level, prior_angles(frame, up[n], ahead[n]), gather_evidence(faces_of(body), frame)))
            truth.append(Rotation.from_matrix(frame.axes.T @ patient[body.level].frame().axes).as_rotvec(degrees=True))
truth = torch.tensor(np.array(truth)).clamp(float(ANGLES_DEG[0]) + 1, float(ANGLES_DEG[-1]) - 1)

alone = [one._replace(prior=(math.nan,) * 3) for one in seen]  # a lone body has no line and may have no arch: both cases count alike

positive = {"wedge_sd": 2.4, "top_pitch_sd": 1.3, "low_pitch_sd": 1.3, "top_broken_sd": 3.0, "low_broken_sd": 1.0}
tailed = {"wall_pitch": 1.0, "front_pitch": 1.5, "line_pitch": 1.5, "top_roll": 1.5, "low_roll": 1.4, "side_roll": 1.5, "line_roll": 0.6}
tailed |= {"wall_yaw": 2.2, "mirror_yaw": 2.2, "canal_yaw": 0.9}
positive["line_pitch_broken_sd"], positive["line_pitch_broken_freedom"] = 2.0, 3.0
positive["wall_pitch_broken_sd"], positive["front_pitch_broken_sd"] = 1.0, 3.0
for name, sd in tailed.items():
    positive |= {f"{name}_sd": sd, f"{name}_freedom": 5.0}
free = {"top_broken_deg": -8.0, "low_broken_deg": 3.0, "wall_pitch_bias": -1.0, "front_pitch_bias": 0.7, "wall_pitch_broken_bias": -1.0}
free |= {"front_pitch_broken_bias": 0.0, "line_bend": 0.25}
shares = {"top_broken": 0.15, "low_broken": 0.08}
raw = {k: torch.tensor(math.log(v), dtype=torch.float64, requires_grad=True) for k, v in positive.items()}
raw |= {k: torch.tensor(v, dtype=torch.float64, requires_grad=True) for k, v in free.items()}
raw |= {k: torch.tensor(math.log(v / (1 - v)), dtype=torch.float64, requires_grad=True) for k, v in shares.items()}


def model():
    """Natural values; freedom stays in 1.5-30."""
    values = {k: torch.exp(raw[k]) for k in positive} | {k: raw[k] for k in free} | {k: torch.sigmoid(raw[k]) for k in shares}
    values |= {k: values[k] + least for k, least in LEAST.items()}
    values |= {k: torch.tensor(v, dtype=torch.float64) for k, v in FIXED.items()}
    return {k: v.clamp(1.5, 30.0) if k.endswith("freedom") else v for k, v in values.items()}


for column, (axis, log_density) in enumerate((("pitch", pitch_log_density), ("roll", roll_log_density), ("yaw", yaw_log_density))):
    used = [value for name, value in raw.items() if axis in name or (axis == "pitch" and ("wedge" in name or "broken" in name or "bend" in name))]
    optimiser = torch.optim.Adam(used, lr=RATE)
    place = (truth[:, column] - ANGLES_DEG[0]) / (ANGLES_DEG[1] - ANGLES_DEG[0])
    low = place.floor().long()
    share = place - low
    rows = torch.arange(len(low))
    for _step in range(STEPS):
        loss = torch.zeros(())
        for known in (seen, alone):
            density = torch.log_softmax(log_density(known, model()), dim=1)
            loss = loss - ((1 - share) * density[rows, low] + share * density[rows, low + 1]).mean() / 2
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    print(f"# {axis}: {len(low)} bodies, mean log density {-float(loss.detach()):.3f}")
print("MODEL: Mapping[str, float] = {")
for name, value in model().items():
    print(f'    "{name}": {float(value.detach()):.2f},')
print("}")
