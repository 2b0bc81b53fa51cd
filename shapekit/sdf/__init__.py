"""In: a mask on its Grid, or a closed Mesh. Out: an Sdf in mm (negative inside), at native resolution or sampled anywhere."""

from shapekit.sdf.from_mask import sdf_from_mask
from shapekit.sdf.from_mesh import sdf_from_mesh
from shapekit.sdf.resample import double_patch, halve_patch, refine_sdf, resample_sdf, thin_sdf

__all__ = ["double_patch", "halve_patch", "refine_sdf", "resample_sdf", "sdf_from_mask", "sdf_from_mesh", "thin_sdf"]
