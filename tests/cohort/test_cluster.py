"""What is refused before a cluster is asked; whole runs on a real one are in test_run.py."""

from pathlib import Path

import pytest

import shapekit as sk
from shapekit.cohort import Options
from shapekit.cohort.cluster import actors
from shapekit.cohort.job import Job


def test_a_cluster_chooses_its_gpus_itself():
    options = Options(predictor="neighbours")
    with pytest.raises(sk.UsageError, match="a cluster chooses its GPUs itself"), actors("local", Job(options, {}, Path("out"), "gpu:1", False), 1):
        pass


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    options = Options(predictor="neighbours")
    with pytest.raises(sk.MissingPackageError, match=r"shapekit\[ray\]"), actors("local", Job(options, {}, Path("out"), "cpu", False), 1):
        pass


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1"])
def test_where_no_cluster_answers_one_sentence_says_so_at_once(address):
    pytest.importorskip("ray")
    options = Options(predictor="neighbours")
    with pytest.raises(sk.InputError, match="there is no Ray cluster at"), actors(address, Job(options, {}, Path("out"), "cpu", False), 1):
        pass
