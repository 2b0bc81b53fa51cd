"""However a patient lies on the voxels, the frames and the heights are the patient's."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from shapekit.morphometry import measure_heights
from shapekit.phantom import acquire, draw_patient, scan_grid
from shapekit.spine import body_on_patch, extract_bodies, vertebra_frames


@pytest.fixture(scope="module")
def patient():
    return draw_patient(19, levels=["T11", "T12", "L1", "L2", "L3"], fractures={"L1": ("wedge", 0.3)})


def read(patient, rotation):
    grid = scan_grid(patient, (0.9, 1.0, 1.1), rotation=rotation)
    bodies, _, _ = extract_bodies(acquire(patient, grid, generator=np.random.default_rng(0), noise_mm=0.0, defects=0.0).labels)
    frames = vertebra_frames(bodies)
    return frames, np.array([[*measure_heights(body_on_patch(body, frame))] for body, frame in zip(bodies, frames, strict=True)])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_voxels_at_any_angle_leave_frames_and_heights(patient, seed):
    frames, heights = read(patient, np.eye(3))
    again, other = read(patient, Rotation.random(rng=np.random.default_rng(seed)).as_matrix())
    off = np.array([one.angle_to(two) for one, two in zip(frames, again, strict=True)])
    assert (off < [max(one.error_deg, two.error_deg) for one, two in zip(frames, again, strict=True)]).all()
    assert np.quantile(np.abs(heights - other), 0.8) <= 0.3  # an upright grid meets both plates of a body with whole layers
    assert np.abs(heights - other).max() <= 0.45
