"""In: a body's Sdf on a patch along its frame. Out: Heights in mm, height maps, and a Genant reading of them."""

from shapekit.morphometry.genant import GRADE_LIMITS, genant_grade, height_losses, neighbour_heights, type_of_deformity
from shapekit.morphometry.heights import HeightMap, Heights, height_map, measure_heights

__all__ = [
    "GRADE_LIMITS",
    "HeightMap",
    "Heights",
    "genant_grade",
    "height_losses",
    "height_map",
    "measure_heights",
    "neighbour_heights",
    "type_of_deformity",
]
