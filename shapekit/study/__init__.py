"""In: data sets with grades, or tables of scores. Out: weights, the paper's experiment, mean shapes, reference ranges, repeatability."""

from shapekit.study.findings import compare, summarise
from shapekit.study.fitting import fit_predictor
from shapekit.study.reproduce import Protocol, reproduce
from shapekit.study.sets import phantom_sets, published_sets
from shapekit.study.shapes import MeanShape, mean_shape, mean_shapes
from shapekit.study.tables import reference_ranges, repeatability, with_covariates

__all__ = [
    "MeanShape",
    "Protocol",
    "compare",
    "fit_predictor",
    "mean_shape",
    "mean_shapes",
    "phantom_sets",
    "published_sets",
    "reference_ranges",
    "repeatability",
    "reproduce",
    "summarise",
    "with_covariates",
]
