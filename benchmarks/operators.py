"""What the operators' benchmarks share: inputs as large as real ones, the contestants, and a clock that alternates between them."""

import json
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from shapekit.ops import SurplusVolumes, surplus_volume
from shapekit.ops.surplus import smooth_occupancy

SPACING_MM = 1.0
TENSORS = ("expected", "actual", "centre", "rotation", "sigma_mm", "length_ap_mm")


def patches(batch, sides, device="cpu", seed=0):
    """Signed distances of ellipsoids of vertebral size, and a turned Gaussian each: the arguments of ``surplus_volume``."""
    generator = torch.Generator().manual_seed(seed)
    axes = [(torch.arange(side) - (side - 1) / 2) for side in sides]

    def bodies(shrink):
        radii = torch.tensor([0.34, 0.25, 0.2]) * torch.tensor(sides) * (1 - shrink * torch.rand(batch, 3, generator=generator))
        parts = [(axis / radii[:, n : n + 1]) ** 2 for n, axis in enumerate(axes)]
        norm = (parts[0][:, :, None, None] + parts[1][:, None, :, None] + parts[2][:, None, None, :]).sqrt()
        return ((norm - 1) * radii.amin(dim=1)[:, None, None, None]).contiguous()

    turns = torch.linalg.qr(torch.eye(3) + 0.2 * torch.randn(batch, 3, 3, generator=generator))[0].contiguous()
    sigma = torch.tensor([8.0, 5.5, float("inf")]).expand(batch, 3).contiguous()
    centre = torch.randn(batch, 3, generator=generator)
    tensors = (bodies(0.1), bodies(0.3), centre, turns, sigma, torch.full((batch,), 33.0))
    return {name: tensor.to(device) for name, tensor in zip(TENSORS, tensors, strict=True)}


def volumes_of(given, backend="auto") -> SurplusVolumes:
    rest = {name: given[name] for name in TENSORS[2:]}
    return surplus_volume(given["expected"], given["actual"], spacing_mm=SPACING_MM, backend=backend, **rest)


def eager(given):
    """The surplus as one would write it in torch: the whole batch at once. Columns as ``columns`` gives them."""
    expected, actual = given["expected"], given["actual"]
    axes = [(torch.arange(side, device=expected.device) - (side - 1) / 2) * SPACING_MM for side in expected.shape[1:]]
    x, y, z = (axis - given["centre"][:, n : n + 1] for n, axis in enumerate(axes))
    turn = given["rotation"][:, :, :, None]
    along = [(x * turn[:, 0, m])[:, :, None, None] + (y * turn[:, 1, m])[:, None, :, None] + (z * turn[:, 2, m])[:, None, None, :] for m in range(3)]
    weight = torch.exp(-0.5 * sum((part / given["sigma_mm"][:, m, None, None, None]) ** 2 for m, part in enumerate(along)))
    e, a = smooth_occupancy(expected, SPACING_MM), smooth_occupancy(actual, SPACING_MM)
    surplus = (e - a).clamp_min(0)
    weighted = weight * surplus
    sixth = given["length_ap_mm"][:, None, None, None] / 6
    back, front = along[1] < -sixth, along[1] > sixth
    parts = (weighted, weighted * back, weighted * ~(back | front), weighted * front, surplus, (a - e).clamp_min(0), weight * e, e, a)
    return torch.stack([part.sum(dim=(1, 2, 3)) for part in parts], dim=1) * SPACING_MM**3


def columns(volumes: SurplusVolumes):
    rest = (volumes.surplus, volumes.excess, volumes.weighted_expected, volumes.expected, volumes.actual)
    return torch.cat([volumes.weighted_surplus[:, None], volumes.weighted_thirds, torch.stack(rest, dim=1)], dim=1)


def masks(batch, side, seed=0):
    """Rough bodies of vertebral proportions on cubic patches: (batch, side, side, side) bool."""
    generator = np.random.default_rng(seed)
    place = (np.indices((side, side, side)) - side / 2).astype(np.float32)
    found = []
    for _ in range(batch):
        radii = np.array([0.33, 0.25, 0.2]) * side * generator.uniform(0.9, 1.1, 3)
        norm = sum((part / radius) ** 2 for part, radius in zip(place, radii, strict=True))
        found.append(norm + 0.02 * generator.standard_normal(norm.shape) < 1)
    return np.stack(found)


def by_simpleitk(batch, spacing):
    """Signed Maurer maps, one a mask."""
    import SimpleITK

    fields = []
    for mask in batch:
        image = SimpleITK.GetImageFromArray(mask.view(np.uint8))
        image.SetSpacing([float(side) for side in spacing[::-1]])
        field = SimpleITK.SignedMaurerDistanceMap(image, insideIsPositive=False, squaredDistance=False, useImageSpacing=True)
        fields.append(SimpleITK.GetArrayFromImage(field))
    return np.stack(fields)


def by_edt(batch, spacing):
    """The package ``edt``, twice."""
    import edt

    threads = torch.get_num_threads()
    return np.stack([edt.edt(~mask, anisotropy=spacing, parallel=threads) - edt.edt(mask, anisotropy=spacing, parallel=threads) for mask in batch])


def clock(contestants: dict[str, Callable[[], object]], rounds: dict[str, int] | int = 15, synchronise: Callable[[], None] = lambda: None):
    """Median seconds of each, measured in turns so that whatever else the machine does meets all alike."""
    wanted = {name: rounds if isinstance(rounds, int) else rounds.get(name, 15) for name in contestants}
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    for call in contestants.values():
        call()
    for number in range(max(wanted.values())):
        for name, call in contestants.items():
            if number < wanted[name]:
                synchronise()
                begin = time.perf_counter()
                call()
                synchronise()
                taken[name].append(time.perf_counter() - begin)
    return {name: statistics.median(times) for name, times in taken.items()}


def machine():
    """Device, versions and commit, for the record."""
    told = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    model = next((line.split(":")[1].strip() for line in told.splitlines() if line.startswith("model name")), platform.processor())
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    return {
        "cpu": model,
        "cores": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "commit": commit.stdout.strip(),
    }


def record(name, rows):
    """Write rows with the machine's description to out/benchmarks/<name>.json and say where."""
    path = Path("out") / "benchmarks" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1))
    print(f"written to {path}")
