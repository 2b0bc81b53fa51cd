"""In: a Context (the neighbours' signed distances). Out: the expected signed distance of the target, and where it lies (Expected)."""

from shapekit.io.shipped import shipped_weights
from shapekit.predictors.base import DIRECT, Context, Predictor, contexts_along
from shapekit.predictors.context import REPAIR_FROM, ROUNDS, repaired_contexts
from shapekit.predictors.generative import Generative, PaperGenerative
from shapekit.predictors.linear import Linear, LinearModel
from shapekit.predictors.neighbours import NeighbourMean
from shapekit.predictors.placement import place, placed
from shapekit.predictors.shipped import PREDICTORS, make_predictor
from shapekit.predictors.sizes import SizePrior, stretched

__all__ = [
    "DIRECT",
    "PREDICTORS",
    "REPAIR_FROM",
    "ROUNDS",
    "Context",
    "Generative",
    "SizePrior",
    "Linear",
    "LinearModel",
    "NeighbourMean",
    "PaperGenerative",
    "Predictor",
    "contexts_along",
    "make_predictor",
    "place",
    "placed",
    "repaired_contexts",
    "shipped_weights",
    "stretched",
]
