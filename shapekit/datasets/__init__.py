"""In: a folder laid out as a data set's makers do. Out: Cases: where each mask is, its scheme, its split, what is known of it."""

from shapekit.datasets.case import Case
from shapekit.datasets.phantom import LABELLINGS, read_cohort, write_cohort

__all__ = ["LABELLINGS", "Case", "read_cohort", "write_cohort"]
