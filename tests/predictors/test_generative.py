import numpy as np
import pytest
import torch

from shapekit.core.checks import InputError
from shapekit.core.conventions import PATCH_SHAPE
from shapekit.core.frame import Frame
from shapekit.core.levels import Level
from shapekit.core.values import Body, Sdf
from shapekit.io.shipped import shipped_weights
from shapekit.networks import read_weights, write_weights
from shapekit.phantom import body_patch, draw_patient
from shapekit.pipeline import Found, expect
from shapekit.predictors import PREDICTORS, Context, contexts_along, make_predictor, repaired_contexts
from shapekit.spine.patches import patch_grid

NAMES = [name for name in PREDICTORS if name != "neighbours"]


@pytest.fixture(scope="module")
def spine():
    """Levels and healthy bodies on their own patches."""
    patient = draw_patient(11, levels=["T11", "T12", "L1", "L2", "L3"], fractures="none")
    return patient.levels, [body_patch(vertebra, vertebra.frame("healthy"), limit_mm=2.0) for vertebra in patient]


@pytest.fixture(scope="module", params=NAMES)
def predictor(request):
    return make_predictor(request.param)


def test_shipped_weights_are_read_once_and_making_networks_of_them_draws_no_random_numbers():
    assert make_predictor("linear") is make_predictor("linear")
    assert make_predictor("coarse") is not make_predictor("generative")
    before = torch.get_rng_state()
    own = make_predictor("generative", shipped_weights("generative"))
    assert own is not make_predictor("generative", shipped_weights("generative"))
    assert torch.equal(torch.get_rng_state(), before)


def altered(name, value):
    """The shipped weights with one tensor replaced, or lost where there is no value."""
    tensors, card, _ = read_weights(shipped_weights("generative"), "generative")
    return {key: tensor for key, tensor in (tensors | {name: value}).items() if tensor is not None}, card


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("coarse.trunk.stem.bias", None),
        ("refine.trunk.stem.bias", torch.zeros(0)),
        ("coarse.trunk.stem.bias", torch.zeros(())),
        ("refine.trunk.stem.bias", torch.zeros(100_000)),
        ("linear.mean", torch.zeros(10)),
        ("linear.level_means", torch.zeros(3, 64)),
        ("linear.modes", torch.tensor(1.0)),
        ("spread_generative.root", torch.zeros(6, 2, 2)),
        ("spread_generative.mean", torch.full((6, 20), torch.nan)),
        ("sizes.shift", torch.full((5,), torch.nan)),
        ("sizes.covariance", torch.zeros(3, 5, 5)),
    ],
)
def test_weights_that_do_not_go_together_are_refused(tmp_path, name, value):
    tensors, card = altered(name, value)
    write_weights(tmp_path / "w.safetensors", tensors, card)
    with pytest.raises(InputError, match="does not hold all that the generative predictor needs"):
        make_predictor("generative", tmp_path / "w.safetensors")


@pytest.mark.parametrize("changed", [{"config": None}, {"config": [1]}, {"ridge": "much"}, {"ridge": 10**400}])
def test_a_card_that_says_nothing_of_use_is_refused(tmp_path, changed):
    tensors, card, _ = read_weights(shipped_weights("generative"), "generative")
    write_weights(tmp_path / "w.safetensors", tensors, card | changed)
    with pytest.raises(InputError, match="does not hold all that the generative predictor needs"):
        make_predictor("generative", tmp_path / "w.safetensors")


def test_a_prediction_is_a_distance_near_the_true_body(predictor, spine):
    levels, shapes = spine
    (made,) = predictor.predict(contexts_along(levels, shapes)[2:3])
    assert made.shape == PATCH_SHAPE
    assert made.dtype == np.float32
    near = np.abs(shapes[2].values) < 1.0
    assert np.abs(made - shapes[2].values)[near].mean() < 1.0
    inside = (made < 0).sum() / (shapes[2].values < 0).sum()
    assert 0.8 < inside < 1.2  # one body: 3.5 % of height, 4.5 % of width and of depth are its own, so 20 % is 2.7 SD


def test_every_target_is_predicted_alone_as_in_company(predictor, spine):
    levels, shapes = spine
    contexts = contexts_along(levels, shapes)
    together = predictor.predict(contexts)
    for context, made in zip(contexts, together, strict=True):
        (alone,) = predictor.predict([context])
        np.testing.assert_allclose(alone, made, atol=1e-4)
    assert predictor.predict([]) == []


def test_threads_do_not_matter(predictor, spine):
    levels, shapes = spine
    contexts = contexts_along(levels, shapes)[1:3]
    threads = torch.get_num_threads()
    made = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            made.append(predictor.predict(contexts))
    finally:
        torch.set_num_threads(threads)
    for one, other in zip(*made, strict=True):
        assert np.abs(one - other).max() < 1e-4


def test_any_neighbour_will_do(predictor, spine):
    _, shapes = spine
    for slot in range(4):
        seats = [None] * 4
        seats[slot] = shapes[1]
        context = Context(Level.L1, tuple(Level.T12 if shape else None for shape in seats), tuple(seats))
        (made,) = predictor.predict([context])
        assert np.isfinite(made).all()
        assert 0.6 < (made < 0).sum() / (shapes[2].values < 0).sum() < 1.6
        assert predictor.uses(context) == (Level.T12,)


def test_a_crushed_neighbour_spoils_the_mean_more_than_what_has_seen_such(predictor):
    patient = draw_patient(12, levels=["T11", "T12", "L1", "L2", "L3"], fractures={"T12": ("crush", 0.45)})
    shapes = [body_patch(vertebra, vertebra.frame(), limit_mm=2.0) for vertebra in patient]
    true = body_patch(patient["L1"], patient["L1"].frame("healthy"), which="healthy", limit_mm=2.0).values
    context = contexts_along(patient.levels, shapes)[2]
    near = np.abs(true) < 1.0

    def error(of):
        return float(np.abs(of.predict([context])[0] - true)[near].mean())

    assert error(predictor) < 0.8 * error(make_predictor("neighbours"))


def test_a_repaired_neighbour_is_shown_as_it_should_look(spine):
    levels, shapes = spine
    contexts = contexts_along(levels, shapes)
    mended = repaired_contexts(contexts, shapes, {1: shapes[4]})
    assert mended[2].shapes[1] is shapes[4]
    assert mended[2].levels == contexts[2].levels
    assert mended[1].shapes == contexts[1].shapes  # its own neighbours stay
    hidden = repaired_contexts(contexts, [shapes[0], None, *shapes[2:]], {1: shapes[4]})
    assert hidden[2].levels == (None, Level.T11, Level.L2, Level.L3)  # one that is no context stays none


class Copy:
    """Expects the upper direct neighbour; of the first body the lower one."""

    name, identity, spread, prior, repairs = "copy", "", None, None, True

    def predict(self, contexts):
        return [(context.shapes[1] or context.shapes[2]).values for context in contexts]

    def uses(self, context):
        return tuple(level for level in context.levels if level)


def test_what_rests_on_a_broken_neighbour_is_predicted_again(spine):
    levels, shapes = spine
    squeezed = shapes[0].values + 6.0 * (np.arange(64) > 36)[None, None].astype(np.float32)
    bodies, frames = [], []
    for n, level in enumerate(levels):
        frame = Frame(np.array([0.0, 0.0, -40.0 * n]), np.eye(3), 1.0)
        frames.append(frame)
        bodies.append(Body(level, n + 1, Sdf(squeezed if n == 1 else shapes[0].values, patch_grid(frame)), frame.origin, 3e4))
    found = Found(None, bodies, frames, [body.sdf for body in bodies], [None] * len(bodies), {}, ())
    kept, mended = expect(found, Copy(), repair=False), expect(found, Copy())
    assert kept[1].measures.score > 20.2
    assert kept[2].measures.score < 5  # expected as small as its broken neighbour
    assert [one.measures.neighbours_repaired for one in mended] == ["T12", "", "T12", "T12", ""]
    assert mended[2].expected.repaired == (Level.T12,)
    assert mended[2].measures.expected_mm3 > 1.03 * kept[2].measures.expected_mm3
    assert repr(mended[4].measures) == repr(kept[4].measures)
