"""In: an expected and an actual Sdf, wherever they come from. Out: the score and the volumes behind it (Measures' numbers); a Deficit."""

from shapekit.scoring.deficit import Deficit, deficit_map
from shapekit.scoring.score import PRESETS, score_patches
from shapekit.scoring.weight import chord_lengths

__all__ = ["PRESETS", "Deficit", "chord_lengths", "deficit_map", "score_patches"]
