"""A mixture of fields by coarser shares: the C++ library against torch's interpolation in float64, and what goes to the reference."""

import numpy as np
import pytest
import torch
from torch.nn import functional

import shapekit as sk
from shapekit.ops import _native, blended

NATIVE = pytest.mark.skipif(bool(_native.WHY_NO_LIBRARY), reason=_native.WHY_NO_LIBRARY or "built")
BACKENDS = ["reference", pytest.param("cpu", marks=NATIVE)]


def given(batch=2, sides=(5, 4, 7), finer=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    fine = [finer * side for side in sides]
    fields, guess = (8 * torch.randn(batch, count, *fine, generator=generator) for count in (4, 1))
    shares = torch.softmax(torch.randn(batch, 5, *sides, generator=generator), dim=1)
    return fields, guess, shares, torch.randn(batch, 1, *sides, generator=generator)


def truth(fields, guess, shares, correction):
    size = fields.shape[2:]
    shares, correction = (functional.interpolate(part.double(), size=size, mode="trilinear", align_corners=False) for part in (shares, correction))
    return correction + (shares * torch.cat([fields, guess], dim=1).double()).sum(dim=1, keepdim=True)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("batch", "sides", "finer"), [(2, (5, 4, 7), 2), (1, (3, 6, 2), 3), (3, (1, 1, 1), 4), (1, (2, 1, 5), 2)], ids=str)
def test_it_is_torchs_interpolation_and_a_sum(batch, sides, finer, backend):
    tensors = given(batch, sides, finer)
    assert blended(*tensors, backend=backend).double() == pytest.approx(truth(*tensors), abs=2e-5)
    on_one_grid = given(batch, sides, 1)
    assert blended(*on_one_grid).double() == pytest.approx(truth(*on_one_grid), abs=2e-5)


@NATIVE
def test_the_same_bits_for_any_number_of_threads_and_memory_order():
    before, tensors = torch.get_num_threads(), given(2, (20, 16, 16))
    laid_out = [one.transpose(2, 4).contiguous().transpose(2, 4) for one in tensors]
    try:
        torch.set_num_threads(1)
        once = blended(*tensors, backend="cpu")
        for threads in (2, 3, 7):
            torch.set_num_threads(threads)
            assert torch.equal(blended(*tensors, backend="cpu"), once)
            assert torch.equal(blended(*laid_out, backend="cpu"), once)
    finally:
        torch.set_num_threads(before)


def test_gradients_and_double_precision_are_the_references():
    tensors = [one.double().requires_grad_() for one in given(1, (2, 3, 2))]
    assert torch.autograd.gradcheck(blended, tensors)
    fields, guess, shares, correction = given()
    blended(fields, guess, shares, correction.requires_grad_()).sum().backward()
    assert float(correction.grad.sum()) == pytest.approx(guess.numel(), rel=1e-4)


@NATIVE
@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda one: one.double(), "not all are float32"),
        (lambda one: one.clone().requires_grad_(), "gradients are asked for"),
        (lambda one: one[:, :, :2, :2, :2], "all lie on one grid"),
    ],
)
def test_the_library_says_what_it_cannot_do(change, why):
    with pytest.raises(sk.UsageError, match=why):
        blended(*(change(one) for one in given()), backend="cpu")
    with pytest.raises(sk.UsageError, match="backend"):
        blended(*given(), backend="typo")


@pytest.mark.parametrize("name", ["fields", "guess", "shares", "correction"])
def test_shapes_that_do_not_go_together_are_named(name):
    tensors = dict(zip(("fields", "guess", "shares", "correction"), given(), strict=True))
    tensors[name] = tensors[name][:, :0] if name == "shares" else tensors[name][:, :, 1:]
    with pytest.raises(sk.InputError, match=f"{name} has shape"):
        blended(**tensors)
    with pytest.raises(sk.InputError, match="shares has shape"):
        blended(*(one[:, :, :0] for one in given()))


@NATIVE
def test_nothing_of_an_empty_batch():
    assert blended(*(one[:0] for one in given()), backend="cpu").shape == (0, 1, *(np.array([5, 4, 7]) * 2))
