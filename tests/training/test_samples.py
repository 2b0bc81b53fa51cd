import numpy as np
import pytest

from shapekit.core.levels import Level
from shapekit.training.samples import draw_samples, draw_training_patient, seeded


@pytest.fixture(scope="module")
def patients():
    return [draw_training_patient(seeded(3, n)) for n in range(60)]


def test_half_of_the_patients_have_varied_walls(patients):
    varied = np.mean([patient.habits.walls is not None for patient in patients])
    assert 0.3 < varied < 0.7  # three standard errors are 0.19


def test_some_have_a_level_more_and_some_are_whole(patients):
    more = np.mean([bool({Level.T13, Level.L6} & set(patient.levels)) for patient in patients])
    assert 0.04 < more < 0.4  # 0.17 are expected, three standard errors are 0.15
    losses = [[vertebra.loss.worst for vertebra in patient] for patient in patients]
    whole = np.mean([max(one) == 0.0 for one in losses])
    many = np.mean([np.mean(np.array(one) > 0.05) > 0.2 for one in losses])
    assert 0.15 < whole < 0.6
    assert 0.1 < many < 0.6


def test_patients_of_another_seed_in_the_folder_are_not_taken(tmp_path):
    (one,) = draw_samples(tmp_path, 1, seed=5, workers=1)
    written = one.stat().st_mtime_ns
    (other,) = draw_samples(tmp_path, 1, seed=6, workers=1)
    (again,) = draw_samples(tmp_path, 1, seed=5, workers=1)
    assert other != one == again
    assert again.stat().st_mtime_ns == written
