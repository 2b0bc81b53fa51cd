import itertools

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

import shapekit as sk
from shapekit.core.grid import Grid
from shapekit.core.values import Sdf
from shapekit.mesh import mesh_from_sdf, volume_mm3
from shapekit.sdf import refine_sdf, resample_sdf, sdf_from_mask, thin_sdf
from shapekit.sdf.from_mask import _smoothed
from tests.factories import ellipsoid_distance, oblique_grid


def ellipsoid(spacing, seed, slices=None):
    """A body-sized ellipsoid on a grid that knows nothing of it, turned at random, or within 25 degrees of ``slices``."""
    generator = np.random.default_rng(seed)
    semi_axes = generator.uniform((18, 12, 8), (26, 18, 15))
    if slices is None:
        turn = Rotation.random(rng=generator).as_matrix()
    else:  # the grid's last axis, across the slices, is nearly the body's SI (axial slices) or LR (sagittal ones)
        turn = Rotation.from_rotvec(generator.uniform(-0.25, 0.25, 3)).as_matrix()[:, list(slices)]
    sides = np.ceil((2 * semi_axes.max() + 20) / np.array(spacing)).astype(int)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -0.5 * (sides - 1) * spacing + generator.uniform(-1, 1, 3)
    grid = Grid(tuple(int(n) for n in sides), affine)
    points = grid.points() @ turn
    return ((points / semi_axes) ** 2).sum(axis=-1) < 1, grid, points, semi_axes


def within(points, semi_axes, limit_mm):
    """Every point whose distance from the surface is at most ``limit_mm``, and some more: cheap, and certain to miss none."""
    scaled = np.sqrt(((points / semi_axes) ** 2).sum(axis=-1))
    return np.abs(scaled - 1) * semi_axes.min() <= limit_mm


@pytest.mark.parametrize("slices", [None, (0, 1, 2), (2, 1, 0)], ids=["any", "axial", "sagittal"])
@pytest.mark.parametrize(("spacing", "limit"), [((1.0, 1.0, 1.0), 0.20), ((0.8, 0.8, 2.5), 0.17)])
def test_ellipsoids_are_met_to_a_fraction_of_a_voxel(spacing, limit, slices):
    errors, volumes = [], []
    for seed in range(4):
        mask, grid, points, semi_axes = ellipsoid(spacing, seed, slices)
        sdf = sdf_from_mask(mask, grid)
        near = within(points, semi_axes, 3)
        truth = ellipsoid_distance(points[near], semi_axes)
        errors.append((sdf.values[near] - truth)[np.abs(truth) < 3] / max(spacing))
        volumes.append(volume_mm3(mesh_from_sdf(refine_sdf(sdf))) / (4 / 3 * np.pi * semi_axes.prod()) - 1)
    rms = [float(np.sqrt((error**2).mean())) for error in errors]
    assert max(rms) <= limit, rms
    assert abs(np.mean([error.mean() for error in errors])) <= 0.03
    assert np.abs(volumes).max() <= 0.01, volumes


def test_a_body_on_the_usual_oblique_grid_is_met_as_well():
    grid = oblique_grid((80, 44, 26))
    semi_axes, middle = np.array([22.0, 15.0, 12.0]), grid.to_world((np.array(grid.shape) - 1) / 2 + 0.3)
    points = (grid.points() - middle) @ Rotation.from_rotvec((0.1, 0.2, -0.3)).as_matrix()
    sdf = sdf_from_mask(((points / semi_axes) ** 2).sum(axis=-1) < 1, grid)
    near = within(points, semi_axes, 3)
    truth = ellipsoid_distance(points[near], semi_axes)
    error = (sdf.values[near] - truth)[np.abs(truth) < 3] / 2.9
    assert np.sqrt((error**2).mean()) <= 0.17
    assert abs(error.mean()) <= 0.03


def test_the_order_and_direction_of_axes_do_not_matter():
    mask, grid, _, _ = ellipsoid((0.8, 1.0, 2.5), 3)
    truth = sdf_from_mask(mask, grid).values
    for order in itertools.permutations(range(3)):
        affine = grid.affine.copy()
        affine[:, :3] = affine[:, list(order)]
        turned = np.flip(mask.transpose(order), 0)
        affine[:3, 3] += affine[:3, 0] * (turned.shape[0] - 1)
        affine[:3, 0] *= -1
        values = sdf_from_mask(np.ascontiguousarray(turned), Grid(turned.shape, affine)).values
        assert np.flip(values, 0) == pytest.approx(truth.transpose(order), abs=1e-4)


def test_refining_keeps_every_voxel_and_halves_what_is_coarse():
    mask, grid, _, _ = ellipsoid((0.8, 0.9, 2.5), 1)
    sdf = sdf_from_mask(mask, grid)
    fine = refine_sdf(sdf)
    assert fine.grid.shape == (*grid.shape[:2], 2 * grid.shape[2] - 1)
    assert fine.grid.spacing_mm == pytest.approx([0.8, 0.9, 1.25])
    assert fine.values[:, :, ::2] == pytest.approx(sdf.values, abs=1e-4)
    assert fine.sample(grid.points()) == pytest.approx(sdf.values, abs=1e-3)
    assert refine_sdf(fine) is fine


def test_resampling_onto_the_same_grid_changes_nothing():
    mask, grid, _, _ = ellipsoid((0.8, 0.9, 2.5), 1)
    sdf = sdf_from_mask(mask, grid)
    assert resample_sdf(sdf, grid).values == pytest.approx(sdf.values, abs=1e-4)


def test_what_has_no_surface_or_no_right_angles_is_refused():
    grid = oblique_grid()
    with pytest.raises(sk.InputError, match="empty or full"):
        sdf_from_mask(np.zeros(grid.shape, bool), grid)
    sheared = grid.affine.copy()
    sheared[:3, 0] += 0.1 * sheared[:3, 1]
    mask = np.zeros(grid.shape, bool)
    mask[10:20, 10:20, 10:20] = True
    with pytest.raises(sk.InputError, match="sheared"):
        sdf_from_mask(mask, Grid(grid.shape, sheared))
    with pytest.raises(sk.InputError, match="mask has shape"):
        sdf_from_mask(mask[1:], grid)


def test_thinning_keeps_voxels_where_they_are():
    grid = oblique_grid((37, 52, 41), (0.3, 0.45, 2.0))
    values = np.arange(37 * 52 * 41, dtype=np.float32).reshape(grid.shape)
    thin = thin_sdf(Sdf(values, grid), 1.0)
    assert thin.grid.spacing_mm == pytest.approx([0.9, 0.9, 2.0])
    assert (thin.values == values[::3, ::2]).all()
    assert thin.grid.to_world([4, 5, 6]) == pytest.approx(grid.to_world([12, 10, 6]))
    assert thin_sdf(thin, 1.0) is thin


@pytest.mark.parametrize("shape", [(30, 41, 17), (1, 2, 3), (5, 1, 60)])
def test_smoothing_is_scipys(shape):
    values = np.random.default_rng(3).normal(0, 10, shape)
    assert _smoothed(values) == pytest.approx(gaussian_filter(values, 1.0), abs=1e-12)
