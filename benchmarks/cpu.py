"""The operators on the CPU against their targets, as ratios in one run: ``python benchmarks/cpu.py``. Answers are checked first."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import SimpleITK
import torch

from benchmarks import operators as op
from shapekit.ops import backend_for, signed_distance


def surplus_rows():
    given = op.patches(17, (128, 64, 64))
    exact = op.columns(op.volumes_of({name: tensor[:2].double() for name, tensor in given.items()}))
    worst = float(((op.columns(op.volumes_of(given, "cpu"))[:2] - exact).abs() / exact.clamp_min(1e-3 * exact.amax())).max())
    assert worst <= 1e-5, worst
    compiled = torch.compile(op.eager)
    assert torch.allclose(compiled(given)[:2].double(), exact, rtol=1e-3)

    def with_gradient(function):
        grids = {name: given[name].clone().requires_grad_() for name in ("expected", "actual")}

        def call():
            return torch.autograd.grad(function(given | grids), list(grids.values()))

        return call

    def native(given):
        volumes = op.volumes_of(given, "cpu")
        return volumes.weighted_surplus.sum() + volumes.expected.sum()

    def plain(given):
        volumes = op.eager(given)
        return volumes[:, 0].sum() + volumes[:, 7].sum()

    torch.set_num_threads(1)
    contestants = {
        "read both arrays": lambda: (given["expected"].sum(), given["actual"].sum()),
        "native": lambda: op.volumes_of(given, "cpu"),
        "torch.compile": lambda: compiled(given),
        "reference": lambda: op.volumes_of(given, "reference"),
        "eager": lambda: op.eager(given),
    }
    slow = {"reference": 3, "eager": 3, "torch.compile": 7, "read both arrays": 41, "native": 41}
    times = op.clock(contestants, slow)
    rows = [("surplus, 17 x 128x64x64, 1 thread", name, seconds, seconds / times["read both arrays"]) for name, seconds in times.items()]
    times = op.clock({"native": with_gradient(native), "eager": with_gradient(plain)}, {"native": 9, "eager": 3})
    rows += [("surplus with gradient, 17 x 128x64x64, 1 thread", name, seconds, seconds / times["native"]) for name, seconds in times.items()]
    return rows


def distance_rows(threads):
    spacing, batch = (0.7, 1.3, 2.9), op.masks(17, 64)
    tensor = torch.from_numpy(batch)
    torch.set_num_threads(threads)
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    exact = np.stack([signed_distance(mask, spacing, backend="reference") for mask in batch])
    assert np.abs(signed_distance(tensor, spacing, backend="cpu").numpy() - exact).max() <= 1e-4
    contestants = {
        "native": lambda: signed_distance(tensor, spacing, backend="cpu"),
        "SimpleITK": lambda: op.by_simpleitk(batch, spacing),
        "SciPy": lambda: [signed_distance(mask, spacing, backend="reference") for mask in batch],
    }
    try:
        op.by_edt(batch[:1], spacing)
        contestants["edt"] = lambda: op.by_edt(batch, spacing)
    except ImportError:
        print("edt is not installed")
    times = op.clock(contestants, {"native": 15, "SimpleITK": 9, "SciPy": 3, "edt": 5})
    return [(f"distance, 17 x 64x64x64, {threads} threads", name, seconds, seconds / times["native"]) for name, seconds in times.items()]


def main():
    choice = backend_for("cpu", backend="cpu")
    threads = torch.get_num_threads()
    print(op.machine(), choice.name)
    rows = surplus_rows() + distance_rows(1) + (distance_rows(threads) if threads > 1 else [])
    for what, name, seconds, ratio in rows:
        print(f"{what:50} {name:18} {1e3 * seconds:10.2f} ms {ratio:8.2f} x")
    op.record("cpu", rows)


if __name__ == "__main__":
    main()
