import numpy as np
import pytest

from shapekit.core.checks import InputError
from shapekit.core.frame import Frame
from shapekit.morphometry import Heights, genant_grade, height_losses, height_map, measure_heights, neighbour_heights, type_of_deformity
from shapekit.phantom import body_patch, draw_patient
from shapekit.phantom.patient import patient_generator
from tests.factories import patch_of

FRACTURES = {"T8": ("wedge", 0.35), "T11": ("biconcave", 0.3), "L2": ("crush", 0.45), "L4": ("mixed", 0.3)}


@pytest.fixture(scope="module")
def patient():
    return draw_patient(patient_generator(61, 0), fractures=FRACTURES)


def test_heights_are_those_of_the_phantom(patient):
    off = [np.subtract([*measure_heights(body_patch(v, v.frame()))], v.actual.heights_mm()) for v in patient]
    assert np.abs(np.mean(off, axis=0)).max() < 0.25
    assert np.abs(off).max() < 1.0


def test_heights_do_not_jump_where_a_body_moves_by_less_than_a_voxel():
    patient = draw_patient(11, levels=["T8", "T11", "L2", "L4"], fractures={"T8": ("wedge", 0.3), "T11": ("biconcave", 0.3)})
    for vertebra in patient:
        frame = vertebra.frame()
        moved = [Frame(frame.to_world(np.array([step, 0.4 * step, 0.0])), frame.axes, frame.error_deg) for step in np.linspace(0.0, 1.0, 17)]
        heights = np.array([[*measure_heights(body_patch(vertebra, one))] for one in moved])
        assert np.abs(np.diff(heights, axis=0)).max() < 0.03


def test_grades_from_the_true_twin_are_the_truths(patient):
    for vertebra in patient:
        own, should = (measure_heights(body_patch(vertebra, vertebra.frame(which), which=which)) for which in ("actual", "healthy"))
        losses = height_losses(own, should)
        assert max(losses) == pytest.approx(vertebra.loss.worst, abs=0.03)
        if np.abs(np.array([0.2, 0.25, 0.4]) - vertebra.loss.worst).min() > 0.03:
            assert genant_grade(max(losses)) == vertebra.grade


def test_a_tilted_slab_has_the_heights_of_its_planes():
    def slab(lr, ap, si):
        outside = np.maximum(np.abs(lr) - 20.0, np.abs(ap) - 15.0)
        return np.maximum(outside, np.maximum(si - (10.0 + 0.1 * ap), -9.0 - si))

    patch = patch_of(slab)
    heights = measure_heights(patch)
    assert [*heights] == pytest.approx([19.0 + 0.1 * 15.0, 19.0 - 0.1 * 5.0, 19.0 - 0.1 * 12.6], abs=0.15)
    found = height_map(patch)
    inside = np.isfinite(found.height_mm)
    assert inside.sum() == pytest.approx(41 * 31, rel=0.08)
    expected = 19.0 + 0.1 * np.broadcast_to(found.ap_mm, found.height_mm.shape)
    assert np.abs(found.height_mm - expected)[inside].max() < 0.1


def test_nothing_has_no_height():
    with pytest.raises(InputError, match="empty"):
        measure_heights(patch_of(lambda lr, ap, si: np.ones_like(lr)))
    with pytest.raises(InputError, match="middle"):
        measure_heights(patch_of(lambda lr, ap, si: np.abs(np.abs(lr) - 18.0) + np.abs(ap) + np.abs(si) - 5.0))


@pytest.mark.parametrize(("loss", "grade"), [(-0.1, 0), (0.1999, 0), (0.2, 1), (0.2499, 1), (0.25, 2), (0.3999, 2), (0.4, 3), (0.9, 3)])
def test_a_limit_belongs_to_the_grade_above_it(loss, grade):
    assert genant_grade(loss) == grade


def test_types_follow_which_height_is_lost():
    assert type_of_deformity((0.3, 0.2, 0.05)) == "wedge"
    assert type_of_deformity((0.1, 0.3, 0.05)) == "biconcave"
    assert type_of_deformity((0.3, 0.35, 0.25)) == "crush"
    assert type_of_deformity((0.04, -0.1, 0.0)) == ""


def test_impossible_heights_are_refused():
    with pytest.raises(InputError, match="positive"):
        height_losses(Heights(1.0, 1.0, 1.0), Heights(0.0, 2.0, 2.0))
    with pytest.raises(InputError, match="finite"):
        genant_grade(float("nan"))


def test_neighbours_are_the_nearest_whole_ones_on_either_side():
    heights = [Heights(20.0, 19.0, 21.0), Heights(30.0, 29.0, 31.0), Heights(10.0, 9.0, 11.0), None, Heights(24.0, 23.0, 25.0)]
    fractured = [False, True, False, False, False]
    assert neighbour_heights(heights, fractured, 2) == Heights(22.0, 21.0, 23.0)
    assert neighbour_heights(heights, fractured, 0) == Heights(10.0, 9.0, 11.0)
    assert neighbour_heights([heights[0]], [False], 0) is None
    assert neighbour_heights(heights[:2], fractured[:2], 0) is None
