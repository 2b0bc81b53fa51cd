"""In: an expected and an actual Sdf on one patch, wherever they come from. Out: the score and the volumes behind it (Measures' numbers)."""

from shapekit.scoring.score import PRESETS, score_patches
from shapekit.scoring.weight import chord_lengths

__all__ = ["PRESETS", "chord_lengths", "score_patches"]
