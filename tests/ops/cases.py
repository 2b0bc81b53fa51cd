"""Patches and their volumes for the tests of the native implementations."""

import torch

from shapekit.ops.surplus import smooth_occupancy, surplus_reference
from tests.ops.test_surplus import inputs

TENSORS = ("expected", "actual", "centre", "rotation", "sigma_mm", "length_ap_mm")
SHAPES = [(1, 1, 1, 1), (3, 24, 20, 28), (2, 9, 12, 7), (2, 1, 17, 33), (1, 40, 3, 130), (2, 5, 300, 1)]
"""(B, D, H, W): one voxel, sides that are no multiple of 4 or 16, lines shorter and longer than a block's lanes."""


def given(shape, seed=0, dtype=torch.float32):
    """Tensors in the operator's order, then the spacing."""
    found = inputs(shape[0], shape[1:], seed=seed, dtype=dtype)
    return (*(found[name].contiguous() for name in TENSORS), found["spacing_mm"])


def truth(tensors):
    """The nine volumes in float64, and the gradients of any sum of them to both grids."""
    *tensors, spacing_mm = tensors
    exact = [tensor.double() for tensor in tensors]
    grids = [grid.requires_grad_() for grid in exact[:2]]
    volumes = surplus_reference(*exact, spacing_mm=spacing_mm)
    return volumes.detach(), lambda upstream: torch.autograd.grad(volumes, grids, upstream[:, :9])


def upstream_for(volumes, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.cat([torch.randn(volumes.shape, generator=generator, dtype=torch.float64), torch.zeros(len(volumes), 1, dtype=torch.float64)], dim=1)


def assert_volumes(found, exact, tolerance=1e-5):
    """Relative to each volume; what is under a millionth of its patch's largest is measured against that."""
    scale = torch.maximum(exact.abs(), 1e-6 * exact.abs().amax(dim=1, keepdim=True)).clamp_min(1e-12)
    assert float(((found[:, :9] - exact).abs() / scale).max()) <= tolerance


def assert_gradients(found, exact, tensors, tolerance=3e-6):
    """Relative to the largest; but for voxels whose occupancies are equal in float32, where the volume has a kink."""
    gap = smooth_occupancy(tensors[0].double(), tensors[-1]) - smooth_occupancy(tensors[1].double(), tensors[-1])
    kink = gap.abs() < 2e-7
    for one, other in zip(found, exact, strict=True):
        difference = (one - other).abs().masked_fill(kink, 0.0)
        assert float(difference.max()) <= tolerance * max(float(other.abs().max()), 1e-12)
