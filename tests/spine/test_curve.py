import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from shapekit.core.levels import Level
from shapekit.spine.curve import order_along_spine, steady_anterior, superior_directions

USUAL = [level for level in Level if level not in (Level.C1, Level.C2, Level.L6)]
TURN = st.tuples(*[st.floats(-3, 3)] * 3)


def arc(radius_mm, spacing_mm, count):
    """Centres on a circle in the sagittal plane from the head downward, and the superior tangents there."""
    angle = (np.arange(count) - (count - 1) / 2) * spacing_mm / radius_mm
    centres = radius_mm * np.stack([np.zeros(count), np.cos(angle), -np.sin(angle)], axis=1)
    return centres, np.stack([np.zeros(count), np.sin(angle), np.cos(angle)], axis=1)


def whole_spine():
    """T13 included: 25 and 32 mm apart, kyphosis above, lordosis below, a slight curve to the side."""
    step = np.where([level.region == "L" for level in USUAL], 32.0, 22.0)
    length = np.cumsum(step)
    along = length / length[-1]
    return np.stack([8 * np.sin(5 * along), 28 * np.sin(2 * np.pi * along), -length], axis=1)


def angles_deg(one, other):
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(one, other), axis=1), (one * other).sum(axis=1)))


@settings(max_examples=40, deadline=None)
@given(TURN, st.integers(0, 8), st.lists(st.integers(1, 3), min_size=2, max_size=22), st.randoms(use_true_random=False))
def test_any_part_of_a_spine_in_any_position_and_order_runs_from_the_head_downward(turn, first, steps, random):
    kept = [n for n in np.cumsum([first, *steps]).tolist() if n < len(USUAL)]  # up to two in a row are missing
    centres = whole_spine()[kept] @ Rotation.from_rotvec(turn).as_matrix().T + [40.0, -300.0, 900.0]
    levels = [USUAL[n] for n in kept]
    shuffled = list(range(len(kept)))
    random.shuffle(shuffled)
    order, notes = order_along_spine(centres[shuffled], [levels[n] for n in shuffled])
    assert [shuffled[n] for n in order] == list(range(len(kept)))
    assert notes == ()


def test_two_swapped_labels_are_named_in_one_sentence():
    centres, _ = arc(200.0, 25.0, 5)
    order, notes = order_along_spine(centres, [Level.T10, Level.T12, Level.T11, Level.L1, Level.L2])
    assert order == [0, 1, 2, 3, 4]
    assert len(notes) == 1
    assert "T10, T12, T11, L1, L2" in notes[0]
    assert notes[0].endswith(".")


def test_one_and_no_vertebra_have_an_order():
    assert order_along_spine(np.zeros((1, 3)), [Level.L1]) == ([0], ())
    assert order_along_spine(np.zeros((0, 3)), []) == ([], ())
    assert superior_directions(np.zeros((0, 3))).shape == (0, 3)


def test_two_vertebrae_are_ordered_by_their_labels():
    below = np.array([[0.0, 0.0, 10.0], [2.0, 1.0, 40.0]])
    assert order_along_spine(below, [Level.L2, Level.L1]) == ([1, 0], ())
    chord = (below[1] - below[0]) / np.linalg.norm(below[1] - below[0])
    assert superior_directions(below[::-1]) == pytest.approx(np.tile(chord, (2, 1)))


@pytest.mark.parametrize("count", [3, 4, 5, 9])
@pytest.mark.parametrize(("radius_mm", "spacing_mm"), [(100.0, 30.0), (180.0, 35.0), (250.0, 22.0)])
def test_directions_on_an_arc_are_its_tangents(radius_mm, spacing_mm, count):
    centres, truth = arc(radius_mm, spacing_mm, count)
    off = angles_deg(superior_directions(centres), truth)
    assert off.max() < 2
    assert off[count // 2] < 0.8


@settings(max_examples=25, deadline=None)
@given(TURN)
def test_directions_turn_with_the_spine(turn):
    centres = whole_spine()
    matrix = Rotation.from_rotvec(turn).as_matrix()
    assert superior_directions(centres @ matrix.T + 100.0) == pytest.approx(superior_directions(centres) @ matrix.T, abs=1e-7)


def test_an_untrusted_centre_still_gets_the_direction_of_its_place():
    centres, truth = arc(180.0, 30.0, 7)
    wrong = centres.copy()
    wrong[6] += [0.0, -9.0, 6.0]
    found = superior_directions(wrong, np.arange(7) < 6)
    assert angles_deg(found[:6], truth[:6]).max() < 2
    # it borrows its neighbour's, one step of 9.5 degrees away
    assert angles_deg(found[6:], truth[6:])[0] < 12


UP = np.tile([0.0, 0.0, 1.0], (9, 1))


def facing(degrees):
    """Directions that turn by so much towards the right, of uneven length and not quite level."""
    return [np.array([np.sin(a), np.cos(a), 0.15]) * (1 + n) for n, a in enumerate(np.radians(degrees))]


def turned(directions):
    return np.degrees(np.arctan2(directions[:, 0], directions[:, 1]))


@pytest.mark.parametrize("at", [0, 1, 4, 8])
def test_one_that_is_off_by_twenty_degrees_is_pulled_to_its_neighbours(at):
    degrees = np.zeros(9)
    degrees[at] = 20.0
    found = turned(steady_anterior(facing(degrees), UP, np.ones(9, bool)))
    assert abs(found[at]) < 7
    # beside it an end of the spine has nobody else so near to go by
    assert np.abs(np.delete(found, at)).max() < (7 if at == 1 else 5)


def test_directions_that_agree_are_kept():
    degrees = np.linspace(-8, 8, 9)
    found = turned(steady_anterior(facing(degrees), UP, np.ones(9, bool)))
    assert found == pytest.approx(degrees, abs=1.5)
    assert found[1:-1] == pytest.approx(degrees[1:-1], abs=0.5)


def test_an_untrusted_one_does_not_mislead_its_neighbours_and_a_missing_one_takes_theirs():
    degrees = np.full(9, 5.0)
    degrees[3] = 60.0
    trusted = np.arange(9) != 3
    directions = facing(degrees)
    directions[6] = None
    found = turned(steady_anterior(directions, UP, trusted))
    assert np.delete(found, 3) == pytest.approx(5.0, abs=1e-6)
    assert abs(found[3] - 5.0) < 8


def test_directions_are_level_unit_vectors_even_where_up_is_the_patients_anterior_axis():
    up = np.tile([0.0, 1.0, 0.0], (3, 1))
    for directions in ([None] * 3, [np.array([0.0, 1.0, 0.0])] * 3, facing([0.0, 1.0, 2.0])):
        found = steady_anterior(directions, up, np.ones(3, bool))
        assert (found * up).sum(axis=1) == pytest.approx(0, abs=1e-12)
        assert np.linalg.norm(found, axis=1) == pytest.approx(1)
