"""Neighbours to expected shapes, all targets of a spine in one batch, and where they lie. ``make bench``; on the GPU, too, where there is one."""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from shapekit.core.values import Sdf
from shapekit.predictors import contexts_along, make_predictor, place


def contexts_of(found):
    return contexts_along([body.level for body in found.bodies], list(found.shapes))


@pytest.mark.parametrize("name", ["generative", "linear", "neighbours"])
def test_bench_predict(benchmark, name, found, device, finished):
    predictor, contexts = make_predictor(name, None, device=device), contexts_of(found)
    for made, shape in zip(finished(predictor.predict, contexts), found.shapes, strict=True):
        assert np.median(np.abs(made - shape.values)[np.abs(shape.values) < 2]) < 3.0
    benchmark.pedantic(finished, (predictor.predict, contexts), rounds=3, warmup_rounds=1)


def test_bench_limit_of_predict(benchmark, found, device, finished):
    """As many multiplications as the networks' in large products of matrices, this machine's best rate: no network of theirs takes less."""
    predictor, contexts = make_predictor("generative", None, device=device), contexts_of(found)
    with FlopCounterMode(display=False) as counter:
        predictor.predict(contexts)
    side = 1024
    products = round(counter.get_total_flops() / (2 * side**3))
    assert products >= 1
    matrix = torch.rand(side, side, device=device)

    def multiply():
        for _ in range(products):
            torch.mm(matrix, matrix)

    benchmark.pedantic(finished, (multiply,), rounds=3, warmup_rounds=1)


def test_bench_place(benchmark, found):
    values = make_predictor("neighbours", None, device="cpu").predict(contexts_of(found))
    given = [
        (Sdf(made, shape.grid), body.sdf, frame) for made, shape, body, frame in zip(values, found.shapes, found.bodies, found.frames, strict=True)
    ]
    for one in given:
        assert np.linalg.norm(place(*one).origin - one[2].origin) < 15
    benchmark.pedantic(lambda: [place(*one) for one in given], rounds=3)
