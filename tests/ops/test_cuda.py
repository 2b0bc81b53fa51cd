"""What can be said of the CUDA kernels without a GPU: they compile for every architecture, spill nothing, and are found again on disk."""

import ctypes
import re
import shutil
import subprocess
from importlib.util import find_spec

import pytest
import torch

import shapekit as sk
from shapekit.ops import _cuda, _native, distance, surplus
from tests.ops.cases import given, upstream_for
from tests.ops.emulation import CUDA_OPS, KERNELS

ARCHITECTURES = [75, 80, 86, 89, 90, 100, 120]
ELF = b"\x7fELF"


def nvrtc_missing():
    if find_spec("cuda") is None or find_spec("cuda.core") is None:
        return "cuda-core is not installed"
    from cuda.pathfinder import DynamicLibNotFoundError, load_nvidia_dynamic_lib

    try:
        load_nvidia_dynamic_lib("nvrtc")
    except DynamicLibNotFoundError:
        return "NVRTC is not installed"
    return ""


needs_nvrtc = pytest.mark.skipif(bool(nvrtc_missing()), reason=nvrtc_missing() or "there")


@needs_nvrtc
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("operator", KERNELS)
def test_nvrtc_compiles_every_architecture(operator, architecture):
    code = _cuda.compile_cubin(operator, f"sm_{architecture}")
    assert code.startswith(ELF)
    for kernel in KERNELS[operator]:
        assert kernel.encode() in code


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not installed")
@pytest.mark.parametrize("architecture", [80, 90])
@pytest.mark.parametrize("operator", KERNELS)
def test_nvcc_has_no_complaint_and_spills_nothing(tmp_path, operator, architecture):
    flags = ["-std=c++17", f"-arch=sm_{architecture}", "-Werror", "all-warnings", "-Xptxas", "-v", "-cubin"]
    command = ["nvcc", *flags, "-o", str(tmp_path / "kernels.cubin"), str(CUDA_OPS / operator / f"{operator}.cu")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    spills = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", ended.stdout + ended.stderr)
    assert len(spills) == len(KERNELS[operator])
    assert {number for row in spills for number in row} == {"0"}
    registers = [int(number) for number in re.findall(r"Used (\d+) registers", ended.stdout + ended.stderr)]
    assert max(registers) <= 64  # four blocks of 256 threads on a multiprocessor


@needs_nvrtc
def test_a_kernel_is_compiled_once_and_again_when_its_sources_change(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compiled = []
    real = _cuda.compile_cubin
    monkeypatch.setattr(_cuda, "compile_cubin", lambda *words: (compiled.append(words), real(*words))[1])
    first = _cuda.cubin("distance", "sm_80")
    assert _cuda.cubin("distance", "sm_80") == first
    assert compiled == [("distance", "sm_80")]
    _cuda.cubin("distance", "sm_90")
    monkeypatch.setattr(_cuda, "cuda_source", lambda operator: _native.cuda_source(operator) + "\n// changed")
    _cuda.cubin("distance", "sm_80")
    assert len(compiled) == 3
    assert len(list(_cuda.cache_folder().iterdir())) == 3


@needs_nvrtc
def test_a_home_that_cannot_be_written_to_is_no_obstacle(monkeypatch, tmp_path):
    (tmp_path / "shapekit").write_text("a file where the folder should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert _cuda.cubin("distance", "sm_80").startswith(ELF)


def test_sources_have_their_headers_in_them_once():
    for operator in KERNELS:
        text = _native.cuda_source(operator)
        assert "#include" not in text
        assert text.count("namespace shapekit {") == 2


def test_without_cuda_core_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(_cuda, "find_spec", lambda name: None)
    _cuda.why_not.cache_clear()
    assert "pip install 'shapekit[cuda]'" in _cuda.why_not()
    _cuda.why_not.cache_clear()


@needs_nvrtc
def test_a_compiler_that_cannot_be_had_is_named(monkeypatch):
    import cuda.core

    def broken(*words):
        raise RuntimeError("no NVRTC")

    monkeypatch.setattr(cuda.core, "Program", broken)
    with pytest.raises(sk.MissingPackageError, match="NVRTC"):
        _cuda.compile_cubin("distance", "sm_80")


C_TYPES = {"i64": ctypes.c_longlong, "int": ctypes.c_int, "double": ctypes.c_double, "float": ctypes.c_float}


def signature(operator, kernel):
    """The argument types of a kernel as its source declares them; addresses are plain ints to cuda.core."""
    words = re.search(rf"\b{kernel}\(([^)]*)\)", _native.cuda_source(operator))[1].split(",")
    return [int if "*" in word else C_TYPES[word.split()[0]] for word in words]


def test_launches_pass_what_the_kernels_declare(monkeypatch):
    launched = []

    def launch(operator, name, on, blocks, threads, *arguments):
        assert [type(argument) for argument in arguments] == signature(operator, name)
        assert blocks >= 1
        assert threads in (_cuda.THREADS, _cuda.WARP)
        launched.append(name)

    monkeypatch.setattr(_cuda, "launch", launch)
    tensors = given((2, 5, 6, 7))
    surplus._forward_cuda(*tensors)
    surplus._backward_cuda(upstream_for(torch.zeros(2, 9)), *tensors)
    distance._distance_cuda(tensors[0] < 0, [0.7, 1.3, 2.9])
    assert set(launched) == {name for names in KERNELS.values() for name in names}


def test_constants_are_those_of_the_sources():
    surplus_text, distance_text = (_native.cuda_source(operator) for operator in ("surplus", "distance"))
    assert f"THREADS = {_cuda.THREADS}, WARP = {_cuda.WARP}, MOST_LINES = {_cuda.MOST_LINES}," in surplus_text
    assert f"THREADS = {_cuda.THREADS}, SHARED = {_cuda.SHARED};" in distance_text
    columns = re.search(r"enum Column \{(.*)\}", surplus_text)[1].split(",")
    assert columns.index(" COLUMNS ") == surplus.COLUMNS
