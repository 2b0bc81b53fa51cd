import numpy as np
import pytest

from shapekit.core.levels import Level
from shapekit.phantom import draw_patient, patient_generator
from shapekit.phantom.column import MOST_ADDED_DEG, RECUMBENT_KYPHOSIS_DEG, compensate, draw_gaps, stack
from shapekit.phantom.reference import LEVELS
from shapekit.phantom.spine import draw_bodies, draw_habits

CHEST = LEVELS[:12]


def bodies_of(seed, levels=LEVELS):
    generator = np.random.default_rng(seed)
    habits = draw_habits(sex="F", degeneration=0.5, generator=generator)
    return draw_bodies(levels, habits, generator=generator), generator


def test_discs_keep_their_least_height_and_every_pair_has_one():
    bodies, generator = bodies_of(1)
    heights, turns = draw_gaps(LEVELS, bodies, generator=generator)
    assert heights.shape == (16,)
    assert turns.shape == (16, 3)
    assert heights.min() >= 1.2


def test_the_chest_bends_forward_as_much_as_lying_people_do():
    bent = []
    for seed in range(30):
        bodies, generator = bodies_of(seed, CHEST)
        heights, turns = draw_gaps(CHEST, bodies, generator=generator)
        frames = stack([bodies[level] for level in CHEST], heights, turns)
        first, last = (frame.tilt_sagittal_deg for frame in (frames[0], frames[-1]))
        bent.append(abs(first - last))
    mean, sd = RECUMBENT_KYPHOSIS_DEG
    assert np.mean(bent) == pytest.approx(mean, abs=3 * sd / np.sqrt(30) + 4.0)  # half a body's wedge at either end is not in it


def test_a_wedge_bends_by_nearly_all_of_itself_and_many_by_no_more_than_a_person_gives():
    few = draw_patient(patient_generator(3, 1), levels=LEVELS, fractures={"T8": ("wedge", 0.3)})
    many = draw_patient(patient_generator(3, 1), levels=LEVELS, fractures=dict.fromkeys(LEVELS[3:15], ("wedge", 0.5)))
    for patient, low, high in ((few, 0.0, 1.0), (many, 20.0, 1000.0)):
        actual, healthy = ([getattr(vertebra, which) for vertebra in patient] for which in ("actual", "healthy"))
        taken = -compensate(np.zeros((16, 3)), actual, healthy)[:, 0].sum()
        assert low <= taken <= high
        added = sum(vertebra_wedge(one) - vertebra_wedge(other) for one, other in zip(actual, healthy, strict=True))
        assert added - taken < MOST_ADDED_DEG


def vertebra_wedge(body):
    """Of a body's heights at its crests, degrees."""
    ha, _, hp = body.heights_mm()
    back, front = body.depth_span_mm()
    return np.degrees(np.arctan((hp - ha) / (0.8 * (front - back))))


def test_a_column_without_discs_is_one_body():
    bodies, _ = bodies_of(2, [Level.L3])
    (frame,) = stack([bodies[Level.L3]], np.zeros(0), np.zeros((0, 3)))
    assert np.linalg.det(frame.axes) == pytest.approx(1.0)
