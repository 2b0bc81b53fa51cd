"""Exact signed Euclidean distance of a binary mask to the nearest opposite voxel centre."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapekit.core.checks import InputError, check_array
from shapekit.ops import _cuda, _native
from shapekit.ops.backends import backend_for

SMALLEST_MM, LARGEST_MM = 1e-6, 1e6
"""Sides of a voxel whose squares float32 holds over any grid."""


@overload
def signed_distance(mask: NDArray[np.bool_], spacing_mm: Sequence[float], *, backend: str = "auto") -> NDArray[np.float32]: ...
@overload
def signed_distance(mask: Tensor, spacing_mm: Sequence[float], *, backend: str = "auto") -> Tensor: ...
def signed_distance(mask: NDArray[np.bool_] | Tensor, spacing_mm: Sequence[float], *, backend: str = "auto") -> NDArray[np.float32] | Tensor:
    """Distance from every voxel centre to the nearest voxel centre on the other side, negative inside.

    Parameters
    ----------
    mask : (i, j, k) bool array, or (B, D, H, W) bool Tensor
        A batch's items are independent.
    spacing_mm : (3,) float
        Length of a voxel along each array axis, from 1e-6 to 1e6.
    backend : str
        ``"auto"``, ``"reference"``, ``"cpu"`` or ``"cuda"``; see ``backend_for``.

    Returns
    -------
    float32, mm, shaped like ``mask``
        An array for an array, a tensor on the same device for a tensor. +inf everywhere for an empty mask, -inf for a full one.
        The surface lies about half a voxel nearer than these values say: ``shapekit.sdf`` corrects that.

    Raises
    ------
    InputError
        If the mask is not a 3-D boolean array or a 4-D boolean tensor, or has 2³¹ voxels or more; if a spacing is outside its limits.
    UsageError
        For a backend that does not exist, or that is not the mask's device's.
    MissingPackageError
        For an explicit backend that is not installed.

    Examples
    --------
    >>> signed_distance(np.array([[[0, 0, 1, 1, 0]]], bool), (1.0, 1.0, 2.0)).ravel()
    array([ 4.,  2., -2., -2.,  2.], dtype=float32)
    """
    spacing = [float(side) for side in spacing_mm]
    if len(spacing) != 3 or not all(SMALLEST_MM <= side <= LARGEST_MM for side in spacing):
        raise InputError(f"spacing_mm is {spacing}, but must be three sides between {SMALLEST_MM} and {LARGEST_MM} mm.")
    if isinstance(mask, Tensor):
        return _of_tensor(mask, spacing, backend)
    check_array("mask", mask, ndim=3)
    if mask.dtype != np.bool_:
        raise InputError(f"mask has dtype {mask.dtype}, but must be boolean.")
    _native.check_size("mask", (1, *mask.shape))
    choice = backend_for("cpu", backend=backend)
    if choice.name == "reference" or not mask.size:
        return distance_reference(mask, spacing)
    field = np.zeros(mask.shape, dtype=np.float32)
    mask = np.ascontiguousarray(mask)  # under a name: an address does not keep a copy alive
    _run_cpu(mask.ctypes.data, spacing, (1, *mask.shape), field.ctypes.data)
    return field


def distance_reference(mask: NDArray[np.bool_], spacing: Sequence[float]) -> NDArray[np.float32]:
    """Return ``signed_distance`` of one 3-D mask by SciPy's two exact transforms, unchecked."""
    from scipy import ndimage

    count = int(np.count_nonzero(mask))
    if count in (0, mask.size):
        return np.full(mask.shape, np.inf if count == 0 else -np.inf, dtype=np.float32)
    outside = ndimage.distance_transform_edt(~mask, sampling=spacing)
    inside = ndimage.distance_transform_edt(mask, sampling=spacing)
    return np.asarray(outside - inside, dtype=np.float32)


def _of_tensor(mask: Tensor, spacing: Sequence[float], backend: str) -> Tensor:
    if mask.ndim != 4 or 0 in mask.shape:
        raise InputError(f"mask has shape {tuple(mask.shape)}, but a tensor needs (B, D, H, W) with no empty side.")
    if mask.dtype != torch.bool:
        raise InputError(f"mask has dtype {mask.dtype}, but must be boolean.")
    _native.check_size("mask", mask.shape)
    only_reference = ""
    if mask.is_cuda and max(mask.shape[1:3]) > _cuda.SHARED:
        only_reference = f"a side of mask is longer than the CUDA kernels' {_cuda.SHARED} voxels"
    choice = backend_for(mask.device, backend=backend, only_reference=only_reference)
    if choice.name == "reference":
        fields = [distance_reference(item, spacing) for item in mask.cpu().numpy()]
        return torch.as_tensor(np.stack(fields), device=mask.device)
    return torch.ops.shapekit.signed_distance(mask.contiguous(), spacing)  # type: ignore[no-any-return]


def _run_cpu(mask: int, spacing_mm: list[float], shape: Sequence[int], field: int) -> None:
    _native.call("shapekit_signed_distance", mask, (ctypes.c_double * 3)(*spacing_mm), *shape, torch.get_num_threads(), field)


def _distance_cpu(mask: Tensor, spacing_mm: list[float]) -> Tensor:
    mask = mask.contiguous()
    field = torch.zeros(mask.shape, dtype=torch.float32)
    _run_cpu(mask.data_ptr(), spacing_mm, mask.shape, field.data_ptr())
    return field


def _distance_cuda(mask: Tensor, spacing_mm: list[float]) -> Tensor:
    mask = mask.contiguous()
    field = torch.zeros(mask.shape, dtype=torch.float32, device=mask.device)
    _, d, h, w = mask.shape
    arguments = (mask.data_ptr(), ctypes.c_longlong(mask.numel()), *_cuda.whole(w), ctypes.c_float(spacing_mm[2]), field.data_ptr())
    _cuda.launch("distance", "distance_first", field, -(-mask.numel() // _cuda.THREADS), _cuda.THREADS, *arguments)
    for stride, length, side_mm, last in ((w, h, spacing_mm[1], 0), (h * w, d, spacing_mm[0], 1)):
        tile = 32
        while tile > 1 and tile * length > _cuda.SHARED:
            tile //= 2
        tiles = -(-stride // tile)
        sizes = (ctypes.c_longlong(stride), *_cuda.whole(length, tile, tiles), ctypes.c_float(side_mm), *_cuda.whole(last))
        _cuda.launch("distance", "distance_further", field, mask.numel() // (length * stride) * tiles, _cuda.THREADS, field.data_ptr(), *sizes)
    return field


def _distance_fake(mask: Tensor, _: list[float]) -> Tensor:
    return mask.new_zeros(mask.shape, dtype=torch.float32)


torch.library.define("shapekit::signed_distance", "(Tensor mask, float[] spacing_mm) -> Tensor")
torch.library.impl("shapekit::signed_distance", "CPU", _distance_cpu)
torch.library.impl("shapekit::signed_distance", "CUDA", _distance_cuda)
torch.library.register_fake("shapekit::signed_distance", _distance_fake)
