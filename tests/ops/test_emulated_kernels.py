"""The very .cu files, run on the CPU thread by thread, against float64; and mutants of them, which must be found out."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

import shapekit as sk
from shapekit.ops import distance, surplus
from tests.ops.cases import SHAPES, TENSORS, assert_gradients, assert_volumes, given, truth, upstream_for
from tests.ops.emulation import CUDA_OPS, KERNELS, build, compiler, emulate

MASKS = [(1, 1, 1, 1), (2, 9, 12, 7), (1, 3, 5, 70), (1, 70, 4, 33), (1, 33, 1, 2)]
SPACING = (0.7, 1.3, 2.9)
BARRIER = "__syncthreads();"


@pytest.fixture(scope="module")
def libraries(tmp_path_factory):
    folder = tmp_path_factory.mktemp("emulated")
    return [build(operator, folder) for operator in KERNELS]


def masks(shape, share=0.2, seed=3):
    mask = torch.from_numpy(np.random.default_rng(seed).random(shape) < share)
    mask.reshape(shape[0], -1)[:, 0] = True
    return mask


def distances(mask):
    return torch.from_numpy(np.stack([distance.distance_reference(item, SPACING) for item in mask.numpy()]))


@pytest.mark.parametrize("shape", [*SHAPES, (2, 128, 64, 64)], ids=str)
def test_the_surplus_kernels_agree_with_float64(monkeypatch, libraries, shape):
    emulate(monkeypatch, *libraries)
    tensors = given(shape)
    volumes, gradients_for = truth(tensors)
    assert_volumes(surplus._forward_cuda(*tensors), volumes, tolerance=1e-6)
    upstream = upstream_for(volumes)
    assert_gradients(surplus._backward_cuda(upstream, *tensors), gradients_for(upstream), tensors)


def test_grids_that_begin_between_16_bytes_are_read_one_by_one(monkeypatch, libraries):
    emulate(monkeypatch, *libraries)
    tensors = given((2, 6, 5, 8))
    shifted = []
    for grid in tensors[:2]:
        room = torch.zeros(grid.numel() + 1)
        room[1:] = grid.ravel()
        shifted.append(room[1:].view_as(grid))
    assert shifted[0].data_ptr() % 16
    assert torch.equal(surplus._forward_cuda(*shifted, *tensors[2:]), surplus._forward_cuda(*tensors))


def test_kernels_have_the_same_bits_in_any_batch_order(monkeypatch, libraries):
    emulate(monkeypatch, *libraries)
    *tensors, spacing_mm = given((3, 24, 20, 28))
    turned = [tensor[[2, 0, 1]].contiguous() for tensor in tensors]
    assert torch.equal(surplus._forward_cuda(*turned, spacing_mm), surplus._forward_cuda(*tensors, spacing_mm)[[2, 0, 1]])
    alone = [tensor[1:2].contiguous() for tensor in tensors]
    assert torch.equal(surplus._forward_cuda(*alone, spacing_mm)[0], surplus._forward_cuda(*tensors, spacing_mm)[1])


@pytest.mark.parametrize(("place", "name"), list(enumerate(TENSORS)))
def test_kernels_find_what_is_not_finite(monkeypatch, libraries, place, name):
    emulate(monkeypatch, *libraries)
    for wrong in (float("nan"), float("-inf")):
        tensors = list(given((2, 6, 5, 7)))
        tensors[place] = tensors[place].clone()
        tensors[place].view(-1)[-1] = wrong
        with pytest.raises(sk.InputError, match=name):
            surplus._forward_cuda(*tensors)


@pytest.mark.parametrize("shape", MASKS, ids=str)
def test_the_distance_kernels_are_exact(monkeypatch, libraries, shape):
    emulate(monkeypatch, *libraries)
    mask = masks(shape)
    assert distance._distance_cuda(mask, list(SPACING)).numpy() == pytest.approx(distances(mask).numpy(), abs=1e-4)


def test_the_distance_kernels_know_empty_and_full_masks(monkeypatch, libraries):
    emulate(monkeypatch, *libraries)
    empty = torch.zeros(1, 5, 6, 7, dtype=torch.bool)
    field = distance._distance_cuda(torch.cat([empty, ~empty]), list(SPACING))
    assert (field[0] == np.inf).all()
    assert (field[1] == -np.inf).all()


def test_a_line_longer_than_a_tile_of_32_is_shared_by_fewer(monkeypatch, libraries):
    emulate(monkeypatch, *libraries)
    mask = masks((1, 200, 2, 70), share=0.01)
    assert distance._distance_cuda(mask, list(SPACING)).numpy() == pytest.approx(distances(mask).numpy(), abs=1e-4)


def mutate(folder, operator, number, old, new):
    """A copy of the sources in which the number-th ``old`` is ``new``."""
    shutil.copytree(CUDA_OPS, folder / "cuda_ops")
    source = folder / "cuda_ops" / operator / f"{operator}.cu"
    parts = source.read_text().split(old)
    source.write_text(old.join(parts[: number + 1]) + new + old.join(parts[number + 1 :]))
    return build(operator, folder, sources=folder / "cuda_ops")


def disagrees(operator):
    try:
        if operator == "distance":
            mask = masks((2, 9, 12, 7))
            return not torch.allclose(distance._distance_cuda(mask, list(SPACING)), distances(mask), atol=1e-3)
        tensors = given((2, 40, 20, 28))
        volumes, gradients_for = truth(tensors)
        upstream = upstream_for(volumes)
        assert_volumes(surplus._forward_cuda(*tensors), volumes)
        assert_gradients(surplus._backward_cuda(upstream, *tensors), gradients_for(upstream), tensors)
    except (AssertionError, sk.InputError, RuntimeError):
        return True
    return False


MUTANTS = [
    *(("surplus", n, BARRIER, "") for n in range((CUDA_OPS / "surplus" / "surplus.cu").read_text().count(BARRIER))),
    ("distance", 0, BARRIER, ""),
    ("surplus", 0, "offset > 0", "offset > 1"),
    ("surplus", 0, "run -= runs, ++n", "run -= runs"),
    ("surplus", 0, "if (threadIdx.x % WARP == 0)", "if (threadIdx.x == 0)"),
    ("surplus", 0, "__shfl_down_sync(0xffffffffu, list[n], offset)", "(threadIdx.x % 2 ? 0.0f : __shfl_down_sync(0xffffffffu, list[n], offset))"),
    ("surplus", 0, "n < blocks", "n < blocks - 1"),
    ("distance", 0, "place + step, length - 1", "place + step, length - 2"),
    ("distance", 0, "squared >= best", "squared >= 0.5f * best"),
]


@pytest.mark.parametrize(("operator", "number", "old", "new"), MUTANTS, ids=lambda value: str(value).replace(" ", "")[:40])
def test_a_mutant_is_found_out(monkeypatch, tmp_path, operator, number, old, new):
    emulate(monkeypatch, mutate(tmp_path, operator, number, old, new))
    assert disagrees(operator)


def test_without_a_mutation_nothing_disagrees(monkeypatch, libraries):
    emulate(monkeypatch, *libraries)
    assert not disagrees("surplus")
    assert not disagrees("distance")


SANITIZED = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from tests.ops.emulation import Emulator
from tests.ops.cases import given, truth, upstream_for, assert_volumes
from shapekit.ops import _cuda, _native, distance, resample_field, sample_field, surplus
from tests.factories import oblique_grid
emulator, native = sys.argv[2:4], sys.argv[4]
_cuda.launch = Emulator(*map(Path, emulator)).launch
_native.LIBRARY_HANDLE = _native.load(native)
import numpy as np
import torch
for sides in [(1, 1, 1), (5, 1, 6), (3, 4, 2)]:
    grid = oblique_grid(sides)
    values, corners = np.ones(sides, np.float32), np.array([[0, 0, 0], sides, [side - 1 for side in sides], [-1e9, 1e9, 0.5]])
    assert (sample_field(values, grid, grid.to_world(corners)) >= 1).all()
    assert np.allclose(resample_field(values, grid, grid), 1)
for shape in [(1, 1, 1, 1), (2, 9, 12, 7), (1, 3, 20, 36)]:
    tensors = given(shape)
    volumes, _ = truth(tensors)
    for forward, backward in ((surplus._forward_cuda, surplus._backward_cuda), (surplus._forward_cpu, surplus._backward_cpu)):
        assert_volumes(forward(*tensors), volumes)
        backward(upstream_for(volumes), *tensors)
    mask = tensors[0] < 0
    assert torch.allclose(distance._distance_cuda(mask, [0.7, 1.3, 2.9]), distance._distance_cpu(mask, [0.7, 1.3, 2.9]))
print("clean")
"""


def sanitized(folder, libraries, native):
    runtime = subprocess.run([compiler(), "-print-file-name=libasan.so"], check=True, capture_output=True, text=True).stdout.strip()
    if "/" not in runtime:
        pytest.skip("g++ has no address sanitizer")
    environment = os.environ | {"LD_PRELOAD": runtime, "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SANITIZED, str(CUDA_OPS.parent), *map(str, libraries), str(native)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


SANITIZERS = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def native_library(folder, sources=CUDA_OPS):
    target = folder / "native.so"
    units = [str(path) for path in sorted(sources.glob("*/*_cpu.cpp"))]
    flags = ["-std=c++17", "-fPIC", "-shared", "-Wno-psabi", *SANITIZERS, "-pthread"]
    subprocess.run([compiler(), *flags, "-o", str(target), *units], check=True, capture_output=True, text=True)
    return target


def test_kernels_and_library_are_clean_under_the_address_and_undefined_sanitizers(tmp_path):
    libraries = [build(operator, tmp_path, *SANITIZERS) for operator in KERNELS]
    ended = sanitized(tmp_path, libraries, native_library(tmp_path))
    assert (ended.returncode, ended.stdout.strip()) == (0, "clean"), ended.stderr[-2000:]


def test_the_sanitizers_see_an_overrun(tmp_path):
    shutil.copytree(CUDA_OPS, tmp_path / "cuda_ops")
    source = tmp_path / "cuda_ops" / "surplus" / "surplus.cu"
    text = source.read_text()
    assert "if (k < here) to_expected" in text
    source.write_text(text.replace("if (k < here) to_expected", "if (k <= here) to_expected"))
    libraries = [build(operator, tmp_path, *SANITIZERS, sources=tmp_path / "cuda_ops") for operator in KERNELS]
    ended = sanitized(tmp_path, libraries, native_library(tmp_path))
    assert ended.returncode != 0
    assert "heap-buffer-overflow" in ended.stderr
