"""One name, every place: an operator has its source, wrapper, tests, benchmark and page."""

from pathlib import Path

import pytest

from shapekit import ops

ROOT = Path(__file__).resolve().parents[2]
OPERATORS = {
    "surplus": "surplus_volume",
    "distance": "signed_distance",
    "sampling": "sample_field",
    "blending": "blended",
    "surface": "distance_at_surface",
    "density": "densest_point",
    "canal": "look_behind",
    "evidence": "gather_evidence",
    "placement": "fit_rigidly",
}
ON_THE_CPU = ("sampling", "blending", "surface", "density", "canal", "evidence", "placement")
"""Operators without a kernel."""


@pytest.mark.parametrize(("short", "name"), OPERATORS.items())
def test_an_operator_is_in_every_place(short, name):
    assert callable(getattr(ops, name))
    kernels = () if short in ON_THE_CPU else (f"cuda_ops/{short}/{short}.cu", f"cuda_ops/emulator/{short}.cpp")
    for path in (
        *kernels,
        f"cuda_ops/{short}/{short}_cpu.cpp",
        f"cuda_ops/include/{short}_math.h",
        f"shapekit/ops/{short}.py",
        f"tests/ops/test_{short}.py",
        f"benchmarks/test_bench_{short}.py",
        f"docs/ops/{name}.md",
    ):
        assert (ROOT / path).is_file(), path


def test_native_sources_are_an_operators_or_shared():
    folders = {path.name for path in (ROOT / "cuda_ops").iterdir() if path.is_dir()}
    assert folders == {*OPERATORS, "include", "emulator"}


@pytest.mark.parametrize("path", sorted((ROOT / "cuda_ops").rglob("*.*")), ids=lambda path: path.name)
def test_no_native_source_outgrows_a_reading(path):
    assert len(path.read_text().splitlines()) <= 400
