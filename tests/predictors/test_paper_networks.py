"""The paper's own networks behind the predictors' protocol, with weights set by hand."""

import numpy as np
import pytest
import torch

from shapekit.core.checks import InputError
from shapekit.core.conventions import PATCH_SHAPE
from shapekit.networks import PaperGenerator, distance_of, masks_of, read_weights, write_weights
from shapekit.phantom import body_patch, draw_patient
from shapekit.predictors import PaperGenerative, contexts_along, make_predictor
from shapekit.training.package import write_predictor
from tests.factories import pass_through

COARSE_WIDTH, WIDTH = 8, 4


@pytest.fixture(scope="module")
def contexts():
    patient = draw_patient(11, levels=["T12", "L1", "L2"], fractures="none")
    return contexts_along(patient.levels, [body_patch(vertebra, vertebra.frame("healthy"), limit_mm=2.0) for vertebra in patient])


def networks(bias=0.0):
    """Coarse and refine networks that draw what they see, or with a ``bias`` far below 0 nothing."""
    made = {"coarse": pass_through(PaperGenerator(4, COARSE_WIDTH), (1, 2)), "refine": pass_through(PaperGenerator(5, WIDTH), (4,))}
    with torch.no_grad():
        made["refine"][-1].bias.add_(bias)
    return made


def written(path, bias=0.0):
    tensors = {f"{name}.{key}": value for name, network in networks(bias).items() for key, value in network.state_dict().items()}
    write_predictor(path, tensors, {"kind": "generative", "config": {"networks": "paper"}})
    return path


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return written(tmp_path_factory.mktemp("paper") / "generative.safetensors")


def test_the_file_says_whose_networks_it_holds(path, contexts):
    for name in ("generative", "coarse"):
        predictor = make_predictor(name, path)
        assert isinstance(predictor, PaperGenerative)
        assert (predictor.name, predictor.repairs, predictor.spread) == (name, True, None)
        assert len(predictor.identity) == 12
        assert predictor.uses(contexts[0]) == contexts[0].levels[2:]


def test_what_goes_in_are_masks_and_what_comes_out_is_a_distance(path, contexts):
    context = contexts[1]
    fields = np.stack([np.zeros(PATCH_SHAPE, np.float32) if shape is None else shape.values for shape in context.shapes])
    masks = masks_of(torch.from_numpy(fields))[None]
    seen = float(masks[0, 1:3].amax(dim=0).sum())
    halves = {name: network.half().float().eval() for name, network in networks().items()}  # as they are stored
    with torch.inference_mode():
        coarse = halves["coarse"](masks)
        refine = halves["refine"](torch.cat([masks, torch.sigmoid(coarse)], dim=1))
    for name, logits in (("coarse", coarse), ("generative", refine)):
        (made,) = make_predictor(name, path).predict([context])
        assert made.shape == PATCH_SHAPE
        assert made.dtype == np.float32
        np.testing.assert_allclose(made, distance_of(logits[0, 0].numpy()), atol=1e-5)
        assert 0.7 < (made < 0).sum() / seen < 1.6


def test_every_target_is_predicted_alone_as_in_company(path, contexts):
    predictor = make_predictor("generative", path)
    together = predictor.predict(contexts)
    for context, made in zip(contexts, together, strict=True):
        assert np.array_equal(predictor.predict([context])[0], made)
    assert predictor.predict([]) == []


def test_networks_that_expect_nothing_are_told(tmp_path, contexts):
    predictor = make_predictor("generative", written(tmp_path / "w.safetensors", -100.0))
    with pytest.raises(InputError, match=r"^the weights [0-9a-f]{12} expect no body where L1 lies; train them longer"):
        predictor.predict(contexts[1:2])


@pytest.mark.parametrize("lost", ["coarse.0.bias", "refine.2.weight"])
def test_weights_that_are_not_all_there_are_refused(tmp_path, path, lost):
    tensors, card, _ = read_weights(path, "generative")
    write_weights(tmp_path / "w.safetensors", {name: value for name, value in tensors.items() if name != lost}, card)
    with pytest.raises(InputError, match="does not hold all that the generative predictor needs"):
        make_predictor("generative", tmp_path / "w.safetensors")
