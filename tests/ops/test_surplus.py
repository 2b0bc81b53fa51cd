import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

import shapekit as sk
from shapekit.ops import surplus_volume
from tests.oracles.surplus import surplus_volumes


def inputs(batch, sides=(9, 12, 7), seed=0, dtype=torch.float32):
    generator = np.random.default_rng(seed)
    fields = 12 * gaussian_filter(generator.standard_normal((2, batch, *sides)), (0, 0, 1.5, 1.5, 1.5))
    turns = np.stack([Rotation.random(rng=generator).as_matrix() for _ in range(batch)])
    sigma = generator.uniform(1.5, 5.0, (batch, 3))
    sigma[0, 2] = math.inf
    to = {"dtype": dtype}
    return {
        "expected": torch.tensor(fields[0], **to),
        "actual": torch.tensor(fields[1], **to),
        "spacing_mm": 0.8,
        "centre": torch.tensor(generator.uniform(-2, 2, (batch, 3)), **to),
        "rotation": torch.tensor(turns, **to),
        "sigma_mm": torch.tensor(sigma, **to),
        "length_ap_mm": torch.tensor(generator.uniform(3, 6, batch), **to),
    }


def columns(volumes):
    rest = (volumes.surplus, volumes.excess, volumes.weighted_expected, volumes.expected, volumes.actual)
    return torch.cat([volumes.weighted_surplus[:, None], volumes.weighted_thirds, torch.stack(rest, dim=1)], dim=1).numpy()


def run(given):
    rest = dict(given)
    return surplus_volume(rest.pop("expected"), rest.pop("actual"), **rest)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("batch", [1, 3])
def test_every_volume_agrees_with_a_voxel_by_voxel_sum(batch, dtype, tolerance):
    given = inputs(batch, dtype=dtype)
    inside = (given["expected"] < 0).float().mean()
    assert 0.2 < inside < 0.8  # both signs
    for n, row in enumerate(columns(run(given))):
        truth = surplus_volumes(
            given["expected"][n].double().numpy(),
            given["actual"][n].double().numpy(),
            0.8,
            *(given[name][n].double().numpy() for name in ("centre", "rotation", "sigma_mm")),
            float(given["length_ap_mm"][n]),
        )
        assert row == pytest.approx(truth, rel=tolerance, abs=tolerance * truth.max())


def test_thirds_sum_to_the_whole_and_volumes_balance():
    volumes = run(inputs(3))
    assert volumes.weighted_thirds.sum(dim=1).numpy() == pytest.approx(volumes.weighted_surplus.numpy(), rel=1e-6)
    assert (volumes.expected - volumes.actual).numpy() == pytest.approx((volumes.surplus - volumes.excess).numpy(), rel=1e-5, abs=1e-3)


def test_the_order_of_a_batch_changes_no_bit():
    given = inputs(3)
    turned = {name: value if isinstance(value, float) else value[[2, 0, 1]] for name, value in given.items()}
    assert np.array_equal(columns(run(given))[[2, 0, 1]], columns(run(turned)))


def test_a_missing_slab_under_a_gaussian_has_its_closed_form():
    side, thickness, sigma = 81, 6.0, (6.0, 4.0)
    si = torch.arange(21.0) - 10.0
    slab = (si.abs() - thickness / 2).expand(1, side, side, 21).contiguous()
    volumes = surplus_volume(
        slab,
        torch.full_like(slab, 9.0),
        spacing_mm=1.0,
        centre=torch.zeros(1, 3),
        rotation=torch.eye(3)[None],
        sigma_mm=torch.tensor([[*sigma, math.inf]]),
        length_ap_mm=torch.tensor([24.0]),
    )
    assert float(volumes.weighted_surplus) == pytest.approx(thickness * 2 * math.pi * sigma[0] * sigma[1], rel=1e-5)
    # a third of the length about the middle is ± one sigma (24 / 6 = 4)
    assert float(volumes.weighted_thirds[0, 1] / volumes.weighted_surplus[0]) == pytest.approx(0.6827, abs=0.06)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("expected", torch.zeros(3, 9, 12)),
        ("actual", torch.zeros(1, 9, 12, 6)),
        ("expected", torch.full((1, 9, 12, 7), math.nan)),
        ("actual", torch.full((1, 9, 12, 7), math.inf)),
        ("centre", torch.zeros(1, 2)),
        ("centre", torch.full((1, 3), math.nan)),
        ("rotation", torch.ones(1, 3, 3)),
        ("rotation", torch.eye(3)),
        ("sigma_mm", torch.tensor([[1.0, -1.0, 1.0]])),
        ("sigma_mm", torch.tensor([[1.0, math.nan, 1.0]])),
        ("length_ap_mm", torch.zeros(1)),
        ("spacing_mm", 0.0),
        ("spacing_mm", math.nan),
    ],
)
def test_wrong_arguments_are_named(name, wrong):
    with pytest.raises(sk.InputError, match=name):
        run(inputs(1) | {name: wrong})
