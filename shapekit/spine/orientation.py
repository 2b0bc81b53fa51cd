"""Which way each vertebra faces: its endplates and walls, the centre line and the canal, weighed against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

from shapekit.core.frame import Frame
from shapekit.core.levels import Level
from shapekit.core.values import Body
from shapekit.mesh import mesh_from_sdf
from shapekit.spine.curve import steady_anterior, superior_directions
from shapekit.spine.evidence import Evidence, Faces, gather_evidence
from shapekit.spine.patches import body_on_patch

Float = NDArray[np.float64]

ANGLES_DEG = torch.arange(-24.0, 24.01, 0.5, dtype=torch.float64)
WEDGES_DEG = torch.arange(-14.0, 26.01, 2.0, dtype=torch.float64)
ROUNDS = 2

WEDGE_DEG = dict(
    zip(
        (level for level in Level if level.region in "TL"),
        (3.0, 3.6, 4.2, 4.5, 3.8, 3.7, 4.2, 4.2, 3.4, 3.5, 4.1, 3.8, 3.8, 3.3, 2.1, -0.3, -1.8, -5.6, -5.6),
        strict=True,
    )
)
"""Mean angle between a healthy body's endplates, positive where the front is lower (sources: data/reference)."""

MODEL: Mapping[str, float] = {}
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
    frames, up, ahead = first_frames(bodies)
    faces = [Faces.of(mesh_from_sdf(body_on_patch(body, frame))) for body, frame in zip(bodies, frames, strict=True)]
    for _ in range(ROUNDS):
        found = [gather_evidence(of_body, frame) for of_body, frame in zip(faces, frames, strict=True)]
        turn, error = weigh(found, [prior_angles(frame, up[n], ahead[n]) for n, frame in enumerate(frames)], [body.level for body in bodies], MODEL)
        frames = [
            Frame(frame.origin, frame.axes @ Rotation.from_rotvec(turn[n], degrees=True).as_matrix(), float(error[n]))
            for n, frame in enumerate(frames)
        ]
    return frames


def first_frames(bodies: Sequence[Body]) -> tuple[list[Frame], list[Float | None], list[Float | None]]:
    """Frames from where the bodies lie and where their canals are, and the superior and anterior directions these rest on."""
    centres = np.stack([body.centre_mm for body in bodies])
    whole = np.array([not body.partial for body in bodies])
    up = superior_directions(centres, np.array([not body.partial or body.anterior is not None for body in bodies]))
    ahead = steady_anterior([body.anterior for body in bodies], up, whole)
    return [Frame.from_directions(body.centre_mm, up[n], ahead[n]) for n, body in enumerate(bodies)], list(up), list(ahead)


def prior_angles(frame: Frame, up: Float | None, ahead: Float | None) -> tuple[float, float, float]:
    """Pitch, roll and yaw (degrees) that would turn a frame onto a superior and an anterior direction; NaN for one that is not known."""
    x, y, z = (np.nan,) * 3 if up is None else up @ frame.axes
    right, front = (np.nan,) * 2 if ahead is None else (ahead @ frame.axes)[:2]
    return float(np.degrees(np.arctan2(-y, z))), float(np.degrees(np.arctan2(x, z))), float(np.degrees(np.arctan2(-right, front)))


def weigh(
    evidence: Sequence[Evidence], prior: Sequence[tuple[float, float, float]], levels: Sequence[Level], model: Mapping[str, float]
) -> tuple[Float, Float]:
    """Posterior mean of the rotation about LR, AP and SI, (n, 3) degrees, and its uncertainty, (n,) degrees."""
    means, variances = [], []
    for axis in (pitch_log_density, roll_log_density, yaw_log_density):
        density = torch.softmax(axis(evidence, prior, levels, model), dim=1)
        mean = density @ ANGLES_DEG
        means.append(mean)
        variances.append((density * (ANGLES_DEG - mean[:, None]) ** 2).sum(dim=1))
    return torch.stack(means, dim=1).numpy(), torch.stack(variances, dim=1).sum(dim=1).sqrt().numpy()


def pitch_log_density(
    evidence: Sequence[Evidence], prior: Sequence[tuple[float, float, float]], levels: Sequence[Level], model: Mapping[str, float] | Mapping[str, Tensor]
) -> Tensor:
    """Unnormalised log density of the pitch at ``ANGLES_DEG``, (n, angles); the body's own wedge is integrated out."""
    angle, wedge = ANGLES_DEG[:, None], WEDGES_DEG[None, :]
    usual = torch.tensor([WEDGE_DEG.get(level, 0.0) for level in levels], dtype=torch.float64)[:, None, None]
    total = _gaussian(wedge - usual, model["wedge_sd"])
    for name, side in (("top", -0.5), ("low", 0.5)):
        seen, missing = _seen([getattr(found, f"{name}_pitch") for found in evidence])
        off = seen[..., None] - (angle + side * wedge)
        sound = _gaussian(off, model[f"{name}_pitch_sd"]) + _log(1.0 - model[f"{name}_broken"])
        broken = _gaussian(off - model[f"{name}_broken_deg"], model[f"{name}_broken_sd"]) + _log(model[f"{name}_broken"])
        total = total + torch.where(missing[..., None], 0.0, torch.logaddexp(sound, broken))
    density = torch.logsumexp(total, dim=2)
    for name in ("wall", "front"):
        density = density + _heavy_tailed([getattr(found, f"{name}_pitch") for found in evidence], f"{name}_pitch", model)
    return density + _heavy_tailed([angles[0] for angles in prior], "line_pitch", model)


def roll_log_density(
    evidence: Sequence[Evidence], prior: Sequence[tuple[float, float, float]], levels: Sequence[Level], model: Mapping[str, float] | Mapping[str, Tensor]
) -> Tensor:
    """Unnormalised log density of the roll at ``ANGLES_DEG``, (n, angles)."""
    density = _heavy_tailed([angles[1] for angles in prior], "line_roll", model)
    for name in ("top_roll", "low_roll", "side_roll"):
        density = density + _heavy_tailed([getattr(found, name) for found in evidence], name, model)
    return density


def yaw_log_density(
    evidence: Sequence[Evidence], prior: Sequence[tuple[float, float, float]], levels: Sequence[Level], model: Mapping[str, float] | Mapping[str, Tensor]
) -> Tensor:
    """Unnormalised log density of the yaw at ``ANGLES_DEG``, (n, angles)."""
    density = _heavy_tailed([angles[2] for angles in prior], "canal_yaw", model)
    for name in ("wall_yaw", "side_yaw"):
        density = density + _heavy_tailed([getattr(found, name) for found in evidence], name, model)
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


def _heavy_tailed(values: Sequence[float], name: str, model: Mapping[str, float] | Mapping[str, Tensor]) -> Tensor:
    """Log density of Student's t at every angle for what was seen, (n, angles); 0 where nothing was."""
    seen, missing = _seen(values)
    sd, freedom = (torch.as_tensor(model[f"{name}_{part}"], dtype=torch.float64) for part in ("sd", "freedom"))
    off = (seen - model.get(f"{name}_bias", 0.0) - ANGLES_DEG) / sd
    norm = torch.lgamma((freedom + 1) / 2) - torch.lgamma(freedom / 2) - 0.5 * torch.log(freedom) - _log(sd)
    return torch.where(missing, 0.0, norm - (freedom + 1) / 2 * torch.log1p(off**2 / freedom))
