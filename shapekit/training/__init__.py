"""In: phantoms drawn here, or masks with grades. Out: weights (safetensors) for ``shapekit score --weights``."""

from shapekit.training.config import TrainingConfig, read_config
from shapekit.training.linear import fit_linear
from shapekit.training.loop import train_networks
from shapekit.training.package import write_predictor
from shapekit.training.samples import Samples, draw_samples, read_samples, samples_of_dataset, samples_of_phantom, samples_of_spine

__all__ = [
    "Samples",
    "TrainingConfig",
    "draw_samples",
    "fit_linear",
    "read_config",
    "read_samples",
    "samples_of_dataset",
    "samples_of_phantom",
    "samples_of_spine",
    "train_networks",
    "write_predictor",
]
