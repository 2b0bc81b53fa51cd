"""In: data sets with grades, or tables of scores. Out: weights, the paper's experiment, mean shapes, reference ranges, repeatability."""

from shapekit.study.findings import compare, summarise
from shapekit.study.fitting import fit_predictor
from shapekit.study.reproduce import Protocol, reproduce
from shapekit.study.sets import phantom_sets, published_sets

__all__ = ["Protocol", "compare", "fit_predictor", "phantom_sets", "published_sets", "reproduce", "summarise"]
