"""In: predictors, phantoms with known healthy twins. Out: rows, tables with bootstrap intervals, and the Spread and SizePrior of weights."""

from shapekit.evaluation.calibration import fit_prior, fit_shift, fit_spread
from shapekit.evaluation.protocol import Judged, Spec, evaluate_phantoms, judge_phantom
from shapekit.evaluation.statistics import auc, bootstrap, macro_f1
from shapekit.evaluation.tables import check_figures, draw_figure, summary, text_of

__all__ = [
    "Judged",
    "Spec",
    "auc",
    "bootstrap",
    "check_figures",
    "draw_figure",
    "evaluate_phantoms",
    "fit_prior",
    "fit_shift",
    "fit_spread",
    "judge_phantom",
    "macro_f1",
    "summary",
    "text_of",
]
