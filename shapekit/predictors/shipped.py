"""Predictors by the name users choose them with, and the weights that come with the package."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from shapekit.core.checks import InputError, UsageError, check_choice
from shapekit.io.shipped import shipped_weights
from shapekit.networks import read_weights
from shapekit.predictors.base import Predictor
from shapekit.predictors.generative import Generative, PaperGenerative
from shapekit.predictors.linear import Linear, LinearModel
from shapekit.predictors.neighbours import NeighbourMean
from shapekit.predictors.sizes import SizePrior
from shapekit.scoring import Spread

PREDICTORS = ("generative", "coarse", "linear", "neighbours")


def make_predictor(name: str, weights: str | Path | None = None, *, device: str = "cpu") -> Predictor:
    """Make a predictor with the shipped weights, which is kept for the process, so that it must not be changed, or a user's own.

    Parameters
    ----------
    name : {"generative", "coarse", "linear", "neighbours"}
    weights : path, optional
        A file that ``shapekit train`` wrote for this predictor.
    device : str
        Where networks run, as torch names it.

    Raises
    ------
    UsageError
        For another name, or weights for the neighbour mean, which has none.
    InputError
        If the weights cannot be used.
    """
    check_choice("predictor", name, PREDICTORS)
    if name == "neighbours" and weights is not None:
        raise UsageError("the predictor neighbours learns nothing and takes no weights; leave them out or choose generative or linear.")
    return _shipped(name, device) if weights is None else _made(name, Path(weights), device)


@lru_cache(maxsize=2 * len(PREDICTORS))
def _shipped(name: str, device: str) -> Predictor:
    """A predictor never changes; its weights are read and checked once a process."""
    return _made(name, shipped_weights(name), device)


def _made(name: str, path: Path, device: str) -> Predictor:
    tensors, card, identity = read_weights(path, "generative" if name == "coarse" else name)
    try:
        held = _under(tensors, f"spread_{name}.")
        spread = Spread.from_tensors(held) if held else None
        known = _under(tensors, "sizes.")
        prior = SizePrior.from_tensors(known) if known else None
        if name == "neighbours":
            return NeighbourMean(spread=spread)
        config: Mapping[str, Any] = card.get("config", {})  # type: ignore[assignment]
        stage = "coarse" if name == "coarse" else "refine"
        if name != "linear" and config.get("networks") == "paper":
            return PaperGenerative(tensors, stage=stage, spread=spread, prior=prior, identity=identity, device=device)
        model = LinearModel.from_tensors(_under(tensors, "linear."), float(card["ridge"]))  # type: ignore[arg-type]
        if name == "linear":
            return Linear(model, spread=spread, prior=prior, identity=identity)
        return Generative(tensors, model, stage=stage, spread=spread, prior=prior, identity=identity, device=device)
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{path.name} does not hold all that the {name} predictor needs ({type(error).__name__}); train it again.") from error


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, np.ndarray]:
    return {name[len(prefix) :]: tensor.numpy() for name, tensor in tensors.items() if name.startswith(prefix)}
