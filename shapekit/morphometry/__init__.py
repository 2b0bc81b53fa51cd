"""In: a body's Sdf on a patch along its frame. Out: Heights in mm, height maps, and a Genant reading of them."""

from shapekit.morphometry.genant import DEFORMED, GRADE_LIMITS, genant_grade, height_losses, neighbour_heights, type_of_deformity
from shapekit.morphometry.heights import HeightMap, Heights, height_map, measure_heights
from shapekit.morphometry.sizes import Sizes, measure_sizes

__all__ = [
    "DEFORMED",
    "GRADE_LIMITS",
    "HeightMap",
    "Heights",
    "Sizes",
    "genant_grade",
    "height_losses",
    "height_map",
    "measure_heights",
    "measure_sizes",
    "neighbour_heights",
    "type_of_deformity",
]
