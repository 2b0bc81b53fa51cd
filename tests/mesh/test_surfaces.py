import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import dblquad
from scipy.ndimage import gaussian_filter

from shapekit.core.grid import Grid
from shapekit.core.values import Sdf
from shapekit.mesh import mesh_from_sdf, smooth_mesh, surface_distance, volume_mm3
from tests.factories import OBLIQUE, ellipsoid_distance, oblique_grid, patch_of

SEMI_AXES = np.array([13.0, 9.0, 17.0])
GRID = oblique_grid((40, 34, 44), (1.1, 0.9, 1.3))
MIDDLE = GRID.to_world((np.array(GRID.shape) - 1) / 2)


def ellipsoid(semi_axes=SEMI_AXES):
    return Sdf(ellipsoid_distance((GRID.points() - MIDDLE) @ OBLIQUE, semi_axes).astype(np.float32), GRID)


def closed(mesh):
    surface = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    return surface.is_watertight and surface.is_winding_consistent and surface.volume > 0


def area_of_ellipsoid(a, b, c):
    def element(theta, phi):
        x, y, z = np.sin(theta) * np.cos(phi) / a, np.sin(theta) * np.sin(phi) / b, np.cos(theta) / c
        return a * b * c * np.sqrt(x**2 + y**2 + z**2) * np.sin(theta)

    return 8 * dblquad(element, 0, np.pi / 2, 0, np.pi / 2)[0]


def test_the_area_and_volume_are_the_ellipsoids_before_and_after_smoothing():
    rough = mesh_from_sdf(ellipsoid())
    smooth = smooth_mesh(rough)
    for mesh in (rough, smooth):
        assert closed(mesh)
        surface = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
        assert surface.area == pytest.approx(area_of_ellipsoid(*SEMI_AXES), rel=0.01)
        assert volume_mm3(mesh) == pytest.approx(4 / 3 * np.pi * SEMI_AXES.prod(), rel=0.01)
        assert surface.center_mass == pytest.approx(MIDDLE, abs=0.02)
    assert (rough.faces == smooth.faces).all()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_mirrored_grids_give_the_same_outward_surface(axis):
    sdf = ellipsoid()
    affine = GRID.affine.copy()
    affine[:3, 3] += affine[:3, axis] * (GRID.shape[axis] - 1)
    affine[:3, axis] *= -1
    mesh = mesh_from_sdf(Sdf(np.flip(sdf.values, axis), Grid(GRID.shape, affine)))
    assert closed(mesh)
    assert volume_mm3(mesh) == pytest.approx(volume_mm3(mesh_from_sdf(sdf)), rel=1e-3)
    outward = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).face_normals
    assert (outward * (mesh.vertices[mesh.faces].mean(axis=1) - MIDDLE)).sum(axis=1).min() > 0


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**16), st.sampled_from([1.0, 4.0, 30.0]))
def test_rough_fields_with_voxels_exactly_on_the_surface_are_closed(seed, steepness):
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal((17, 22, 60)), 0.7)
    values = (np.round(4 * noise) / 4 * steepness).astype(np.float32)
    assert (values == 0).any()
    mesh = mesh_from_sdf(Sdf(values, oblique_grid(values.shape)))
    surface = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    assert surface.is_watertight
    assert surface.is_winding_consistent


def test_a_box_whose_faces_are_voxel_centres_keeps_its_volume():
    mesh = mesh_from_sdf(patch_of(lambda lr, ap, si: np.maximum.reduce([abs(lr) - 8, abs(ap) - 6, abs(si) - 5]), shape=(31, 29, 27)))
    assert closed(mesh)
    assert volume_mm3(mesh) == pytest.approx(16 * 12 * 10, rel=2e-3)


@pytest.mark.parametrize("face", range(6))
def test_a_shape_that_meets_a_face_of_the_grid_is_closed_within_a_voxel_of_it(face):
    axis, far = divmod(face, 2)
    values, side = ellipsoid().values, GRID.shape[axis] // 2
    box = [slice(None)] * 3
    box[axis] = slice(0, side) if far else slice(side, None)
    start = np.zeros(3, int)
    start[axis] = 0 if far else side
    half = values[tuple(box)]
    grid = GRID.crop(start, half.shape)
    mesh = mesh_from_sdf(Sdf(half, grid))
    assert closed(mesh)
    index = grid.to_index(mesh.vertices)
    assert index.min() > -1
    assert (index < np.array(half.shape)).all()
    # cut between two voxels about the middle: half the body, and up to a voxel more on the cut's area
    whole = 4 / 3 * np.pi * SEMI_AXES.prod()
    cut_mm2 = np.pi * SEMI_AXES.prod() / SEMI_AXES[axis]
    assert 0 <= volume_mm3(mesh) - whole / 2 + GRID.spacing_mm[axis] * cut_mm2 <= 2 * GRID.spacing_mm[axis] * cut_mm2


def test_the_distance_is_the_same_however_an_array_is_laid_out():
    one, other = (sdf.values[7:-7, 7:-7] for sdf in (ellipsoid(), ellipsoid(SEMI_AXES + 2.0)))  # the shapes meet the grid's edges
    grid = GRID.crop((7, 7, 0), one.shape)
    found = [surface_distance(Sdf(layout(one), grid), Sdf(layout(other), grid)) for layout in (np.ascontiguousarray, np.asfortranarray)]
    assert found[0] == pytest.approx(found[1], rel=1e-6)


def test_the_distance_between_two_ellipsoids_is_the_mean_of_both_ways():
    other = SEMI_AXES + np.array([3.0, 1.0, 2.0])
    generator = np.random.default_rng(0)
    ways = []
    for one, two in ((SEMI_AXES, other), (other, SEMI_AXES)):
        spread = generator.standard_normal((60_000, 3))
        sphere = spread / np.linalg.norm(spread, axis=1, keepdims=True)
        element = one.prod() * np.linalg.norm(sphere / one, axis=1)  # area that a patch of the unit sphere covers
        ways.append(np.average(np.abs(ellipsoid_distance(sphere * one, two)), weights=element))
    found = surface_distance(ellipsoid(), ellipsoid(other))
    assert found == pytest.approx(np.mean(ways), abs=0.03)
    assert found == pytest.approx(surface_distance(ellipsoid(other), ellipsoid()), rel=1e-9)


def test_spheres_beside_each_other_are_as_far_apart_as_the_integral_says():
    # from the surface of one ball to another of the same radius r whose centre is d away: mean of | |x - c| - r |
    radius, apart = 10.0, 3.0
    cosine = np.linspace(-1, 1, 20001)
    truth = np.abs(np.sqrt(radius**2 + apart**2 - 2 * radius * apart * cosine) - radius).mean()
    one, other = (patch_of(lambda lr, ap, si, s=shift: np.sqrt(lr**2 + ap**2 + (si - s) ** 2) - radius) for shift in (0.0, apart))
    assert surface_distance(one, other) == pytest.approx(truth, abs=0.02)
