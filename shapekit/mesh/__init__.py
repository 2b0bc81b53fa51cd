"""In: an Sdf or a Mesh. Out: a Mesh in mm in patient space, and measures of it."""

from shapekit.mesh.extract import mesh_from_sdf
from shapekit.mesh.measure import surface_distance, vertex_normals, volume_mm3
from shapekit.mesh.smooth import smooth_mesh

__all__ = ["mesh_from_sdf", "smooth_mesh", "surface_distance", "vertex_normals", "volume_mm3"]
