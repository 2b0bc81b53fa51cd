import numpy as np
import pytest
import trimesh

import shapekit as sk
from shapekit.core.grid import Grid
from shapekit.core.values import Sdf
from shapekit.mesh import mesh_from_sdf, smooth_mesh, surface_distance, volume_mm3
from shapekit.mesh.extract import signed_volume
from tests.factories import OBLIQUE, ellipsoid_distance, oblique_grid

SEMI_AXES = np.array([9.0, 14.0, 21.0])


def field(grid, semi_axes=SEMI_AXES):
    middle = grid.to_world((np.array(grid.shape) - 1) / 2)
    return Sdf(ellipsoid_distance((grid.points() - middle) @ OBLIQUE, semi_axes).astype(np.float32), grid)


def fine_grid(mirrored=False):
    grid = oblique_grid((34, 48, 41), (0.9, 1.0, 1.3))
    if not mirrored:
        return grid
    affine = grid.affine.copy()
    affine[:3, 0] *= -1
    return Grid(grid.shape, affine)


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_surface_is_closed_looks_outward_and_has_the_ellipsoids_volume(mirrored):
    mesh = mesh_from_sdf(field(fine_grid(mirrored)))
    surface = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    assert surface.is_watertight
    assert surface.is_winding_consistent
    assert surface.volume > 0
    assert signed_volume(mesh) == pytest.approx(surface.volume, rel=1e-9)
    assert volume_mm3(mesh) == pytest.approx(4 / 3 * np.pi * SEMI_AXES.prod(), rel=0.01)
    assert np.abs(field(fine_grid(mirrored)).sample(mesh.vertices)).max() < 0.05


def test_smoothing_keeps_the_volume_and_takes_the_stairs_off():
    grid = fine_grid()
    stairs = Sdf(np.where(field(grid).values < 0, -0.5, 0.5).astype(np.float32), grid)
    rough = mesh_from_sdf(stairs)
    smooth = smooth_mesh(rough)
    assert volume_mm3(smooth) == pytest.approx(volume_mm3(rough), rel=0.01)
    truth = field(grid)
    assert np.abs(truth.sample(smooth.vertices)).mean() < 0.8 * np.abs(truth.sample(rough.vertices)).mean()


def test_smoothing_is_that_of_trimesh():
    rough = mesh_from_sdf(Sdf(np.where(field(fine_grid()).values < 0, -0.5, 0.5).astype(np.float32), fine_grid()))
    surface = trimesh.Trimesh(rough.vertices.copy(), rough.faces.copy(), process=False)
    trimesh.smoothing.filter_taubin(surface, lamb=0.5, nu=0.53, iterations=6)
    smooth = smooth_mesh(rough, iterations=3)
    assert np.allclose(smooth.vertices, surface.vertices, atol=1e-9)
    assert np.abs(smooth.vertices - rough.vertices).max() > 0.1


def test_a_shape_at_the_grids_edge_is_closed_there():
    grid = fine_grid()
    cut = Sdf(field(grid).values[:, :, 20:], grid.crop((0, 0, 20), (34, 48, 21)))
    mesh = mesh_from_sdf(cut)
    assert trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).is_watertight


def test_the_distance_between_concentric_spheres_is_the_difference_of_their_radii():
    grid = oblique_grid((50, 48, 46), (1.0, 1.1, 1.2))
    one, other = field(grid, np.full(3, 14.0)), field(grid, np.full(3, 16.5))
    assert surface_distance(one, other) == pytest.approx(2.5, abs=0.02)
    assert surface_distance(one, one) < 0.02


def test_a_field_without_a_surface_is_refused():
    grid = oblique_grid()
    with pytest.raises(sk.InputError, match="no surface"):
        mesh_from_sdf(Sdf(np.ones(grid.shape, np.float32), grid))
