"""Write a trained predictor as one file, with its card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from shapekit.networks import write_weights
from shapekit.version import __version__

USE = {
    "intended_use": "research on vertebral shape; not a medical device, not for diagnosis",
    "licence": "CC BY 4.0",
    "cohort": "synthetic patients drawn by shapekit.phantom from published morphometry; no patient's data",
    "limits": "thoracic and lumbar levels; shapes beyond the phantom's (scoliotic wedging, congenital anomalies, surgery, children) are extrapolated",
}


def write_predictor(path: Path, tensors: Mapping[str, object], card: Mapping[str, object]) -> str:
    """Write tensors or arrays, networks' weights in half precision, and return the file's identity; see ``write_weights``."""
    held = {}
    for name, value in tensors.items():
        tensor = value if isinstance(value, torch.Tensor) else torch.from_numpy(np.ascontiguousarray(value))
        held[name] = tensor.half() if name.startswith(("coarse.", "refine.")) and tensor.is_floating_point() else tensor
    return write_weights(path, held, {**USE, "shapekit_version": __version__, **card})
