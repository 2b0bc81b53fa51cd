"""In: an expected and an actual Sdf on one patch, wherever they come from. Out: the score and the volumes behind it (Measures' numbers)."""

from shapekit.scoring.interval import Spread, kind_of, score_intervals
from shapekit.scoring.score import PRESETS, score_patches
from shapekit.scoring.weight import chord_lengths

__all__ = ["PRESETS", "Spread", "chord_lengths", "kind_of", "score_intervals", "score_patches"]
