import numpy as np

from shapekit.phantom import draw_patient
from shapekit.training.samples import draw_samples, draw_training_patient, seeded


def test_a_share_of_the_patients_is_of_a_varied_build():
    varied = [draw_training_patient(seeded(3, n), varied=0.5).habits.walls is not None for n in range(40)]
    assert 0.25 < np.mean(varied) < 0.75  # three standard errors are 0.24
    assert all(draw_training_patient(seeded(3, n)).habits.walls is None for n in range(10))


def test_without_them_patients_are_as_they_were_when_nobody_was_varied():
    generator = seeded(3, 1)
    assert generator.random() < 0.35  # whole
    expected = draw_patient(generator, fractures="none")
    found = draw_training_patient(seeded(3, 1))
    assert np.array_equal(found.habits.sizes, expected.habits.sizes)
    assert all(vertebra.loss.worst == 0.0 for vertebra in found)


def test_patients_that_were_drawn_otherwise_are_not_taken(tmp_path):
    (one,) = draw_samples(tmp_path, 1, seed=5, workers=1)
    written = one.stat().st_mtime_ns
    others = [draw_samples(tmp_path, 1, workers=1, **how)[0] for how in ({"seed": 6}, {"seed": 5, "varied": 1.0})]
    (again,) = draw_samples(tmp_path, 1, seed=5, workers=1)
    assert len({one, *others}) == 3
    assert again == one
    assert again.stat().st_mtime_ns == written
