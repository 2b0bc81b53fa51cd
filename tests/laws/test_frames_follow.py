"""However a patient lies on the voxels, the frames and the heights are the patient's."""

from itertools import combinations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from shapekit.morphometry import measure_heights
from shapekit.phantom import acquire, draw_patient, scan_grid
from shapekit.spine import body_on_patch, extract_bodies, vertebra_frames


@pytest.fixture(scope="module")
def patient():
    return draw_patient(19, levels=["T11", "T12", "L1", "L2", "L3"], fractures={"L1": ("wedge", 0.3)})


def read(patient, rotation, spacing_mm=(0.9, 1.0, 1.1)):
    grid = scan_grid(patient, spacing_mm, rotation=rotation)
    bodies, _, _ = extract_bodies(acquire(patient, grid, generator=np.random.default_rng(0), noise_mm=0.0, defects=0.0).labels)
    frames = vertebra_frames(bodies)
    return frames, np.array([[*measure_heights(body_on_patch(body, frame))] for body, frame in zip(bodies, frames, strict=True)])


def at_random(seed):
    return Rotation.random(rng=np.random.default_rng(seed)).as_matrix()


@pytest.fixture(scope="module")
def turned(patient):
    return [read(patient, at_random(seed)) for seed in (1, 2, 3)]


def assert_within_the_stated(frames, others):
    off = np.array([one.angle_to(two) for one, two in zip(frames, others, strict=True)])
    assert (off < [max(one.error_deg, two.error_deg) for one, two in zip(frames, others, strict=True)]).all()


def test_voxels_at_any_two_angles_give_the_same_frames_and_heights(turned):
    for (frames, heights), (others, again) in combinations(turned, 2):
        assert_within_the_stated(frames, others)
        assert np.abs(heights - again).max() <= 0.3


def test_upright_voxels_give_the_same_but_for_whole_layers(patient, turned):
    frames, heights = read(patient, np.eye(3))
    for others, again in turned:
        assert_within_the_stated(frames, others)
        assert np.quantile(np.abs(heights - again), 0.8) <= 0.3  # an upright grid meets both plates of a body with whole layers
        assert np.abs(heights - again).max() <= 0.55  # half a layer


def test_fine_upright_voxels_give_the_same(patient):
    fine_mm = (0.45, 0.5, 0.55)
    frames, heights = read(patient, np.eye(3), fine_mm)
    others, again = read(patient, at_random(1), fine_mm)
    assert_within_the_stated(frames, others)
    assert np.abs(heights - again).max() <= 0.3
