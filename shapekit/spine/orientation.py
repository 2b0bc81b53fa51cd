"""Which way each vertebra faces: its endplates and walls, the centre line and the canal, weighed against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

from shapekit.core.conventions import AP, SI
from shapekit.core.frame import Frame
from shapekit.core.levels import Level
from shapekit.core.threads import each
from shapekit.core.values import Body
from shapekit.mesh import mesh_from_sdf
from shapekit.ops.evidence import Evidence, Faces, gather_evidence
from shapekit.sdf import thin_sdf
from shapekit.spine.curve import steady_anterior, superior_directions
from shapekit.spine.facing import find_anterior, find_superior

Float = NDArray[np.float64]

ANGLES_DEG = torch.arange(-24.0, 24.01, 0.5, dtype=torch.float64)
WEDGES_DEG = torch.arange(-14.0, 25.01, 3.0, dtype=torch.float64)
ROUNDS = 2
MESH_SPACING_MM = 1.0
BROKEN_DEG = 0.75
"""What a broken endplate adds to the uncertainty: with it the walls and the line err together, which the model takes for independent."""
GUESS_DEG = 90.0
"""Stated uncertainty where signs and order of the axes are a guess."""

WEDGE_DEG = dict(
    zip(
        (level for level in Level if level.region in "TL"),
        (3.0, 3.6, 4.2, 4.5, 3.8, 3.7, 4.2, 4.2, 3.4, 3.5, 4.1, 3.8, 3.8, 3.3, 2.1, -0.3, -1.8, -5.6, -5.6),
        strict=True,
    )
)
"""Mean angle between a healthy body's endplates, positive where the front is lower (sources: data/reference)."""

Model = Mapping[str, float] | Mapping[str, Tensor]


class Sighting(NamedTuple):
    """What is known of the way one body faces, against the frame it was measured in.

    Parameters
    ----------
    level : Level
    prior : (3,) float
        Pitch, roll and yaw (degrees) by the centre line and the canal; NaN where unknown.
    evidence : Evidence
    """

    level: Level
    prior: tuple[float, float, float]
    evidence: Evidence


MODEL: Mapping[str, float] = {
    "wedge_sd": 1.77,
    "top_pitch_sd": 1.86,
    "low_pitch_sd": 1.66,
    "top_broken_sd": 4.46,
    "low_broken_sd": 4.29,
    "wall_pitch_sd": 1.78,
    "wall_pitch_freedom": 30.00,
    "front_pitch_sd": 1.85,
    "front_pitch_freedom": 21.28,
    "line_pitch_sd": 1.81,
    "line_pitch_freedom": 1.50,
    "top_roll_sd": 1.57,
    "top_roll_freedom": 14.71,
    "low_roll_sd": 1.30,
    "low_roll_freedom": 7.06,
    "side_roll_sd": 1.41,
    "side_roll_freedom": 30.00,
    "line_roll_sd": 0.64,
    "line_roll_freedom": 7.78,
    "wall_yaw_sd": 3.56,
    "wall_yaw_freedom": 30.00,
    "mirror_yaw_sd": 1.82,
    "mirror_yaw_freedom": 6.92,
    "canal_yaw_sd": 0.82,
    "canal_yaw_freedom": 8.56,
    "top_broken_deg": -5.41,
    "low_broken_deg": 0.22,
    "wall_pitch_bias": -1.07,
    "front_pitch_bias": 0.84,
    "top_broken": 0.03,
    "low_broken": 0.05,
    "line_pitch_broken_sd": 2.36,
    "line_pitch_broken_freedom": 1.50,
    "line_bend": 0.27,
    "wall_pitch_broken_sd": 1.97,
    "wall_pitch_broken_freedom": 3.00,
    "wall_pitch_broken_bias": -1.15,
    "front_pitch_broken_sd": 4.00,
    "front_pitch_broken_freedom": 3.00,
    "front_pitch_broken_bias": -0.82,
    "both_broken": 0.30,
}
"""Fitted by ``python docs/frames/fit.py`` on phantoms; degrees, degrees of freedom, probabilities."""


def vertebra_frames(bodies: Sequence[Body]) -> list[Frame]:
    """Give every body its anatomical frame and the uncertainty of its directions.

    The centre line's tangent and the direction from the canal to the body give a first frame. In it the slopes of the
    endplates and walls are measured on the body's mesh, and the rotation that explains all of them best is sought: every kind of
    evidence errs by a heavy-tailed amount, an endplate is sound or, now and then, broken, and a body has a wedge of its own
    around its level's. The mean of the posterior turns the frame, its spread is the uncertainty.

    Parameters
    ----------
    bodies : sequence of Body
        From the head downward.

    Returns
    -------
    list of Frame
        One a body, origin at the body's centre, mm, RAS; ``error_deg`` is the radius that holds the true rotation in two of three.
    """
    if not bodies:
        return []
    frames, up, ahead, doubtful = first_frames(bodies)
    faces = each(faces_of, bodies)
    for round_ in range(ROUNDS):
        if round_ and len(bodies) > 1 and ahead[0] is None:  # without arches neighbours steady each other
            facing: list[Float | None] = [frame.axes[:, AP] for frame in frames]
            ahead = list(steady_anterior(facing, np.stack([frame.axes[:, SI] for frame in frames]), np.array([not b.partial for b in bodies])))
        evidence = each(gather_evidence, faces, frames)
        seen = [
            Sighting(body.level, prior_angles(frame, *known), of_body)
            for body, frame, of_body, *known in zip(bodies, frames, evidence, up, ahead, strict=True)
        ]
        turn, error = weigh(seen, MODEL)
        frames = [
            Frame(frame.origin, frame.axes @ Rotation.from_rotvec(turn[n], degrees=True).as_matrix(), GUESS_DEG if doubtful else float(error[n]))
            for n, frame in enumerate(frames)
        ]
    return frames


def first_frames(bodies: Sequence[Body]) -> tuple[list[Frame], list[Float | None], list[Float | None], bool]:
    """Frames from where the bodies lie and where their canals are.

    Returns
    -------
    frames : list of Frame
    up, ahead : lists of (3,) float or None
        The superior and anterior directions that the centre line and the canals give; None where there is no line, no arch.
    doubtful : bool
        Without an arch: signs or order of the axes are a guess (see ``find_superior``, ``find_anterior``).
    """
    centres = np.stack([body.centre_mm for body in bodies])
    whole = np.array([not body.partial for body in bodies])
    up = list(superior_directions(centres, np.array([not body.partial or body.anterior is not None for body in bodies])))
    arches, doubtful = any(body.anterior is not None for body in bodies), False
    if len(bodies) > 1 and arches:
        ahead = list(steady_anterior([body.anterior for body in bodies], np.stack(up), whole))
        return [Frame.from_directions(body.centre_mm, up[n], ahead[n]) for n, body in enumerate(bodies)], [*up], [*ahead], False
    faces = each(faces_of, bodies)
    if len(bodies) == 1:
        up[0], doubtful = find_superior(faces[0])
    shared, sideways = (bodies[0].anterior, False) if arches else find_anterior(faces, up)
    assert shared is not None
    doubtful = doubtful or sideways
    ahead = list(steady_anterior([shared] * len(bodies), np.stack(up), whole | True))
    frames = [Frame.from_directions(body.centre_mm, up[n], ahead[n]) for n, body in enumerate(bodies)]
    line: list[Float | None] = [*up] if len(bodies) > 1 else [None]
    return frames, line, [shared if arches else None] * len(bodies), doubtful


def faces_of(body: Body) -> Faces:
    """Faces of a body's mesh, at about 1 mm; none where it has no surface."""
    shape = thin_sdf(body.sdf, MESH_SPACING_MM)
    return Faces.of(mesh_from_sdf(shape)) if float(shape.values.min()) < 0.0 else Faces(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0))


def prior_angles(frame: Frame, up: Float | None, ahead: Float | None) -> tuple[float, float, float]:
    """Pitch, roll and yaw (degrees) that would turn a frame onto a superior and an anterior direction; NaN for one that is not known."""
    x, y, z = (np.nan,) * 3 if up is None else up @ frame.axes
    right, front = (np.nan,) * 2 if ahead is None else (ahead @ frame.axes)[:2]
    return float(np.degrees(np.arctan2(-y, z))), float(np.degrees(np.arctan2(x, z))), float(np.degrees(np.arctan2(-right, front)))


def weigh(seen: Sequence[Sighting], model: Model) -> tuple[Float, Float]:
    """Posterior mean of the rotation about LR, AP and SI, (n, 3) degrees, and its uncertainty, (n,) degrees."""
    means, variances = [], []
    pitch, pitch_if_sound = _pitch_log_densities(seen, model)
    for log_density in (pitch, roll_log_density(seen, model), yaw_log_density(seen, model)):
        density = torch.softmax(log_density, dim=1)
        mean = density @ ANGLES_DEG
        means.append(mean)
        variances.append((density * (ANGLES_DEG - mean[:, None]) ** 2).sum(dim=1))
    sound, either = (torch.logsumexp(log_density, dim=1) for log_density in (pitch_if_sound, pitch))
    variances.append((1.0 - torch.exp(sound - either)).clamp(0.0, 1.0) * BROKEN_DEG**2)
    return torch.stack(means, dim=1).numpy(), torch.stack(variances, dim=1).sum(dim=1).sqrt().numpy()


def pitch_log_density(seen: Sequence[Sighting], model: Model) -> Tensor:
    """Unnormalised log density of the pitch at ``ANGLES_DEG``, (n, angles); the body's own wedge and which endplates are broken are summed over.

    Where an endplate is broken the walls lean otherwise (bulges, fragments), and the line bends along with the plate.
    """
    return _pitch_log_densities(seen, model)[0]


def _pitch_log_densities(seen: Sequence[Sighting], model: Model) -> tuple[Tensor, Tensor]:
    """Return ``pitch_log_density``, and that of the pitch and of two sound endplates."""
    wedge = WEDGES_DEG[None, :]
    usual = torch.tensor([WEDGE_DEG.get(one.level, 0.0) for one in seen], dtype=torch.float64)[:, None, None]
    own = _gaussian(wedge - usual, model["wedge_sd"])
    off, plate = {}, {}
    for name, side in (("top", -0.5), ("low", 0.5)):
        measured, missing = _seen([getattr(one.evidence, f"{name}_pitch") for one in seen])
        off[name] = torch.where(missing[..., None], 0.0, measured[..., None] - (ANGLES_DEG[:, None] + side * wedge))
        for cracked, mean, sd in ((False, 0.0, model[f"{name}_pitch_sd"]), (True, model[f"{name}_broken_deg"], model[f"{name}_broken_sd"])):
            plate[name, cracked] = torch.where(missing[..., None], 0.0, _gaussian(off[name] - mean, sd))
    line = torch.tensor([one.prior[0] for one in seen], dtype=torch.float64)[:, None, None] - ANGLES_DEG[:, None]
    ways = {}
    for top, low in ((False, False), (True, False), (False, True), (True, True)):
        share = model["both_broken"] if top else model["low_broken"]
        bent = line - model["line_bend"] * (off["top"] * top + off["low"] * low)
        ways[top, low] = torch.logsumexp(
            own
            + (plate["top", top] + _log(model["top_broken"] if top else 1.0 - model["top_broken"]))
            + (plate["low", low] + _log(share if low else 1.0 - share))
            + _heavy_tailed(bent, "line_pitch_broken" if top or low else "line_pitch", model),
            dim=2,
        )
    walls = {name: _off([getattr(one.evidence, f"{name}_pitch") for one in seen]) for name in ("wall", "front")}
    whole, broken = (
        torch.stack([_heavy_tailed(off, f"{name}_pitch{state}", model) for name, off in walls.items()]).sum(dim=0) for state in ("", "_broken")
    )
    either = torch.logsumexp(torch.stack([way + (broken if any(which) else whole) for which, way in ways.items()]), dim=0)
    return either, ways[False, False] + whole


def roll_log_density(seen: Sequence[Sighting], model: Model) -> Tensor:
    """Unnormalised log density of the roll at ``ANGLES_DEG``, (n, angles)."""
    density = _heavy_tailed(_off([one.prior[1] for one in seen]), "line_roll", model)
    for name in ("top_roll", "low_roll", "side_roll"):
        density = density + _heavy_tailed(_off([getattr(one.evidence, name) for one in seen]), name, model)
    return density


def yaw_log_density(seen: Sequence[Sighting], model: Model) -> Tensor:
    """Unnormalised log density of the yaw at ``ANGLES_DEG``, (n, angles)."""
    density = _heavy_tailed(_off([one.prior[2] for one in seen]), "canal_yaw", model)
    for name in ("wall_yaw", "mirror_yaw"):
        density = density + _heavy_tailed(_off([getattr(one.evidence, name) for one in seen]), name, model)
    return density


def _seen(values: Sequence[float]) -> tuple[Tensor, Tensor]:
    """What was seen, with 0 where nothing was, and where that is; (n, 1) each."""
    seen = torch.tensor(values, dtype=torch.float64)[:, None]
    return seen.nan_to_num(0.0), torch.isnan(seen)


def _log(value: float | Tensor) -> Tensor:
    return torch.log(torch.as_tensor(value, dtype=torch.float64))


def _gaussian(off: Tensor, sd: float | Tensor) -> Tensor:
    """Log density but for a constant."""
    return -0.5 * (off / sd) ** 2 - _log(sd)


def _off(values: Sequence[float]) -> Tensor:
    """What was seen less every angle, (n, angles); NaN where nothing was."""
    return torch.tensor(values, dtype=torch.float64)[:, None] - ANGLES_DEG


def _heavy_tailed(off: Tensor, name: str, model: Model) -> Tensor:
    """Log density of Student's t; 0 where nothing was seen."""
    sd, freedom = (torch.as_tensor(model[f"{name}_{part}"], dtype=torch.float64) for part in ("sd", "freedom"))
    norm = torch.lgamma((freedom + 1) / 2) - torch.lgamma(freedom / 2) - 0.5 * torch.log(freedom) - _log(sd)
    scaled = (off.nan_to_num(0.0) - model.get(f"{name}_bias", 0.0)) / sd
    return torch.where(torch.isnan(off), 0.0, norm - (freedom + 1) / 2 * torch.log1p(scaled**2 / freedom))
