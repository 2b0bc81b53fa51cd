"""In: an expected and an actual Sdf, wherever they come from. Out: the score and the volumes behind it (Measures' numbers); a Deficit."""

from shapekit.scoring.deficit import Deficit, deficit_map
from shapekit.scoring.interval import Spread, kind_of, score_intervals
from shapekit.scoring.score import PRESETS, score_patches
from shapekit.scoring.weight import chord_lengths

__all__ = ["PRESETS", "Deficit", "Spread", "chord_lengths", "deficit_map", "kind_of", "score_intervals", "score_patches"]
