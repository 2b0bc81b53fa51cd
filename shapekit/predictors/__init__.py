"""In: a Context (the neighbours' signed distances). Out: the expected signed distance of the target, and where it lies (Expected)."""

from shapekit.predictors.base import Context, Predictor, contexts_along
from shapekit.predictors.neighbours import NeighbourMean
from shapekit.predictors.placement import place, placed

PREDICTORS = {"neighbours": NeighbourMean}
"""Every predictor by the name users choose it with."""

__all__ = ["PREDICTORS", "Context", "NeighbourMean", "Predictor", "contexts_along", "place", "placed"]
