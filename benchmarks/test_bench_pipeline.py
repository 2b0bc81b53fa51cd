"""The whole way from a label map to scores on the shipped patient: `make bench`. The answer is checked before it is timed."""

from pathlib import Path

import pytest

import shapekit as sk
from shapekit.spine import extract_bodies

DEMO = Path(__file__).resolve().parents[1] / "data" / "demo" / "demo_spine.nii.gz"


@pytest.fixture(scope="module")
def spine():
    return sk.load(DEMO)


def test_bench_load(benchmark):
    assert len(benchmark(sk.load, DEMO).levels) == 14


def test_bench_bodies(benchmark, spine):
    assert len(extract_bodies(spine)[0]) == 14
    benchmark.pedantic(extract_bodies, (spine,), rounds=3)


def test_bench_score(benchmark, spine):
    result = sk.score(spine)
    assert max(result, key=lambda vertebra: vertebra.score).measures.level == "T12"
    benchmark.pedantic(sk.score, (spine,), rounds=3)
