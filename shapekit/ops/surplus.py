"""Weighted surplus of an expected over an actual shape, and every volume that comes with it, from one pass over two SDFs."""

from __future__ import annotations

import math
from ctypes import c_double
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from shapekit.core.checks import InputError, UsageError
from shapekit.ops import _cuda, _native
from shapekit.ops.backends import backend_for

COLUMNS = 10
"""Of an item's result: the volumes in their order (thirds after the weighted surplus), then the faults found in the inputs."""


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
    expected: Tensor,
    actual: Tensor,
    *,
    spacing_mm: float,
    centre: Tensor,
    rotation: Tensor,
    sigma_mm: Tensor,
    length_ap_mm: Tensor,
    backend: str = "auto",
) -> SurplusVolumes:
    """Integrate the surplus under a rotated anisotropic Gaussian (equations of docs/ops/surplus_volume.md).

    Gradients flow to both grids in every backend, to centre, rotation and sigma in the reference only; the volumes are steps in length.

    Parameters
    ----------
    expected, actual : (B, D, H, W) float
        Signed distances in mm, negative inside, on patches whose array axes are (LR, AP, SI). Half precision is computed in
        float32; float64 takes the reference.
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
    backend : str
        ``"auto"``, ``"reference"``, ``"cpu"`` or ``"cuda"``; see ``backend_for``.

    Returns
    -------
    SurplusVolumes
        In float64, on the grids' device.

    Raises
    ------
    InputError
        For shapes, dtypes or devices that do not agree, NaN or infinite distances, sigma or spacing not positive, a rotation
        that is not orthonormal, an item of 2³¹ voxels or more.
    UsageError
        For a backend that does not exist or cannot take these tensors.
    MissingPackageError
        For an explicit backend that is not installed.

    Examples
    --------
    >>> slab = (torch.arange(9.0) - 4.0).abs().sub(2.0).expand(1, 5, 5, 9)
    >>> volumes = surplus_volume(
    ...     slab,
    ...     torch.full_like(slab, 9.0),
    ...     spacing_mm=1.0,
    ...     centre=torch.zeros(1, 3),
    ...     rotation=torch.eye(3)[None],
    ...     sigma_mm=torch.full((1, 3), float("inf")),
    ...     length_ap_mm=torch.tensor([3.0]),
    ... )
    >>> volumes.surplus.tolist()
    [100.0]
    """
    parameters = {"centre": centre, "rotation": rotation, "sigma_mm": sigma_mm, "length_ap_mm": length_ap_mm}
    _check(expected, actual, spacing_mm, parameters)
    if expected.dtype in (torch.float16, torch.bfloat16):
        expected, actual = expected.float(), actual.float()
    wants_more = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (centre, rotation, sigma_mm))
    only_reference = "float64 is the reference's" if expected.dtype == torch.float64 else ""
    if wants_more:
        only_reference = "gradients to centre, rotation and sigma are the reference's"
    choice = backend_for(expected.device, backend=backend, only_reference=only_reference)
    places = tuple(tensor.to(expected.dtype) for tensor in (centre, rotation, sigma_mm, length_ap_mm.detach()))
    if choice.name == "reference":
        _check_values(expected, actual, *places)
        volumes = surplus_reference(expected, actual, *places, spacing_mm=spacing_mm)
    else:
        grids = (expected.contiguous(), actual.contiguous())
        volumes = torch.ops.shapekit.surplus_volume(*grids, *(tensor.contiguous() for tensor in places), float(spacing_mm))
    return SurplusVolumes(volumes[:, 0], volumes[:, 1:4], *volumes[:, 4:9].unbind(1))


def surplus_reference(
    expected: Tensor, actual: Tensor, centre: Tensor, rotation: Tensor, sigma_mm: Tensor, length_ap_mm: Tensor, *, spacing_mm: float
) -> Tensor:
    """Return the volumes as (B, 9) float64, in plain torch on any device and in any precision; inputs as ``surplus_volume``'s, unchecked."""
    sides = expected.shape[1:]
    axes = [(torch.arange(side, dtype=expected.dtype, device=expected.device) - (side - 1) / 2) * spacing_mm for side in sides]
    columns: list[list[Tensor]] = []
    for item in range(expected.shape[0]):  # item by item: the working set stays in cache
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
    return torch.stack([torch.stack(row) for row in columns]) * spacing_mm**3


def _check(expected: Tensor, actual: Tensor, spacing_mm: float, parameters: dict[str, Tensor]) -> None:
    """Check what can be told without looking at values."""
    if expected.ndim != 4 or expected.shape != actual.shape or 0 in expected.shape:
        raise InputError(
            f"expected and actual must both be (B, D, H, W) with B >= 1 and no empty side, not {tuple(expected.shape)} and {tuple(actual.shape)}."
        )
    _native.check_size("expected", expected.shape)
    batch = expected.shape[0]
    for name, shape in {"centre": (batch, 3), "rotation": (batch, 3, 3), "sigma_mm": (batch, 3), "length_ap_mm": (batch,)}.items():
        if tuple(parameters[name].shape) != shape:
            raise InputError(f"{name} has shape {tuple(parameters[name].shape)}, but needs {shape}.")
    if not expected.dtype.is_floating_point or expected.dtype != actual.dtype:
        raise InputError(f"expected and actual must be floats of one dtype, not {expected.dtype} and {actual.dtype}.")
    for name, tensor in {"actual": actual, **parameters}.items():
        if not tensor.dtype.is_floating_point:
            raise InputError(f"{name} has dtype {tensor.dtype}, but needs floats.")
        if tensor.device != expected.device:
            raise InputError(f"{name} is on {tensor.device} and expected on {expected.device}; put all tensors on one device.")
    if not 0 < spacing_mm < math.inf:
        raise InputError(f"spacing_mm is {spacing_mm}, but must be positive and finite.")


def _check_values(expected: Tensor, actual: Tensor, centre: Tensor, rotation: Tensor, sigma_mm: Tensor, length_ap_mm: Tensor) -> None:
    for name, tensor in (("expected", expected), ("actual", actual), ("centre", centre), ("rotation", rotation)):
        if not bool(torch.isfinite(tensor).all()):
            raise InputError(f"{name} holds NaN or infinite values; it must be finite.")
    for name, tensor in (("sigma_mm", sigma_mm), ("length_ap_mm", length_ap_mm)):
        if not bool((tensor > 0).all()):
            raise InputError(f"{name} must be positive, but its smallest value is {float(tensor.detach().min())}.")
    axes = rotation.detach().double()
    if float((axes.mT @ axes - torch.eye(3, dtype=axes.dtype, device=axes.device)).abs().max()) > 1e-4:
        raise InputError("rotation is not orthonormal; its columns must be perpendicular unit vectors.")


def _pointers(expected: Tensor, actual: Tensor, centre: Tensor, rotation: Tensor, sigma_mm: Tensor, length_ap_mm: Tensor) -> list[int]:
    return _native.pointers(expected=expected, actual=actual, centre=centre, rotation=rotation, sigma_mm=sigma_mm, length_ap_mm=length_ap_mm)


def _forward_cpu(*inputs: Any) -> Tensor:
    *tensors, spacing_mm = inputs
    columns = torch.zeros(len(tensors[0]), COLUMNS, dtype=torch.float64)
    sizes = (*tensors[0].shape, torch.get_num_threads())
    _native.call("shapekit_surplus_forward", *_pointers(*tensors), spacing_mm, *sizes, columns.data_ptr())
    return _without_faults(columns, tensors)


def _forward_cuda(*inputs: Any) -> Tensor:
    *tensors, spacing_mm = inputs
    batch, *sides = tensors[0].shape
    lines, blocks = _cuda.surplus_blocks((sides[0], sides[1], sides[2]))
    partial = tensors[0].new_zeros((batch, blocks, COLUMNS - 1), dtype=torch.float64)
    columns = tensors[0].new_zeros((batch, COLUMNS), dtype=torch.float64)
    pointers, whole = _pointers(*tensors), _cuda.whole
    arguments = (*pointers, c_double(spacing_mm), *whole(*sides, lines, blocks), partial.data_ptr())
    _cuda.launch("surplus", "surplus_forward", columns, batch * blocks, _cuda.THREADS, *arguments)
    arguments = (partial.data_ptr(), *pointers[2:], c_double(spacing_mm), *whole(*sides, blocks), columns.data_ptr())
    _cuda.launch("surplus", "surplus_combine", columns, batch, _cuda.WARP, *arguments)
    return _without_faults(columns, tensors)


def _without_faults(columns: Tensor, tensors: list[Tensor]) -> Tensor:
    """Raise for the faults that a kernel met on its way; it sees every value anyhow."""
    if bool(columns[:, -1].any()):
        _check_values(*tensors)
        raise InputError("the kernels met values in expected or actual that they could not sum; the grids must not change meanwhile.")
    return columns


def _unwritten(grid: Tensor) -> Tensor:
    # zeroing 140 MB first would take as long as the kernel, which writes every entry: the tests compare each one
    return torch.empty_like(grid)


def _backward_cpu(upstream: Tensor, *inputs: Any) -> tuple[Tensor, Tensor]:
    *tensors, spacing_mm = inputs
    upstream = upstream.double().contiguous()
    gradients = _unwritten(tensors[0]), _unwritten(tensors[1])
    sizes = (*tensors[0].shape, torch.get_num_threads())
    results = [gradient.data_ptr() for gradient in gradients]
    _native.call("shapekit_surplus_backward", upstream.data_ptr(), *_pointers(*tensors), spacing_mm, *sizes, *results)
    return gradients


def _backward_cuda(upstream: Tensor, *inputs: Any) -> tuple[Tensor, Tensor]:
    *tensors, spacing_mm = inputs
    upstream = upstream.double().contiguous()
    gradients = _unwritten(tensors[0]), _unwritten(tensors[1])
    batch, *sides = tensors[0].shape
    lines, blocks = _cuda.surplus_blocks((sides[0], sides[1], sides[2]))
    sizes = _cuda.whole(*sides, lines, blocks)
    arguments = (upstream.data_ptr(), *_pointers(*tensors), c_double(spacing_mm), *sizes, *(gradient.data_ptr() for gradient in gradients))
    _cuda.launch("surplus", "surplus_backward", upstream, batch * blocks, _cuda.THREADS, *arguments)
    return gradients


def _forward_fake(expected: Tensor, *_: Any) -> Tensor:
    return expected.new_zeros((expected.shape[0], COLUMNS), dtype=torch.float64)


def _backward_fake(_: Tensor, expected: Tensor, actual: Tensor, *__: Any) -> tuple[Tensor, Tensor]:
    return torch.zeros_like(expected), torch.zeros_like(actual)


def _remember(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG001
    ctx.save_for_backward(*inputs[:6])
    ctx.spacing_mm = inputs[6]


def _backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
    if any(ctx.needs_input_grad[2:5]):
        raise UsageError("the native operators have no gradient to centre, rotation or sigma_mm; use backend='reference'.")
    gradients = torch.ops.shapekit.surplus_volume_backward(upstream, *ctx.saved_tensors, ctx.spacing_mm)
    return (*gradients, None, None, None, None, None)


_INPUTS = "Tensor expected, Tensor actual, Tensor centre, Tensor rotation, Tensor sigma_mm, Tensor length_ap_mm, float spacing_mm"
torch.library.define("shapekit::surplus_volume", f"({_INPUTS}) -> Tensor")
torch.library.define("shapekit::surplus_volume_backward", f"(Tensor upstream, {_INPUTS}) -> (Tensor, Tensor)")
torch.library.impl("shapekit::surplus_volume", "CPU", _forward_cpu)
torch.library.impl("shapekit::surplus_volume", "CUDA", _forward_cuda)
torch.library.impl("shapekit::surplus_volume_backward", "CPU", _backward_cpu)
torch.library.impl("shapekit::surplus_volume_backward", "CUDA", _backward_cuda)
torch.library.register_fake("shapekit::surplus_volume", _forward_fake)
torch.library.register_fake("shapekit::surplus_volume_backward", _backward_fake)
torch.library.register_autograd("shapekit::surplus_volume", _backward, setup_context=_remember)
