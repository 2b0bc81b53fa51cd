"""Distances on another field's surface: areas and places against an ellipsoid's, means against integrals, the library against the reference."""

import numpy as np
import pytest
from scipy.integrate import dblquad

import shapekit as sk
from shapekit.core.grid import Grid
from shapekit.ops import _native, distance_at_surface
from shapekit.ops.surface import _crossings, box_of_shape
from tests.factories import OBLIQUE, ellipsoid_distance, oblique_grid

NATIVE = pytest.mark.skipif(bool(_native.WHY_NO_LIBRARY), reason=_native.WHY_NO_LIBRARY or "built")
BACKENDS = ["reference", pytest.param("cpu", marks=NATIVE)]
SEMI_AXES = np.array([13.0, 9.0, 17.0])
GRID = oblique_grid((40, 34, 44), (1.1, 0.9, 1.3))
MIDDLE = GRID.to_world((np.array(GRID.shape) - 1) / 2)


def ellipsoid(semi_axes=SEMI_AXES, grid=GRID):
    return ellipsoid_distance((grid.points() - MIDDLE) @ OBLIQUE, semi_axes).astype(np.float32)


def area_of_ellipsoid(a, b, c, weight=lambda x, y, z: 1.0):
    """Of an eighth of it, eight times; weighted by something that has its symmetry."""

    def element(theta, phi):
        x, y, z = np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)
        return a * b * c * np.sqrt((x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2) * np.sin(theta) * weight(a * x, b * y, c * z)

    return 8 * dblquad(element, 0, np.pi / 2, 0, np.pi / 2)[0]


def mirrored(values, grid, axis):
    affine = grid.affine.copy()
    affine[:3, 3] += affine[:3, axis] * (grid.shape[axis] - 1)
    affine[:3, axis] *= -1
    return np.ascontiguousarray(np.flip(values, axis)), Grid(grid.shape, affine)


@pytest.mark.parametrize("axis", [None, 0, 1, 2])
def test_where_voxels_edges_cross_a_surface_all_of_it_is_stood_for_once(axis):
    values, grid = (ellipsoid(), GRID) if axis is None else mirrored(ellipsoid(), GRID, axis)
    box, start = box_of_shape(values, 2)
    points, areas = _crossings(box, grid.crop(start, box.shape))
    assert np.abs(ellipsoid_distance((points - MIDDLE) @ OBLIQUE, SEMI_AXES)).max() < 0.02
    assert areas.sum() == pytest.approx(area_of_ellipsoid(*SEMI_AXES), rel=2e-3)
    assert areas @ points / areas.sum() == pytest.approx(MIDDLE, abs=0.05)


@pytest.mark.parametrize("face", range(6))
def test_a_surface_that_meets_the_grids_edge_is_closed_there(face):
    axis, far = divmod(face, 2)
    start, stop = np.zeros(3, int), np.array(GRID.shape)
    (stop if far else start)[axis] = GRID.shape[axis] // 2
    half = np.ascontiguousarray(ellipsoid()[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))])
    box, first = box_of_shape(half, 2)
    _, areas = _crossings(box, GRID.crop(start + first, box.shape))
    cut_mm2 = np.pi * SEMI_AXES.prod() / SEMI_AXES[axis]
    assert areas.sum() == pytest.approx(area_of_ellipsoid(*SEMI_AXES) / 2 + cut_mm2, rel=0.1)  # the cut makes up a third


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_mean_over_the_surface_is_the_integrals(axis, backend):
    # how far from the ellipsoid's plane of symmetry, looked up on another grid, on which it is linear
    affine = np.diag([2.3, 2.9, 3.1, 1.0])
    affine[:3, 3] = MIDDLE - affine[:3, :3] @ [15.0, 13.0, 12.0]
    other = Grid((30, 26, 24), affine)
    plane = ((other.points() - MIDDLE) @ OBLIQUE)[..., axis].astype(np.float32)
    wanted = area_of_ellipsoid(*SEMI_AXES, lambda *point: point[axis]) / area_of_ellipsoid(*SEMI_AXES)
    assert distance_at_surface(ellipsoid(), GRID, plane, other, backend=backend) == pytest.approx(wanted, rel=3e-3)


@NATIVE
@pytest.mark.parametrize("axis", [None, 0, 1, 2])
def test_the_library_says_what_the_reference_does(axis):
    surface, grid = (ellipsoid(), GRID) if axis is None else mirrored(ellipsoid(), GRID, axis)
    noise = np.random.default_rng(2).standard_normal(grid.shape).astype(np.float32)
    for values in (surface + 0.8 * noise, np.asfortranarray(surface)[:, ::-1]):
        given = (values, grid, ellipsoid(SEMI_AXES + np.array([2.0, 1.0, 4.0])), GRID)
        native, plain = (distance_at_surface(*given, backend=backend) for backend in ("cpu", "reference"))
        assert native == pytest.approx(plain, rel=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_field_without_a_surface_and_what_does_not_fit_are_named(backend):
    with pytest.raises(sk.InputError, match="never changes sign"):
        distance_at_surface(np.ones(GRID.shape, np.float32), GRID, ellipsoid(), GRID, backend=backend)
    with pytest.raises(sk.InputError, match="surface has dtype float64"):
        distance_at_surface(ellipsoid().astype(np.float64), GRID, ellipsoid(), GRID, backend=backend)
    with pytest.raises(sk.InputError, match="values has shape"):
        distance_at_surface(ellipsoid(), GRID, ellipsoid()[1:], GRID, backend=backend)
