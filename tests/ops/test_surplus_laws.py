import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import shapekit as sk
from shapekit.ops import surplus_volume
from tests.ops.test_surplus import columns, inputs, run

SEEDS = st.integers(0, 2**16)
FEW = settings(max_examples=25, deadline=None)


@FEW
@given(SEEDS, st.floats(0.3, 3.0))
def test_lengths_in_another_unit_give_volumes_in_its_cube(seed, factor):
    given_ = inputs(2, seed=seed, dtype=torch.float64)
    kept = ("rotation",)
    scaled = {name: value if name in kept else value * factor for name, value in given_.items()}
    assert columns(run(scaled)) == pytest.approx(columns(run(given_)) * factor**3, rel=1e-9, abs=1e-9)


@FEW
@given(SEEDS, st.sampled_from([(1, 2, 0), (0, 2, 1), (2, 1, 0)]))
def test_patches_and_frames_turned_together_change_nothing(seed, order):
    given_ = inputs(2, seed=seed, dtype=torch.float64)
    turned = given_ | {name: given_[name].permute(0, *(n + 1 for n in order)).flip(1) for name in ("expected", "actual")}
    sign = torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
    turned["centre"] = given_["centre"][:, list(order)] * sign
    turned["rotation"] = given_["rotation"][:, list(order)] * sign[:, None]
    assert columns(run(turned)) == pytest.approx(columns(run(given_)), rel=1e-9, abs=1e-9)


@FEW
@given(SEEDS)
def test_expected_and_actual_exchanged_exchange_surplus_and_excess(seed):
    given_ = inputs(2, seed=seed)
    there, back = run(given_), run(given_ | {"expected": given_["actual"], "actual": given_["expected"]})
    assert there.surplus.numpy() == pytest.approx(back.excess.numpy())
    assert there.excess.numpy() == pytest.approx(back.surplus.numpy())
    assert there.expected.numpy() == pytest.approx(back.actual.numpy())
    assert (there.weighted_surplus <= there.surplus).all()
    assert (there.weighted_surplus <= there.weighted_expected * (1 + 1e-6)).all()


def test_without_any_limit_the_weight_is_one():
    given_ = inputs(3, dtype=torch.float64)
    volumes = run(given_ | {"sigma_mm": torch.full((3, 3), math.inf, dtype=torch.float64)})
    assert volumes.weighted_surplus.numpy() == pytest.approx(volumes.surplus.numpy())
    assert volumes.weighted_expected.numpy() == pytest.approx(volumes.expected.numpy())


def test_a_patch_alone_has_the_bits_it_has_in_a_batch():
    given_ = inputs(3)
    for n in range(3):
        alone = {name: value if isinstance(value, float) else value[n : n + 1] for name, value in given_.items()}
        assert np.array_equal(columns(run(alone))[0], columns(run(given_))[n])


def test_the_thirds_of_a_slab_are_the_gaussians():
    side, sigma, length = 121, 6.0, 12.0
    ap = torch.arange(side, dtype=torch.float64) * 0.5 - 30.0
    slab = (-torch.ones(1, 9, side, 9, dtype=torch.float64)).contiguous()
    volumes = surplus_volume(
        slab,
        -slab,
        spacing_mm=0.5,
        centre=torch.tensor([[0.0, 3.3, 0.0]], dtype=torch.float64),
        rotation=torch.eye(3, dtype=torch.float64)[None],
        sigma_mm=torch.tensor([[math.inf, sigma, math.inf]], dtype=torch.float64),
        length_ap_mm=torch.tensor([length], dtype=torch.float64),
    )
    # 3.3 mm: no voxel centre lies on the border of a third, and the voxels nearest to it reach half their side beyond
    low, high = (float(ap[(ap - 3.3).abs() <= length / 6].min()) - 0.25 - 3.3, float(ap[(ap - 3.3).abs() <= length / 6].max()) + 0.25 - 3.3)

    def below(x):
        return 0.5 * (1 + math.erf(x / sigma / math.sqrt(2)))

    truth = np.array([below(low), below(high) - below(low), 1 - below(high)]) * 4.5**2 * sigma * math.sqrt(2 * math.pi)
    assert volumes.weighted_thirds[0].numpy() == pytest.approx(truth, rel=2e-3)


def test_an_empty_batch_is_refused():
    empty = {name: value if isinstance(value, float) else value[:0] for name, value in inputs(1).items()}
    with pytest.raises(sk.InputError, match="B >= 1"):
        run(empty)
