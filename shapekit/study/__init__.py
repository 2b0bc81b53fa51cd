"""In: data sets with grades, or tables of scores. Out: weights, the paper's experiment, mean shapes, reference ranges, repeatability."""

from shapekit.study.fitting import fit_predictor

__all__ = ["fit_predictor"]
