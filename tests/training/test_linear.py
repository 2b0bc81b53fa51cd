import numpy as np

from shapekit.predictors.linear import LEVELS
from shapekit.training.linear import fit_linear

PLACES = [n for n, level in enumerate(LEVELS) if str(level) in ("T10", "T11", "T12", "L1", "L2", "L3")]


def test_an_unseen_spine_is_predicted_better_than_by_its_neighbours(cohort):
    model = fit_linear(cohort[2:], components=8, ridge=4.0)
    spine = cohort[0]
    seats = [0, 1, 3, 4]
    made = model.half(spine.measured[seats].astype(np.float32), [PLACES[n] for n in seats], PLACES[2])
    true = spine.healthy[2].astype(np.float32)
    near = np.abs(true) < 1.5
    mean = spine.measured[[1, 3]].astype(np.float32).mean(axis=0)
    spoiled = np.stack([spine.measured[0], spine.measured[1] + np.float16(3), spine.measured[3], spine.measured[4]]).astype(np.float32)
    assert np.abs(made - true)[near].mean() < 0.25
    assert np.abs(made - true)[near].mean() < np.abs(mean - true)[near].mean() + 0.2
    assert np.abs(model.half(spoiled, [PLACES[n] for n in seats], PLACES[2]) - made)[near].mean() > 0.01  # every neighbour counts


def test_the_same_seed_gives_the_same_model(cohort):
    one, two = (fit_linear(cohort, seed=3, components=5) for _ in range(2))
    assert np.array_equal(one.covariance, two.covariance)
