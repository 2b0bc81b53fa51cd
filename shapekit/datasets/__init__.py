"""In: a folder laid out as a data set's makers do. Out: Cases: where each mask is, its scheme, its split, what is known of it."""

from shapekit.datasets.case import Case, load_each
from shapekit.datasets.opening import KINDS, Dataset, open_dataset
from shapekit.datasets.participants import Participant, read_participants
from shapekit.datasets.phantom import LABELLINGS, read_cohort, write_cohort
from shapekit.datasets.splits import split_by_patient
from shapekit.datasets.workers import in_processes

__all__ = [
    "KINDS",
    "LABELLINGS",
    "Case",
    "Dataset",
    "Participant",
    "in_processes",
    "load_each",
    "open_dataset",
    "read_cohort",
    "read_participants",
    "split_by_patient",
    "write_cohort",
]
