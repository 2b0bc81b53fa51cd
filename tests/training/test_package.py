import numpy as np
import torch

from shapekit.networks import read_weights
from shapekit.training.package import write_predictor
from shapekit.version import __version__


def test_a_predictors_file_holds_its_card_and_networks_in_half_precision(tmp_path):
    path = tmp_path / "generative.safetensors"
    identity = write_predictor(
        path, {"coarse.a": torch.ones(3), "coarse.n": torch.tensor(2), "spread_coarse.modes": np.ones((2, 2))}, {"kind": "generative"}
    )
    tensors, card, same = read_weights(path, "generative")
    assert identity == same
    assert {name: tensor.dtype for name, tensor in tensors.items()} == {
        "coarse.a": torch.float16,
        "coarse.n": torch.int64,
        "spread_coarse.modes": torch.float64,
    }
    assert card["shapekit_version"] == __version__
    assert {"intended_use", "cohort", "limits", "licence"} <= set(card)
