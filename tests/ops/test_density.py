"""The densest point of a mask: both backends against a search of the same density, and against each other."""

import numpy as np
import pytest
from scipy.optimize import minimize

import shapekit as sk
from shapekit.core.grid import Grid
from shapekit.ops import _native, densest_point
from tests.factories import OBLIQUE, oblique_grid, whole_vertebra

NATIVE = pytest.mark.skipif(bool(_native.WHY_NO_LIBRARY), reason=_native.WHY_NO_LIBRARY or "built")
BACKENDS = ["reference", pytest.param("cpu", marks=NATIVE)]
GRID = oblique_grid((72, 80, 24), (1.2, 1.3, 2.9))
CENTRE = GRID.to_world((np.array(GRID.shape) - 1) / 2) + OBLIQUE @ [0.4, 18.0, -0.7]
MASK, BODY = whole_vertebra(GRID, CENTRE, OBLIQUE)
SIGMAS_MM = np.geomspace(18.0, 9.0, 24)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_vertebra_is_densest_in_its_body(backend):
    found = densest_point(MASK, GRID, SIGMAS_MM, backend=backend)
    assert np.abs((found - CENTRE) @ OBLIQUE)[[0, 2]].max() < 1.5
    assert BODY[tuple(np.rint(GRID.to_index(found)).astype(int))]


@pytest.mark.parametrize("backend", BACKENDS)
def test_many_steps_end_on_the_densitys_peak(backend):
    points = GRID.to_world(np.argwhere(MASK))
    found = densest_point(MASK, GRID, np.full(400, 6.0), backend=backend)
    peak = minimize(
        lambda at: -np.exp(-((points - at) ** 2).sum(axis=1) / 72.0).sum(), found + 0.5, method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-7}
    )
    assert found == pytest.approx(peak.x, abs=0.01)


@NATIVE
@pytest.mark.parametrize("sigmas", [SIGMAS_MM, [0.4, 0.2], [200.0], []], ids=["a body's", "within a voxel", "beyond the mask", "none"])
def test_the_library_goes_where_the_reference_does(sigmas):
    sheared = GRID.affine.copy()
    sheared[:3, 1] += 0.2 * sheared[:3, 0]
    one = np.zeros(GRID.shape, bool)
    one[3, 4, 5] = True
    for mask in (MASK, MASK & ~BODY, np.asfortranarray(MASK), one):
        for grid in (GRID, Grid(GRID.shape, sheared)):
            native, plain = (densest_point(mask, grid, sigmas, backend=backend) for backend in ("cpu", "reference"))
            assert native == pytest.approx(plain, abs=1e-9)


@pytest.mark.parametrize(
    ("mask", "sigmas", "match"),
    [
        (MASK[1:], SIGMAS_MM, "mask has shape"),
        (np.zeros(GRID.shape, bool), SIGMAS_MM, "mask is empty"),
        (MASK, [9.0, 0.0], "must be above 0"),
        (MASK, [np.nan], "sigmas_mm holds NaN"),
    ],
)
def test_what_does_not_fit_is_named(mask, sigmas, match):
    with pytest.raises(sk.InputError, match=match):
        densest_point(mask, GRID, sigmas)
