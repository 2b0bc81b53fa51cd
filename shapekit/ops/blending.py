"""A mixture of the neighbours' fields and a guess, by shares that are given on the same grid or on a coarser one."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from shapekit.core.checks import InputError
from shapekit.ops import _native
from shapekit.ops.backends import backend_for

FIELD_COUNT = 4


def blended(fields: Tensor, guess: Tensor, shares: Tensor, correction: Tensor, *, backend: str = "auto") -> Tensor:
    """Mix fields and a guess by their shares and add the correction.

    Parameters
    ----------
    fields : (B, 4, I, J, K) float, mm
        On the shares' grid or one finer by a whole number; shares and correction, which are smooth, are interpolated.
    guess : (B, 1, I, J, K) float, mm
    shares : (B, 5, i, j, k)
        Of the fields and, last, of the guess.
    correction : (B, 1, i, j, k), mm
    backend : str
        ``"auto"``, ``"reference"`` or ``"cpu"``; see ``backend_for``. Gradients, GPUs, one grid for all and other numbers than float32 are the
        reference's.

    Returns
    -------
    (B, 1, I, J, K), mm

    Raises
    ------
    InputError
        If the tensors' shapes do not go together.
    UsageError, MissingPackageError
        See ``backend_for``.

    Examples
    --------
    >>> fields, guess = torch.zeros(1, 4, 4, 4, 4), torch.full((1, 1, 4, 4, 4), 8.0)
    >>> shares = torch.tensor([0.0, 0.25, 0.0, 0.0, 0.75]).view(1, 5, 1, 1, 1).expand(1, 5, 2, 2, 2)
    >>> blended(fields, guess, shares, torch.ones(1, 1, 2, 2, 2)).unique()
    tensor([7.])
    """
    sides = tuple(shares.shape[2:])
    if shares.ndim != 5 or shares.shape[1] != FIELD_COUNT + 1 or not all(sides):
        raise InputError(f"shares has shape {tuple(shares.shape)}, but must be (B, {FIELD_COUNT + 1}, i, j, k) with at least a voxel each way.")
    batch, finer = shares.shape[0], max(fields.shape[-1] // sides[-1], 1)
    fine = tuple(side * finer for side in sides)
    for name, tensor, shape in (("fields", fields, (FIELD_COUNT, *fine)), ("guess", guess, (1, *fine)), ("correction", correction, (1, *sides))):
        if tuple(tensor.shape) != (batch, *shape):
            raise InputError(
                f"{name} has shape {tuple(tensor.shape)}, but must be {(batch, *shape)}: on the shares' grid or one finer by a whole number."
            )
    given = (fields, guess, shares, correction)
    why = ""
    if fields.device.type != "cpu":
        why = "there is no kernel for it"
    elif any(one.dtype != torch.float32 for one in given):
        why = "not all are float32"
    elif finer == 1:
        why = "all lie on one grid"
    elif torch.is_grad_enabled() and any(one.requires_grad for one in given):
        why = "gradients are asked for"
    if backend_for(fields.device, backend=backend, only_reference=why).name == "reference":
        return _blended(*given)
    _native.check_size("fields", (batch * FIELD_COUNT, *fine))
    held = [one.contiguous() for one in given]  # under a name: an address does not keep a copy alive
    found = torch.empty_like(held[1])
    _native.call("shapekit_blend", *(one.data_ptr() for one in held), batch, *sides, finer, torch.get_num_threads(), found.data_ptr())
    return found


def _blended(fields: Tensor, guess: Tensor, shares: Tensor, correction: Tensor) -> Tensor:
    """Return the same by torch."""
    shares, correction = (_finer(part, list(fields.shape[2:])) for part in (shares, correction))
    mixed = torch.addcmul(correction, shares[:, FIELD_COUNT:], guess)
    for n in range(FIELD_COUNT):
        mixed = torch.addcmul(mixed, shares[:, n : n + 1], fields[:, n : n + 1])
    return mixed


@cache
@torch.inference_mode(mode=False)  # what is kept must serve training too
def _weights(side: int, finer: int) -> Tensor:
    """Linear interpolation along an axis, (finer, side)."""
    return functional.interpolate(torch.eye(side)[None], size=finer, mode="linear", align_corners=False)[0].T.contiguous()


def _finer(x: Tensor, size: list[int]) -> Tensor:
    """Interpolate (B, C, i, j, k) at ``size``, trilinear: an axis at a time as a product of matrices: far quicker than ``interpolate``."""
    if list(x.shape[2:]) == size:
        return x
    b, c, i, j, k = x.shape
    along = [_weights(*pair).to(x) for pair in zip((i, j, k), size, strict=True)]
    x = along[1] @ (x @ along[2].T)
    return (along[0] @ x.reshape(b, c, i, size[1] * size[2])).reshape(b, c, *size)
