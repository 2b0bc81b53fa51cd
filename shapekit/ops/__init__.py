"""In: arrays or tensors on a grid. Out: distances and volumes; each operator is public function, reference and (later) kernel under one name."""

from shapekit.ops.distance import signed_distance
from shapekit.ops.surplus import SurplusVolumes, surplus_volume

__all__ = ["SurplusVolumes", "signed_distance", "surplus_volume"]
