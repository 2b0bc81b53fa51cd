import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from shapekit.core.grid import Grid
from shapekit.core.levels import Level
from shapekit.spine.canal import find_canal
from shapekit.spine.curve import order_along_spine, steady_anterior, superior_directions
from tests.factories import OBLIQUE, whole_vertebra

LEVELS = [Level.T11, Level.T12, Level.T13, Level.L1, Level.L2, Level.L4, Level.L5]
RADIUS = 180.0


def arc():
    """Centres 30 mm apart on a circle in the sagittal plane, from the head downward, and the true superior directions."""
    count = len(LEVELS)
    angle = np.arange(count) * 30.0 / RADIUS - 0.5
    centres = np.stack([np.zeros(count), RADIUS * np.cos(angle), -RADIUS * np.sin(angle)], axis=1)
    return centres @ OBLIQUE.T, np.stack([np.zeros(count), np.sin(angle), np.cos(angle)], axis=1) @ OBLIQUE.T


def test_order_follows_the_spine_through_t13_and_gaps_however_the_labels_come():
    centres, _ = arc()
    shuffled = np.random.default_rng(1).permutation(len(LEVELS))
    order, notes = order_along_spine(centres[shuffled], [LEVELS[n] for n in shuffled])
    assert [LEVELS[shuffled[n]] for n in order] == LEVELS
    assert notes == ()


def test_a_spine_upside_down_in_patient_space_still_starts_at_the_head():
    centres, _ = arc()
    order, _ = order_along_spine(-centres, LEVELS)
    assert order == list(range(len(LEVELS)))


def test_swapped_labels_are_noted_and_position_decides():
    centres, _ = arc()
    swapped = [Level.T11, Level.T13, Level.T12, *LEVELS[3:]]
    order, notes = order_along_spine(centres, swapped)
    assert order == list(range(len(LEVELS)))
    assert "do not follow the spine" in notes[0]


def test_directions_on_an_arc_are_its_tangents_also_at_its_ends():
    centres, truth = arc()
    found = superior_directions(centres)
    assert np.degrees(np.arccos(np.clip((found * truth).sum(axis=1), -1, 1))).max() < 2
    assert superior_directions(centres[:1]) == pytest.approx(np.array([[0, 0, 1]]))


def test_a_centre_that_is_not_trusted_does_not_bend_the_line():
    centres, truth = arc()
    wrong = centres.copy()
    wrong[0] += OBLIQUE @ (0, 25.0, 0)
    trusted = np.arange(len(LEVELS)) > 0
    found = superior_directions(wrong, trusted)
    assert np.degrees(np.arccos(np.clip((found[1:] * truth[1:]).sum(axis=1), -1, 1))).max() < 2


def test_an_anterior_direction_that_disagrees_yields_and_agreeing_ones_stay():
    count = 7
    up = np.tile([0.0, 0.0, 1.0], (count, 1))
    degrees = np.zeros(count)
    degrees[3] = 24.0
    directions = [np.array([np.sin(a), np.cos(a), 0.1]) for a in np.radians(degrees)]
    steady = steady_anterior(directions, up, np.ones(count, bool))
    found = np.degrees(np.arctan2(steady[:, 0], steady[:, 1]))
    assert abs(found[3]) < 8
    assert np.abs(np.delete(found, 3)).max() < 6
    assert np.abs(found[[0, 6]]).max() < 2


def test_without_any_estimate_the_patients_anterior_axis_serves():
    up = superior_directions(arc()[0])
    steady = steady_anterior([None] * len(up), up, np.ones(len(up), bool))
    assert (steady * up).sum(axis=1) == pytest.approx(0, abs=1e-9)
    assert (steady[:, 1] > 0.5).all()


@pytest.mark.parametrize("spacing", [(0.9, 1.1, 2.0), (1.0, 1.0, 1.0), (2.2, 0.8, 0.8)])
def test_the_canal_parts_a_vertebra_into_body_and_arch(spacing):
    axes = OBLIQUE @ Rotation.from_euler("z", 8, degrees=True).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = np.diag(spacing)
    sides = np.ceil(120 / np.array(spacing)).astype(int)
    affine[:3, 3] = -60.0
    grid = Grid(tuple(int(n) for n in sides), affine)
    centre = np.array([2.0, 18.0, -3.0])
    mask, body = whole_vertebra(grid, centre, axes)
    canal = find_canal(mask, grid, centre + axes @ [3.0, -2.0, 1.0], axes[:, 2])
    cut = canal.in_front(mask, grid)
    assert 2 * (cut & body).sum() / (cut.sum() + body.sum()) > 0.96
    assert cut.sum() == pytest.approx(body.sum(), rel=0.04)
    ahead = canal.anterior / np.linalg.norm(canal.anterior)
    flat = ahead - axes[:, 2] * (ahead @ axes[:, 2])
    assert np.degrees(np.arccos(flat @ axes[:, 1] / np.linalg.norm(flat))) < 3


def test_a_body_without_an_arch_has_no_canal():
    grid = Grid((80, 80, 60), np.diag([1.2, 1.0, 1.4, 1.0]))
    centre = grid.to_world([40, 40, 30])
    mask, _ = whole_vertebra(grid, centre, OBLIQUE, arch=False)
    assert find_canal(mask, grid, centre, OBLIQUE[:, 2]) is None
