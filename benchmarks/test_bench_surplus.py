"""The surplus volume: ``make bench``. Answers are checked before they are timed; ``python benchmarks/cpu.py`` measures ratios in one run."""

import pytest
import torch

from benchmarks import operators as op

pytestmark = pytest.mark.filterwarnings("ignore")  # the contestants' own
SIDES = {"64x64x64": (64, 64, 64), "128x64x64": (128, 64, 64)}
MOST = {"reference": 17, "eager": 17, "compile": 64, "numba": 64, "cpu": 512}
"""Patches that a contestant can be waited for."""


def contestant(name):
    if name == "eager":
        return op.eager
    if name == "compile":
        return torch.compile(op.eager)
    if name == "numba":
        return by_numba()
    return lambda given: op.columns(op.volumes_of(given, name))


def by_numba():
    numba = pytest.importorskip("numba")
    import math

    import numpy as np

    @numba.njit(fastmath=True, parallel=True)
    def volumes(expected, actual, centre, rotation, sigma, length):
        batch, d, h, w = expected.shape
        found = np.zeros((batch, 9))
        for b in numba.prange(batch):
            for i in range(d):
                for j in range(h):
                    for k in range(w):
                        x = i - (d - 1) / 2 - centre[b, 0]
                        y = j - (h - 1) / 2 - centre[b, 1]
                        z = k - (w - 1) / 2 - centre[b, 2]
                        squared, ap = 0.0, 0.0
                        for m in range(3):
                            along = x * rotation[b, 0, m] + y * rotation[b, 1, m] + z * rotation[b, 2, m]
                            squared += (along / sigma[b, m]) ** 2
                            if m == 1:
                                ap = along
                        ramp_e = min(max(-expected[b, i, j, k], -1.0), 1.0)
                        ramp_a = min(max(-actual[b, i, j, k], -1.0), 1.0)
                        e, a = 0.5 + ramp_e * (1 - 0.5 * abs(ramp_e)), 0.5 + ramp_a * (1 - 0.5 * abs(ramp_a))
                        weight, surplus = math.exp(-0.5 * squared), max(e - a, 0.0)
                        third = 1 if ap < -length[b] / 6 else 3 if ap > length[b] / 6 else 2
                        found[b, 0] += weight * surplus
                        found[b, third] += weight * surplus
                        found[b, 4] += surplus
                        found[b, 5] += max(a - e, 0.0)
                        found[b, 6] += weight * e
                        found[b, 7] += e
                        found[b, 8] += a
        return found

    return lambda given: torch.from_numpy(volumes(*(given[name].numpy() for name in op.TENSORS)))


@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize("batch", [1, 17, 64, 512])
@pytest.mark.parametrize("name", MOST)
def test_bench_surplus(benchmark, name, batch, sides):
    if batch > MOST[name]:
        pytest.skip(f"{name} is too slow for {batch} patches")
    call, given = contestant(name), op.patches(batch, SIDES[sides])
    few = {key: tensor[:1] for key, tensor in given.items()}
    exact = op.columns(op.volumes_of({key: tensor.double() for key, tensor in few.items()}))
    assert torch.allclose(call(few).double(), exact, rtol=1e-3, atol=1e-3)
    benchmark.pedantic(call, (given,), rounds=15 if name == "cpu" else 3, warmup_rounds=1)


@pytest.mark.parametrize("name", ["reference", "cpu"])
def test_bench_surplus_with_gradient(benchmark, name):
    given = op.patches(17, (64, 64, 64))
    grids = {key: given[key].requires_grad_() for key in ("expected", "actual")}

    def call():
        return torch.autograd.grad(op.volumes_of(given, name).weighted_surplus.sum(), list(grids.values()), allow_unused=True)

    assert all(gradient.abs().max() > 0 for gradient in call())
    benchmark.pedantic(call, rounds=5)
