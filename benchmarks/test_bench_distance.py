"""The signed distance: ``make bench``. Answers are checked before they are timed; ``python benchmarks/cpu.py`` measures ratios in one run."""

import numpy as np
import pytest
import torch

from benchmarks import operators as op
from shapekit.ops import signed_distance

pytestmark = pytest.mark.filterwarnings("ignore")  # the contestants' own
SPACING = (0.7, 1.3, 2.9)
MOST = {"reference": 17, "simpleitk": 64, "edt": 64, "cpu": 512}


def contestant(name):
    if name == "edt":
        pytest.importorskip("edt")
        return op.by_edt
    if name == "simpleitk":
        return op.by_simpleitk
    return lambda batch, spacing: signed_distance(torch.from_numpy(batch), spacing, backend=name).numpy()


@pytest.mark.parametrize("side", [64, 128])
@pytest.mark.parametrize("batch", [1, 17, 64, 512])
@pytest.mark.parametrize("name", MOST)
def test_bench_distance(benchmark, name, batch, side):
    if batch * side**3 > MOST[name] * 64**3:
        pytest.skip(f"{name} is too slow for {batch} masks of {side}")
    call, masks = contestant(name), op.masks(batch, side)
    exact = signed_distance(masks[0], SPACING, backend="reference")
    # SimpleITK measures to the body's outermost voxels from both sides: the same outside only, and half the work
    asked = ~masks[0] if name == "simpleitk" else np.ones_like(masks[0])
    assert np.abs(call(masks[:1], SPACING)[0] - exact)[asked].max() <= 1e-3
    benchmark.pedantic(call, (masks, SPACING), rounds=9 if name == "cpu" else 3, warmup_rounds=1)
