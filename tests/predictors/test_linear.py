import numpy as np
import pytest

from shapekit.core.checks import InputError
from shapekit.predictors import linear
from shapekit.predictors.linear import LEVELS, LinearModel

SHAPE = (40, 32, 32)
T12, L1, L2, L3 = (LEVELS.index(level) for level in LEVELS if str(level) in ("T12", "L1", "L2", "L3"))


def ellipsoid(*radii):
    axes = np.meshgrid(*[np.arange(side) * 2.0 - (side - 1) for side in SHAPE], indexing="ij")
    return (np.sqrt(sum((x / r) ** 2 for x, r in zip(axes, radii, strict=True))) - 1) * min(radii)


def triple(size):
    """Three bodies of one person: each level is a little larger."""
    return [ellipsoid(20 + size + step, 15 + size, 11 + size + 0.5 * step) for step in range(3)]


@pytest.fixture(scope="module")
def model():
    sizes = np.random.default_rng(0).normal(size=40)
    people = [triple(size) for size in sizes]
    contexts = np.array([shape for person in people for shape in person], dtype=np.float32)
    seats = np.full((40, 4, 2), -1)
    seats[:, 1] = [(3 * n, L1) for n in range(40)]
    seats[:, 2] = [(3 * n + 2, L3) for n in range(40)]
    return LinearModel.fit(contexts[1::3], np.full(40, L2), contexts, seats[:, None], components=6, ridge=1.0)


def error(found, true):
    near = np.abs(true) < 1.5
    return float(np.abs(found - true)[near].mean())


def test_an_unseen_person_is_predicted_from_both_neighbours_and_from_either(model):
    first, middle, last = triple(0.8)
    nothing = np.zeros(SHAPE)
    both = model.half(np.array([nothing, first, last, nothing], np.float32), (None, L1, L3, None), L2)
    above = model.half(np.array([nothing, first, nothing, nothing], np.float32), (None, L1, None, None), L2)
    below = model.half(np.array([nothing, nothing, last, nothing], np.float32), (None, None, L3, None), L2)
    assert error(both, middle) < 0.05
    assert max(error(above, middle), error(below, middle)) < 0.1
    assert error(first, middle) > 0.3  # what a copy of the neighbour would do


def test_a_strong_ridge_falls_back_to_the_levels_mean(model):
    first, _, last = triple(2.0)
    fields = np.array([first, first, last, last], np.float32)
    places = (None, L1, L3, None)
    stiff = LinearModel(model.mean, model.modes, model.level_means, model.seat_means, model.covariance, 1e12)
    usual = (model.mean + (model.level_means[L2] + model.seat_means[4]).astype(np.float32) @ model.modes).reshape(SHAPE)
    np.testing.assert_allclose(stiff.half(fields, places, L2), usual, atol=1e-3)
    assert error(model.half(fields, places, L2), usual) > 0.5


def test_arrays_on_disk_give_the_same_model(model):
    again = LinearModel.from_tensors(model.tensors(), model.ridge)
    first, _, last = triple(-0.5)
    fields = np.array([first, first, last, last], np.float32)
    assert np.abs(again.half(fields, (None, L1, L3, None), L2) - model.half(fields, (None, L1, L3, None), L2)).max() < 0.05


def test_targets_in_several_companies_are_several_targets_also_in_pieces(monkeypatch):
    people = [triple(size) for size in np.random.default_rng(1).normal(size=20)]
    contexts = np.array([shape for person in people for shape in person], dtype=np.float32)
    shapes, levels = contexts[1::3], np.full(20, L2)
    seats = np.full((20, 2, 4, 2), -1)
    seats[:, :, 1] = [[(3 * n, L1)] * 2 for n in range(20)]
    seats[:, 0, 2] = [(3 * n + 2, L3) for n in range(20)]
    apart = LinearModel.fit(shapes.repeat(2, axis=0), levels.repeat(2), contexts, seats.reshape(40, 1, 4, 2), components=4)
    together = LinearModel.fit(shapes, levels, contexts, seats, components=4)
    monkeypatch.setattr(linear, "AT_ONCE", 7)
    pieces = LinearModel.fit(shapes, levels, contexts, seats, components=4)
    first, _, last = triple(0.8)
    fields = np.array([first, first, last, last], np.float32)
    for places in ((None, L1, L3, None), (None, L1, None, None)):
        want = apart.half(fields, places, L2)
        for other in (together, pieces):
            np.testing.assert_allclose(other.half(fields, places, L2), want, atol=1e-3)


@pytest.mark.parametrize(("count", "companies"), [(2, 1), (1, 2), (0, 2)])
def test_too_few_targets_are_told(count, companies):
    none = np.zeros((count, *SHAPE), np.float32)
    with pytest.raises(InputError, match=f"{count} healthy vertebrae"):
        LinearModel.fit(none, np.zeros(count, int), none, np.full((count, companies, 4, 2), -1))
