"""In: arrays or tensors on a grid. Out: distances and volumes; public function, reference and kernels (``cuda_ops/``) under one name each."""

from shapekit.ops.backends import Choice, backend_for
from shapekit.ops.distance import signed_distance
from shapekit.ops.sampling import resample_field, sample_field
from shapekit.ops.surplus import SurplusVolumes, surplus_volume

__all__ = ["Choice", "SurplusVolumes", "backend_for", "resample_field", "sample_field", "signed_distance", "surplus_volume"]
