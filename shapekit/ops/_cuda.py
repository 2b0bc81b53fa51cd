"""The operators' CUDA kernels: compiled by NVRTC when first used, kept on disk, launched on torch's current stream."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shapekit.core.checks import MissingPackageError
from shapekit.ops._native import cuda_source

OPTIONS = {"std": "c++17"}
INSTALL = "pip install 'shapekit[cuda]'"
THREADS, WARP = 256, 32
"""Of a block; as in the kernels' sources."""
MOST_LINES, BLOCK_VOXELS, SHARED = 256, 16384, 4096
"""Lines and voxels of a block of the surplus, floats that a block of the distance shares; as in the kernels' sources."""


@cache
def why_not() -> str:
    """Return why no CUDA kernel can run here, in words that end a sentence, or "" when one can."""
    if not torch.cuda.is_available():
        return "torch sees no CUDA device; install a CUDA build of torch on a machine with a GPU"
    if find_spec("cuda") is None or find_spec("cuda.core") is None:
        return f"the package cuda-core is missing; {INSTALL}"
    return ""


def cache_folder() -> Path:
    """Return where compiled kernels are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "shapekit" / "kernels"


def compile_cubin(operator: str, architecture: str) -> bytes:
    """Compile an operator's kernels for ``architecture`` (``"sm_90"``); needs NVRTC, not a GPU.

    Raises
    ------
    MissingPackageError
        If cuda-core or NVRTC is not installed.
    """
    try:
        from cuda.core import Program, ProgramOptions

        program = Program(cuda_source(operator), "c++", ProgramOptions(arch=architecture, **OPTIONS))
    except (ImportError, RuntimeError) as error:  # cuda-core looks for NVRTC when it is first needed
        raise MissingPackageError(f"the CUDA kernels need cuda-core and NVRTC, which cannot be used here ({error}); {INSTALL}.") from error
    return bytes(program.compile("cubin").code)


def cubin(operator: str, architecture: str) -> bytes:
    """Return an operator's compiled kernels, from disk if the very same sources were compiled with the same options before."""
    from cuda.bindings import nvrtc

    told = repr((cuda_source(operator), sorted(OPTIONS.items()), architecture, nvrtc.nvrtcVersion()))
    path = cache_folder() / f"{operator}-{architecture}-{hashlib.sha256(told.encode()).hexdigest()[:32]}.cubin"
    with contextlib.suppress(OSError):
        return path.read_bytes()
    code = compile_cubin(operator, architecture)
    with contextlib.suppress(OSError):  # a home that cannot be written to costs the next start 200 ms
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as part:
            part.write(code)
        Path(part.name).replace(path)
    return code


@cache
def _module(operator: str, index: int) -> Any:
    from cuda.core import Device, ObjectCode

    Device(index).set_current()
    major, minor = torch.cuda.get_device_capability(index)
    return ObjectCode.from_cubin(cubin(operator, f"sm_{major}{minor}"))


@cache
def _kernel(operator: str, name: str, index: int) -> Any:
    return _module(operator, index).get_kernel(name)


def launch(operator: str, name: str, on: Tensor, blocks: int, threads: int, *arguments: object) -> None:
    """Launch a kernel on the current stream of a tensor's device.

    Parameters
    ----------
    operator, name : str
        The source file and the kernel in it.
    on : Tensor
        Any tensor of the device.
    blocks, threads : int
    *arguments : int (an address) or ctypes scalars
    """
    from cuda.core import Device, LaunchConfig, Stream
    from cuda.core import launch as start

    index = on.device.index
    with torch.cuda.device(index):
        Device(index).set_current()
        stream = Stream.from_handle(torch.cuda.current_stream(index).cuda_stream)
        start(stream, LaunchConfig(grid=blocks, block=threads), _kernel(operator, name, index), *arguments)


def surplus_blocks(sides: tuple[int, int, int]) -> tuple[int, int]:
    """Return lines a block and blocks an item, from an item's sides alone: a batch's other items change no bit."""
    lines = max(1, min(MOST_LINES, BLOCK_VOXELS // sides[2]))
    return lines, -(-sides[0] * sides[1] // lines)


def whole(*numbers: int) -> list[ctypes.c_int]:
    """Return numbers as a kernel's ``int`` arguments."""
    return [ctypes.c_int(number) for number in numbers]
