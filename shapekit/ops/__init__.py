"""In: arrays or tensors on a grid, a mesh's faces. Out: measurements; public function, reference and kernels (``cuda_ops/``) under one name each."""

from shapekit.ops.backends import Choice, backend_for
from shapekit.ops.blending import blended
from shapekit.ops.canal import Behind, look_behind
from shapekit.ops.density import densest_point
from shapekit.ops.distance import signed_distance
from shapekit.ops.evidence import Evidence, Faces, gather_evidence
from shapekit.ops.placement import fit_rigidly
from shapekit.ops.sampling import resample_field, sample_field
from shapekit.ops.surface import distance_at_surface
from shapekit.ops.surplus import SurplusVolumes, surplus_volume

__all__ = [
    "Behind",
    "Choice",
    "Evidence",
    "Faces",
    "SurplusVolumes",
    "backend_for",
    "blended",
    "densest_point",
    "distance_at_surface",
    "fit_rigidly",
    "gather_evidence",
    "look_behind",
    "resample_field",
    "sample_field",
    "signed_distance",
    "surplus_volume",
]
