"""Scores to files: tables and volumes, the report, meshes by format, plates. ``make bench``."""

import pytest

from shapekit.export import FORMATS, write_meshes


def test_bench_save(benchmark, result, tmp_path):
    assert (result.save(tmp_path) / "deficit.nii.gz").stat().st_size > 10_000
    benchmark.pedantic(result.save, (tmp_path,), rounds=3)


def test_bench_report(benchmark, result):
    assert len(result.show().page) < 2e6
    benchmark.pedantic(result.show, rounds=3)


@pytest.mark.parametrize("formats", [*FORMATS, "all", "plates"])
def test_bench_export(benchmark, formats, result, size, tmp_path):
    if size == "large" and formats not in ("all", "plates"):
        pytest.skip("formats one by one are timed on the small spine")
    scored = [one.scored for one in result]
    chosen = tuple(FORMATS) if formats == "all" else () if formats == "plates" else (formats,)

    def write():
        write_meshes(tmp_path, scored, chosen, print=formats == "plates")

    write()
    names = {path.suffix for path in tmp_path.iterdir()} - {".json", ".mrml"}
    assert names == ({".3mf"} if formats == "plates" else {f".{name}" for name in chosen})
    benchmark.pedantic(write, rounds=2)
