"""The rigid step that lays points over a distance: against SciPy's MINPACK, against differences, and the C++ library against the reference."""

import numpy as np
import pytest
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

import shapekit as sk
from shapekit.core.frame import Frame
from shapekit.ops import _native, fit_rigidly
from shapekit.ops.placement import _least, _misfits, _right_jacobian
from tests.factories import OBLIQUE, ellipsoid_distance, oblique_grid

NATIVE = pytest.mark.skipif(bool(_native.WHY_NO_LIBRARY), reason=_native.WHY_NO_LIBRARY or "built")
BACKENDS = ["reference", pytest.param("cpu", marks=NATIVE)]
GRID = oblique_grid((60, 44, 30), (0.9, 1.1, 1.7))
MIDDLE = GRID.to_world((np.array(GRID.shape) - 1) / 2)
SEMI_AXES = np.array([19.0, 14.0, 11.0])
SPREAD = np.array([0.07, 0.07, 0.07, 2.0, 2.0, 4.0])
FRAME = Frame(MIDDLE, OBLIQUE)


def surface(count=500):
    """Points on an ellipsoid's upper, lower and side surface, along its axes."""
    spread = np.random.default_rng(4).standard_normal((count, 3))
    return SEMI_AXES * spread / np.linalg.norm(spread, axis=1, keepdims=True)


def body(shift=(0.0, 0.0, 0.0), turn=(0.0, 0.0, 0.0), lost_mm=0.0):
    """Distance to the ellipsoid elsewhere, its top gone."""
    local = (GRID.points() - MIDDLE) @ OBLIQUE - shift
    local = local @ Rotation.from_rotvec(turn).as_matrix()
    return np.maximum(ellipsoid_distance(local, SEMI_AXES), local[..., 2] - SEMI_AXES[2] + lost_mm).astype(np.float32)


def starts(*heights):
    return np.array([[0.0, 0.0, 0.0, 0.0, 0.0, height] for height in heights])


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_moved_body_is_found(backend):
    shift, turn = np.array([1.2, -0.8, 1.5]), np.array([0.05, -0.03, 0.04])
    step = fit_rigidly(body(shift, turn), GRID, FRAME, surface(), np.full(500, 2.0), starts(0.0), SPREAD, backend=backend)
    assert step[3:] == pytest.approx(shift, abs=0.1)
    assert step[:2] == pytest.approx(turn[:2], abs=0.01)


@NATIVE
@pytest.mark.parametrize("lost_mm", [0.0, 4.0, 9.0])
@pytest.mark.parametrize("heights", [(0.0,), (0.0, 6.0, -5.0), (-9.0, 9.0)], ids=str)
def test_the_library_ends_where_the_reference_does(lost_mm, heights):
    given = (
        body((0.7, -1.1, 2.0), (0.03, 0.06, -0.05), lost_mm),
        GRID,
        FRAME,
        surface(),
        1.0 + 0.5 * np.sin(np.arange(500)),
        starts(*heights),
        SPREAD,
    )
    native, plain = (fit_rigidly(*given, backend=backend) for backend in ("cpu", "reference"))
    assert native / SPREAD == pytest.approx(plain / SPREAD, abs=1e-3)
    laid_out = fit_rigidly(np.asfortranarray(given[0]), *given[1:], backend="cpu")
    assert np.array_equal(laid_out, native)


@pytest.mark.parametrize("backend", BACKENDS)
def test_of_several_starts_the_best_end_wins_in_any_order(backend):
    given = (body((0.0, 0.0, 5.0), lost_mm=9.0), GRID, FRAME, surface(), np.full(500, 0.8))
    ends = [fit_rigidly(*given, starts(*heights), SPREAD, backend=backend) for heights in ((-8.0, 6.0), (6.0, -8.0), (6.0,))]
    assert ends[0] / SPREAD == pytest.approx(ends[1] / SPREAD, abs=0.05)
    assert ends[0] / SPREAD == pytest.approx(ends[2] / SPREAD, abs=0.05)


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_points_only_the_prior_is_left(backend):
    step = fit_rigidly(body(), GRID, FRAME, np.zeros((0, 3)), np.zeros(0), starts(3.0), SPREAD, backend=backend)
    assert step == pytest.approx(np.zeros(6), abs=1e-2)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"values": np.zeros((3, 4, 5), np.float32)}, "values has shape"),
        ({"values": np.zeros(GRID.shape)}, "values has dtype float64"),
        ({"points": np.zeros((4, 2))}, "points has shape"),
        ({"scale": np.zeros(3)}, "scale has shape"),
        ({"starts": np.zeros((0, 6))}, "starts has shape"),
        ({"spread": np.zeros(5)}, "spread has shape"),
        ({"spread": np.zeros(6)}, "must be above 0"),
    ],
)
def test_what_does_not_fit_is_named(change, match):
    given = {"values": body(), "grid": GRID, "frame": FRAME, "points": surface(4), "scale": np.ones(4), "starts": starts(0.0), "spread": SPREAD}
    with pytest.raises(sk.InputError, match=match):
        fit_rigidly(**(given | change))


def test_the_best_of_several_minima_is_the_librarys():
    """Two valleys of a smooth misfit whose residuals do not vanish; SciPy's MINPACK from each start beside it."""
    generator = np.random.default_rng(7)
    spread = np.array([0.07, 0.07, 0.07, 2.0, 2.0, 4.0])
    slopes, offsets = generator.standard_normal((40, 6)), generator.standard_normal(40)

    def misfits(steps):
        unit = steps / spread
        valleys = 3.0 * np.sin(1.5 * unit[:, 5:]) + 0.6 * unit[:, 5:]
        rates = np.zeros((len(steps), 6, 52))
        rates[..., :40] = slopes.T * (1.0 + 0.1 * unit @ slopes.T)[:, None]
        rates[:, 5, 40:] = 4.5 * np.cos(1.5 * unit[:, 5:]) + 0.6
        return np.concatenate([unit @ slopes.T - offsets + 0.05 * (unit @ slopes.T) ** 2, valleys * np.ones(12)], axis=1), rates / spread[:, None]

    def whole(step):
        return np.concatenate([misfits(step[None])[0][0], step / spread])

    starts = np.array([[0, 0, 0, 0, 0, shift] for shift in (-9.0, 8.5, 0.0)], dtype=np.float64)
    ends = [least_squares(whole, start, method="lm", x_scale=spread, ftol=1e-14, xtol=1e-14) for start in starts]
    best = min(ends, key=lambda end: end.cost)
    assert min(end.cost for end in ends[:2]) > 1.1 * best.cost  # the first starts end elsewhere
    found = _least(misfits, starts, spread)
    assert (whole(found) ** 2).sum() / 2 == pytest.approx(best.cost, rel=1e-4)
    assert found / spread == pytest.approx(best.x / spread, abs=0.01)


@pytest.mark.parametrize("vector", [(0.0, 0.0, 0.0), (0.02, -0.01, 0.03), (0.5, 0.9, -1.4)])
def test_a_rotation_vectors_change_turns_in_the_turned_axes(vector):
    before, changes = Rotation.from_rotvec(vector), 1e-6 * np.eye(3)
    turned = [(before.inv() * Rotation.from_rotvec(vector + change)).as_rotvec() / 1e-6 for change in changes]
    assert np.transpose(turned) == pytest.approx(_right_jacobian(np.array([vector]))[0], abs=1e-5)


@pytest.mark.parametrize("step", [(0.0,) * 6, (0.3, -0.25, 0.2, 3.0, -4.0, 5.0), (-0.5, 0.1, 0.4, 15.0, 8.0, -20.0)])
def test_the_misfits_slopes_are_the_differences_of_their_values(step):
    misfits = _misfits(body((0.5, 0.5, -0.5)), GRID, FRAME, surface(), np.ones(500))
    size = np.array([0.003, 0.003, 0.003, 0.06, 0.06, 0.06])  # as far as the slopes' own differences reach: the field is only linear between voxels
    around = np.array(step) + np.concatenate([np.zeros((1, 6)), np.diag(size), -np.diag(size)])
    values, slopes = misfits(around)
    assert (values[0] > 0.1).any()
    assert (values[0] < -0.1).any()
    differences = (values[1:7] - values[7:]) / (2 * size[:, None])
    ratio = np.linalg.norm(slopes[0] - differences, axis=1) / np.linalg.norm(differences, axis=1)
    assert ratio.max() < 0.04
