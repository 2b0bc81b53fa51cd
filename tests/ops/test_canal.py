"""What lies behind a body: the C++ library against the reference, on vertebrae, on rough ones and on what is none."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

import shapekit as sk
from shapekit.core.frame import Frame
from shapekit.core.grid import Grid
from shapekit.ops import _native, look_behind
from tests.factories import OBLIQUE, oblique_grid, whole_vertebra

NATIVE = pytest.mark.skipif(bool(_native.WHY_NO_LIBRARY), reason=_native.WHY_NO_LIBRARY or "built")
BACKENDS = ["reference", pytest.param("cpu", marks=NATIVE)]
GRIDS = {(0.7, 1.3, 2.9): (130, 96, 44), (2.9, 0.7, 1.3): (32, 180, 80)}
PARTS = ("centre", "body", "wall", "lr", "si", "outline", "sides")


def setting(spacing_mm, turn=(0.0, 0.0, 0.0), off_mm=(0.0, 0.0, 0.0), *, arch=True):
    grid = oblique_grid(GRIDS[spacing_mm], spacing_mm)
    centre = grid.to_world((np.array(grid.shape) - 1) / 2) + OBLIQUE @ [0.4, 18.0, -0.7]
    mask, _ = whole_vertebra(grid, centre, OBLIQUE, arch=arch)
    return mask.astype(np.float32), grid, Frame(centre + OBLIQUE @ off_mm, OBLIQUE @ Rotation.from_rotvec(turn).as_matrix())


def assert_alike(native, plain):
    for part in PARTS:
        assert np.asarray(getattr(native, part)) == pytest.approx(np.asarray(getattr(plain, part)), abs=1e-6), part


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("spacing_mm", GRIDS)
def test_canal_body_and_wall_lie_where_they_were_drawn(spacing_mm, backend):
    seen = look_behind(*setting(spacing_mm), backend=backend)
    assert seen.centre[1:] == pytest.approx([-21.5, 0.0], abs=1.0)  # between the wall, 14 mm behind, and the lamina, 29 mm behind
    assert seen.wall[0] == pytest.approx(-14.0, abs=0.8)
    assert seen.lr == pytest.approx((-8.0, 8.0), abs=2.0)  # between the pedicles
    assert seen.sides == pytest.approx((-22.0, 22.0), abs=2.0)


@NATIVE
@pytest.mark.parametrize("turn", [(0.0, 0.0, 0.0), (0.2, -0.15, 0.1), (-0.2, 0.1, 0.24)])
@pytest.mark.parametrize("off_mm", [(0.0, 0.0, 0.0), (3.0, -2.0, 1.0)], ids=str)
@pytest.mark.parametrize("spacing_mm", GRIDS)
def test_the_library_sees_what_the_reference_does(spacing_mm, off_mm, turn):
    given = setting(spacing_mm, turn, off_mm)
    assert_alike(*(look_behind(*given, backend=backend) for backend in ("cpu", "reference")))
    laid_out = (np.asfortranarray(given[0]), *given[1:])
    assert_alike(*(look_behind(*one, backend="cpu") for one in (laid_out, given)))


@NATIVE
def test_the_library_sees_what_the_reference_does_on_rough_and_broken_ones():
    """Noise that eats holes into a vertebra, or fills what lies behind it until there is nothing left to see."""
    mask, grid, frame = setting((0.7, 1.3, 2.9))
    generator, found = np.random.default_rng(5), []
    for strength, filled in [(strength, filled) for strength in (0.3, 1.0, 3.0) for filled in (0.0, 0.4, 0.6, 0.8, 1.1, 3.0)]:
        noise = gaussian_filter(generator.standard_normal(grid.shape), 1.2)
        rough = (gaussian_filter(mask, 0.7) + strength * noise / noise.std() * 0.4 > 0.5 - filled).astype(np.float32)
        native, plain = (look_behind(rough, grid, frame, backend=backend) for backend in ("cpu", "reference"))
        assert (native is None) == (plain is None)
        found.append(plain is not None)
        if plain is not None:
            assert_alike(native, plain)
    assert 3 < sum(found) < len(found)


@NATIVE
def test_a_wall_that_is_seen_in_one_row_only_is_the_least_one_through_it():
    """All columns at one height: of the many surfaces through them both take the one with the smallest terms."""
    grid = oblique_grid((80, 120, 8), (0.9, 0.8, 1.0))
    centre = grid.to_world((np.array(grid.shape) - 1) / 2) + OBLIQUE @ [0.0, 18.0, 0.0]
    lr, ap, si = np.moveaxis((grid.points() - centre) @ OBLIQUE, -1, 0)
    mask = ((np.abs(lr) < 20) & ((np.abs(ap) < 14) | (np.abs(ap + 30) < 3)) & (np.abs(si) < 0.9)).astype(np.float32)
    native, plain = (look_behind(mask, grid, Frame(centre, OBLIQUE), backend=backend) for backend in ("cpu", "reference"))
    assert plain.si[1] - plain.si[0] < 2.5
    assert_alike(native, plain)


@NATIVE
@pytest.mark.parametrize("ahead", range(3))
def test_layers_of_voxels_that_lie_on_the_wall_are_in_front_of_it_for_both(ahead):
    """A grid along the frame: exits come in half millimetres, and so do the voxels."""
    for shift in (0.0, 0.5, 1.0, 1.5):
        affine = np.diag([1.0, 0.5, 1.0, 1.0])[:, [*np.roll(range(3), ahead), 3]]
        sides = np.array([90, 180, 60])[np.roll(range(3), ahead)]
        grid = Grid(tuple(int(side) for side in sides), affine)
        centre = np.array([45.0, 60.0 + shift, 30.0])
        lr, ap, si = np.moveaxis(grid.points() - centre, -1, 0)
        mask = ((np.abs(lr) < 20) & ((np.abs(ap) < 14) | (np.abs(ap + 30) < 3)) & (np.abs(si) < 12)).astype(np.float32)
        assert_alike(*(look_behind(mask, grid, Frame(centre, np.eye(3)), backend=backend) for backend in ("cpu", "reference")))


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_an_arch_there_is_nothing_behind(backend):
    field, grid, frame = setting((0.7, 1.3, 2.9), arch=False)
    assert look_behind(field, grid, frame, backend=backend) is None
    assert look_behind(np.zeros_like(field), grid, frame, backend=backend) is None
    with pytest.raises(sk.InputError, match="field has dtype bool"):
        look_behind(field > 0, grid, frame, backend=backend)
