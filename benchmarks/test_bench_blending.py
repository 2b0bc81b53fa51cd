"""A mixture of a patch's fields by coarser shares: ``make bench``. Answers are checked first; torch's ``interpolate`` is the library's way."""

import pytest
import torch
from torch.nn import functional

from shapekit.ops import blended


def by_interpolate(fields, guess, shares, correction):
    shares, correction = (functional.interpolate(part, size=fields.shape[2:], mode="trilinear", align_corners=False) for part in (shares, correction))
    return correction + (shares * torch.cat([fields, guess], dim=1)).sum(dim=1, keepdim=True)


@pytest.mark.parametrize("name", ["cpu", "reference", "interpolate"])
def test_bench_blended(benchmark, name):
    generator = torch.Generator().manual_seed(0)
    fields, guess = (5 * torch.randn(1, count, 80, 64, 64, generator=generator) for count in (4, 1))
    shares = torch.softmax(torch.randn(1, 5, 40, 32, 32, generator=generator), dim=1)
    given = fields, guess, shares, torch.randn(1, 1, 40, 32, 32, generator=generator)

    def call():
        return by_interpolate(*given) if name == "interpolate" else blended(*given, backend=name)

    assert (call() - by_interpolate(*given)).abs().max() < 1e-4
    benchmark.pedantic(call, rounds=9, warmup_rounds=1)
