from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from shapekit.core.checks import InputError, UsageError
from shapekit.networks import read_weights
from shapekit.predictors import make_predictor
from shapekit.study.fitting import fit_predictor, held_out
from shapekit.training import Samples, TrainingConfig, draw_samples, read_samples


def spine(subject, healthy=True):
    one = np.zeros((1, 40, 32, 32), np.float16)
    return Samples(subject, np.zeros(1, np.int16), one, one, np.array([healthy]), np.ones(1, bool), np.zeros(1, np.float32))


@pytest.mark.parametrize(("count", "watching"), [(2, ["s1"]), (39, ["s38"]), (41, ["s39", "s40"])])
def test_the_last_twentieth_of_the_subjects_watches_the_training(count, watching):
    learn, watch = held_out([spine(f"s{n}") for n in range(count)])
    assert [one.subject for one in watch] == watching
    assert len(learn) == count - len(watching)


def test_all_scans_of_a_subject_are_on_one_side():
    cohort = [spine("a"), spine("b"), replace(spine("b"), ranks=np.zeros(0, np.int16)), spine("a")]
    learn, watch = held_out(cohort)
    assert ({one.subject for one in learn}, {one.subject for one in watch}) == ({"a"}, {"b"})


def test_who_has_no_healthy_vertebra_watches_nothing():
    learn, watch = held_out([spine("a"), spine("b"), spine("c", healthy=False)])
    assert ([one.subject for one in learn], [one.subject for one in watch]) == (["a", "c"], ["b"])


def test_nothing_to_learn_from_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(InputError):
        fit_predictor(tmp_path / "run", "linear", TrainingConfig(), list, calibration=0)
    assert not (tmp_path / "run").exists()


def test_only_networks_start_from_weights(tmp_path):
    with pytest.raises(UsageError, match="the predictor linear starts from no weights"):
        fit_predictor(tmp_path, "linear", TrainingConfig(), list, start="shipped", calibration=0)


def test_the_neighbour_mean_asks_for_no_samples(tmp_path):
    def never():
        raise AssertionError

    path, identity = fit_predictor(tmp_path, "neighbours", TrainingConfig(), never, calibration=0)
    assert (path.name, len(identity)) == ("neighbours.safetensors", 12)


def test_a_fitted_predictor_knows_how_far_to_trust_bodies_own_sizes(tmp_path):
    def cohort():
        return read_samples(draw_samples(tmp_path / "samples", 2, seed=1000))

    stages = []
    path, identity = fit_predictor(tmp_path, "linear", TrainingConfig(), cohort, calibration=4, workers=2, counting=heard(stages))
    fitted = make_predictor("linear", path)
    assert stages == ["measuring sizes", "measuring scores", "calibrating"]
    assert fitted.identity == identity
    assert fitted.spread is not None
    assert (np.diagonal(fitted.prior.covariance, axis1=1, axis2=2) > 1e-4).all()
    assert (fitted.prior.shift[:3] != 0).all()
    assert read_weights(path, "linear")[1]["calibration_patients"] == 4


def heard(stages):
    """Count nothing, but keep the names of what is counted."""

    @contextmanager
    def counting(what, total):
        assert total == 4
        stages.append(what)
        yield lambda count, text="": None

    return counting
