"""Weighted surplus of an expected over an actual shape, and every volume that comes with it, from one pass over two SDFs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from shapekit.core.checks import InputError


@dataclass(frozen=True, eq=False)
class SurplusVolumes:
    """Integrals over B patches; every field is a (B,) tensor in mm³ unless said otherwise.

    Parameters
    ----------
    weighted_surplus
        ∫ w u dx with u = max(o(expected) - o(actual), 0).
    weighted_thirds : (B, 3)
        The same over the posterior, middle and anterior third of ``length_ap_mm``, in this order; they sum to the whole.
    surplus, excess
        ∫ u dx, and the same with expected and actual exchanged.
    weighted_expected
        ∫ w o(expected) dx.
    expected, actual
        ∫ o dx.
    """

    weighted_surplus: Tensor
    weighted_thirds: Tensor
    surplus: Tensor
    excess: Tensor
    weighted_expected: Tensor
    expected: Tensor
    actual: Tensor


def smooth_occupancy(sdf: Tensor, spacing_mm: float) -> Tensor:
    """Smoothed Heaviside of -sdf: 1 inside, 0 outside, smooth over a voxel to either side; any shape.

    Its derivative is the linear B-spline of the voxels' spacing, whose samples always sum to one: a plate parallel to the
    layers of voxels has its volume exactly, wherever between them it falls.
    """
    ramp = (sdf / -spacing_mm).clamp(-1.0, 1.0)
    return 0.5 + ramp * (1.0 - 0.5 * ramp.abs())


def surplus_volume(
    expected: Tensor, actual: Tensor, *, spacing_mm: float, centre: Tensor, rotation: Tensor, sigma_mm: Tensor, length_ap_mm: Tensor
) -> SurplusVolumes:
    """Integrate the surplus under a rotated anisotropic Gaussian (equations of docs/method.md).

    Parameters
    ----------
    expected, actual : (B, D, H, W) float
        Signed distances in mm, negative inside, on patches whose array axes are (LR, AP, SI).
    spacing_mm : float
        Side of a cubic voxel; the occupancy's ramp reaches as far to either side.
    centre : (B, 3) float, mm
        Centre of the weight, from the patch's middle, in the patch's axes.
    rotation : (B, 3, 3) float
        Columns: the anatomical LR, AP, SI directions in the patch's axes.
    sigma_mm : (B, 3) float
        Standard deviations along those directions; infinity means constant.
    length_ap_mm : (B,) float
        AP length that is divided into thirds about the centre.

    Returns
    -------
    SurplusVolumes

    Raises
    ------
    InputError
        For shapes that do not agree, NaN or infinite distances, sigma or spacing not positive.
    """
    batch = _check(expected, actual, spacing_mm, centre, rotation, sigma_mm, length_ap_mm)
    sides = expected.shape[1:]
    axes = [(torch.arange(side, dtype=expected.dtype, device=expected.device) - (side - 1) / 2) * spacing_mm for side in sides]
    columns: list[list[Tensor]] = []
    for item in range(batch):  # item by item: the working set stays in cache
        offset = [axis - centre[item, n] for n, axis in enumerate(axes)]
        along = [
            offset[0][:, None, None] * rotation[item, 0, m]
            + offset[1][None, :, None] * rotation[item, 1, m]
            + offset[2][None, None, :] * rotation[item, 2, m]
            for m in range(3)
        ]
        weight = torch.exp(-0.5 * sum((((along[m] / sigma_mm[item, m]) ** 2) for m in range(3)), torch.zeros_like(along[0])))
        o_expected = smooth_occupancy(expected[item], spacing_mm)
        o_actual = smooth_occupancy(actual[item], spacing_mm)
        surplus = (o_expected - o_actual).clamp_min(0)
        weighted = weight * surplus
        sixth = length_ap_mm[item] / 6
        back, front = along[1] < -sixth, along[1] > sixth
        columns.append(
            [
                weighted.sum(dtype=torch.float64),
                (weighted * back).sum(dtype=torch.float64),
                (weighted * ~(back | front)).sum(dtype=torch.float64),
                (weighted * front).sum(dtype=torch.float64),
                surplus.sum(dtype=torch.float64),
                (o_actual - o_expected).clamp_min(0).sum(dtype=torch.float64),
                (weight * o_expected).sum(dtype=torch.float64),
                o_expected.sum(dtype=torch.float64),
                o_actual.sum(dtype=torch.float64),
            ]
        )
    volumes = torch.stack([torch.stack(row) for row in columns]) * spacing_mm**3
    return SurplusVolumes(volumes[:, 0], volumes[:, 1:4], *volumes[:, 4:].unbind(1))


def _check(expected: Tensor, actual: Tensor, spacing_mm: float, centre: Tensor, rotation: Tensor, sigma_mm: Tensor, length_ap_mm: Tensor) -> int:
    if expected.ndim != 4 or expected.shape != actual.shape or expected.shape[0] == 0:
        raise InputError(f"expected and actual must both be (B, D, H, W) with B >= 1, not {tuple(expected.shape)} and {tuple(actual.shape)}.")
    batch = expected.shape[0]
    wanted = {
        "centre": (centre, (batch, 3)),
        "rotation": (rotation, (batch, 3, 3)),
        "sigma_mm": (sigma_mm, (batch, 3)),
        "length_ap_mm": (length_ap_mm, (batch,)),
    }
    for name, (tensor, shape) in wanted.items():
        if tuple(tensor.shape) != shape:
            raise InputError(f"{name} has shape {tuple(tensor.shape)}, but needs {shape}.")
    for name, tensor in (("expected", expected), ("actual", actual), ("centre", centre), ("rotation", rotation)):
        if not bool(torch.isfinite(tensor).all()):
            raise InputError(f"{name} holds NaN or infinite values; it must be finite.")
    if not spacing_mm > 0:
        raise InputError(f"spacing_mm is {spacing_mm}, but must be positive.")
    for name, tensor in (("sigma_mm", sigma_mm), ("length_ap_mm", length_ap_mm)):
        if not bool((tensor > 0).all()):
            raise InputError(f"{name} must be positive, but its smallest value is {float(tensor.min())}.")
    identity = torch.eye(3, dtype=rotation.dtype, device=rotation.device)
    if float((rotation.mT @ rotation - identity).abs().max()) > 1e-4:
        raise InputError("rotation is not orthonormal; its columns must be perpendicular unit vectors.")
    return batch
