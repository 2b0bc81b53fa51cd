"""Expected and actual shapes to scores, and the whole way: a file to the scores of its spine, and a cohort. ``make bench``."""

import pytest

import shapekit as sk
from benchmarks.scans import VERSE_004, cohort, highest
from shapekit.datasets.workers import in_processes
from shapekit.scoring import score_patches


def test_bench_score(benchmark, result, device, finished):
    scored = [one for one in result if one.expected is not None]
    given = [one.expected for one in scored], [one.actual for one in scored]
    rows = finished(score_patches, *given, device=device)
    assert [row["score"] for row in rows] == pytest.approx([one.score for one in scored], abs=1e-3)
    benchmark.pedantic(finished, (score_patches, *given), {"device": device}, rounds=9, warmup_rounds=1)


def test_bench_whole_spine(benchmark, path, count, device, finished):
    def whole():
        return sk.score(sk.load(path), device="gpu" if device == "cuda" else device)

    assert [one.status for one in finished(whole)] == ["ok"] * count
    benchmark.pedantic(finished, (whole,), rounds=3)


def test_bench_verse_004(benchmark):
    if not VERSE_004.exists():
        pytest.skip("VerSe 004 is not beside the repository (shared/data)")
    assert sum(one.status == "ok" for one in sk.score(sk.load(VERSE_004))) >= 7
    benchmark.pedantic(lambda: sk.score(sk.load(VERSE_004)), rounds=3)


@pytest.mark.parametrize("workers", [1, 2])
def test_bench_cohort(benchmark, workers):
    paths = cohort(4)
    alone = [highest(path) for path in paths]
    assert [level for _, level in in_processes(highest, paths, workers=workers)] == [level for _, level in alone]
    benchmark.pedantic(lambda: list(in_processes(highest, paths, workers=workers)), rounds=2)
