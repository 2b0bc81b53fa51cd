"""The distance on another field's surface: ``make bench``. Answers are checked first; the library is Open3D, between meshes."""

import numpy as np
import pytest

from shapekit.core.grid import Grid
from shapekit.core.values import Sdf
from shapekit.mesh import mesh_from_sdf
from shapekit.ops import distance_at_surface


def setting():
    """Two ellipsoids' distances on a patch of 1 mm."""
    grid = Grid((80, 64, 64), np.eye(4))
    local = grid.points() - (np.array(grid.shape) - 1) / 2

    def body(radii):
        norm = np.linalg.norm(local / radii, axis=-1)
        return ((norm - 1.0) * norm / np.maximum(np.linalg.norm(local / np.square(radii), axis=-1), 1e-9)).astype(np.float32)

    return body([22.0, 16.0, 13.0]), grid, body([23.0, 17.0, 14.5]), grid


def by_open3d(surface, onto, values, grid):
    """Marching cubes of both, and the way from each vertex of the first to the second by a ray-casting scene."""
    import open3d as o3d

    mesh, other = (mesh_from_sdf(Sdf(one, on)) for one, on in ((surface, onto), (values, grid)))
    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(o3d.core.Tensor(other.vertices.astype(np.float32)), o3d.core.Tensor(other.faces.astype(np.uint32)))
    return float(scene.compute_distance(o3d.core.Tensor(mesh.vertices.astype(np.float32))).numpy().mean())


@pytest.mark.parametrize("name", ["cpu", "reference", "open3d"])
def test_bench_distance_at_surface(benchmark, name):
    given = setting()

    def call():
        return by_open3d(*given) if name == "open3d" else distance_at_surface(*given, backend=name)

    assert abs(call() - by_open3d(*given)) < 0.1
    benchmark.pedantic(call, rounds=9, warmup_rounds=1)
