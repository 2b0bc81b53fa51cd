"""One command's proof on a GPU: ``python benchmarks/gpu.py``. Checks first, then timings with CUDA events, then a table and a JSON file."""

import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch

import shapekit as sk
from benchmarks import operators as op
from shapekit.ops import backend_for, signed_distance

SIDES, SPACING = (128, 64, 64), (0.7, 1.3, 2.9)
DEMO = Path(__file__).resolve().parents[1] / "data" / "demo" / "demo_spine.nii.gz"


def seconds(call, inputs, rounds=50):
    """Median of CUDA event times; the inputs take turns, so that the cache is not what is timed."""
    for given in inputs:
        call(given)
    times = []
    for number in range(rounds):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        call(inputs[number % len(inputs)])
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) / 1e3)
    return statistics.median(times)


def native(given):
    return op.columns(op.volumes_of(given, "cuda"))


def check():
    """The kernels against the C++ library and float64, their gradients, their bits, torch's own checks of an operator."""
    for batch, sides in ((1, (1, 1, 1)), (3, (24, 20, 28)), (5, (37, 52, 41)), (17, SIDES)):
        given = op.patches(batch, sides)
        on_gpu = {name: tensor.cuda() for name, tensor in given.items()}
        exact = op.columns(op.volumes_of({name: tensor.double() for name, tensor in on_gpu.items()}, "reference")).cpu()
        found = native(on_gpu)
        for columns in (found.cpu(), op.columns(op.volumes_of(given, "cpu"))):
            assert float(((columns - exact).abs() / exact.clamp_min(1e-3 * exact.amax() + 1e-12)).max()) <= 1e-5, sides
        assert all(torch.equal(native(on_gpu), found) for _ in range(20)), "bits differ between runs"
        order = torch.randperm(batch)
        assert torch.equal(native({name: tensor[order.cuda()].contiguous() for name, tensor in on_gpu.items()}), found[order.cuda()])
        gradients = []
        for place, backend in ((on_gpu, "cuda"), (given, "cpu")):
            grids = {name: place[name].clone().requires_grad_() for name in ("expected", "actual")}
            volumes = op.volumes_of(place | grids, backend)
            loss = volumes.weighted_surplus.sum() + 0.3 * volumes.excess.sum() + 0.1 * volumes.actual.sum()
            gradients.append([one.cpu() for one in torch.autograd.grad(loss, list(grids.values()))])
        for one, other in zip(*gradients, strict=True):
            far = (one - other).abs() > 1e-5 * other.abs().max()
            assert float(far.float().mean()) < 1e-4, "gradients differ"  # but where both occupancies are equal to the last bit
    for shape in ((2, 9, 12, 7), (1, 1, 5, 70), (17, 64, 64, 64), (1, 500, 3, 40)):
        mask = torch.rand(shape, device="cuda") < 0.02
        exact = signed_distance(mask.cpu(), SPACING, backend="reference")
        assert torch.allclose(signed_distance(mask, SPACING, backend="cuda").cpu(), exact, rtol=0, atol=1e-4), shape
    given = op.patches(2, (5, 6, 7), "cuda")
    arguments = [given[name].contiguous() for name in op.TENSORS]
    for grid in arguments[:2]:
        grid.requires_grad_()
    torch.library.opcheck(torch.ops.shapekit.surplus_volume.default, (*arguments, op.SPACING_MM))
    torch.library.opcheck(torch.ops.shapekit.signed_distance.default, (arguments[0].detach() < 0, list(SPACING)))


def sanitize():
    """Memory errors and races, by NVIDIA's own tool, on a small run of this file."""
    tool = shutil.which("compute-sanitizer")
    if tool is None:
        return "not run: compute-sanitizer is not installed"
    options = ["--report-api-errors", "no", "--error-exitcode", "9"]  # what torch asks the driver for in vain is no error of a kernel's
    for kind in ("memcheck", "racecheck"):
        done = subprocess.run([tool, "--tool", kind, *options, sys.executable, __file__, "--small"], check=False, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{kind} ended with {done.returncode}:\n" + "\n".join((done.stdout + done.stderr).splitlines()[:80]))
    return "memcheck and racecheck clean"


def small():
    given = op.patches(2, (9, 20, 28), "cuda")
    grids = {name: given[name].requires_grad_() for name in ("expected", "actual")}
    torch.autograd.grad(op.volumes_of(given | grids, "cuda").weighted_surplus.sum(), list(grids.values()), allow_unused=True)
    signed_distance(grids["expected"].detach() < 0, SPACING, backend="cuda")


def surplus_rows():
    source = torch.zeros(2**28, device="cuda")
    target = torch.zeros_like(source)
    copy = 2 * source.numel() * 4 / seconds(lambda pair: pair[1].copy_(pair[0]), [(source, target)])
    rows = [("device copy", f"{copy / 1e12:.2f} TB/s", "")]
    compiled = torch.compile(op.eager)
    for batch in (1, 17, 64, 512):
        inputs = [op.patches(batch, SIDES, "cuda", seed) for seed in range(4 if batch < 512 else 2)]
        took = seconds(native, inputs)
        rate = 8 * batch * np.prod(SIDES) / took
        rows.append((f"surplus, B = {batch}", f"{1e6 * took:.1f} us", f"{100 * rate / copy:.0f} % of the copy's bandwidth"))
        if batch <= 64:
            for name, call in (("eager", op.eager), ("torch.compile", compiled)):
                other = seconds(call, inputs, 10)
                rows.append((f"  {name}", f"{1e6 * other:.1f} us", f"{other / took:.1f} x the native"))
    return rows


def distance_rows():
    rows = []
    inputs = [torch.from_numpy(op.masks(17, 64, seed)).cuda() for seed in range(3)]
    took = seconds(lambda mask: signed_distance(mask, SPACING, backend="cuda"), inputs)
    rows.append(("distance, 17 x 64^3", f"{1e6 * took:.1f} us", ""))
    try:
        import cupy
        from cupyx.scipy.ndimage import distance_transform_edt
    except ImportError:
        return [*rows, ("  CuPy", "not installed", "")]

    def by_cupy(mask):
        for item in cupy.asarray(mask):
            distance_transform_edt(item, sampling=SPACING)
            distance_transform_edt(~item, sampling=SPACING)

    other = seconds(by_cupy, inputs, 5)
    return [*rows, ("  CuPy, two transforms", f"{1e6 * other:.1f} us", f"{other / took:.1f} x the native")]


def main():
    if not torch.cuda.is_available():
        sys.exit("benchmarks/gpu.py needs a GPU, and torch sees none here; run it on a machine with one and a CUDA build of torch.")
    backend_for("cuda", backend="cuda")
    if "--small" in sys.argv:
        small()
        return
    check()
    rows = [("checks", "passed", ""), *surplus_rows(), *distance_rows()]
    for device in ("cpu", "cuda"):
        begin = time.perf_counter()
        sk.score(sk.load(DEMO), device="gpu" if device == "cuda" else device)
        rows.append((f"mask to score, the shipped patient, {device}", f"{time.perf_counter() - begin:.1f} s", ""))
    print(torch.cuda.get_device_name(), "CUDA", torch.version.cuda, op.machine())
    for row in rows:
        print(f"{row[0]:45} {row[1]:>20}  {row[2]}")
    op.record("gpu", [torch.cuda.get_device_name(), *rows])
    print(sanitize())


if __name__ == "__main__":
    main()
