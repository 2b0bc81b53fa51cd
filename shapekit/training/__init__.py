"""In: phantoms drawn here, masks with grades, or CTs with masks. Out: weights (safetensors) for ``shapekit score --weights``."""

from shapekit.training.config import LevelConfig, SegmenterConfig, TrainingConfig, read_config
from shapekit.training.levels import train_levels
from shapekit.training.linear import fit_linear
from shapekit.training.loop import train_networks
from shapekit.training.package import write_predictor
from shapekit.training.processes import is_first, launched, refuse_several
from shapekit.training.samples import Samples, draw_samples, read_samples, samples_of_dataset, samples_of_phantom, samples_of_spine
from shapekit.training.segmenter import train_segmenter
from shapekit.training.steps import read_start
from shapekit.training.volumes import Scans, draw_volumes, read_scans

__all__ = [
    "LevelConfig",
    "Samples",
    "Scans",
    "SegmenterConfig",
    "TrainingConfig",
    "draw_samples",
    "draw_volumes",
    "fit_linear",
    "is_first",
    "launched",
    "read_config",
    "read_samples",
    "read_scans",
    "read_start",
    "refuse_several",
    "samples_of_dataset",
    "samples_of_phantom",
    "samples_of_spine",
    "train_levels",
    "train_networks",
    "train_segmenter",
    "write_predictor",
]
