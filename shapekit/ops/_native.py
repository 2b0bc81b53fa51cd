"""The operators' C++ library: found among the installed files, loaded once, called with pointers; and the sources of the CUDA kernels."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import as_file, files
from pathlib import PurePosixPath

import torch
from torch import Tensor

from shapekit.core.checks import InputError

LIBRARY = "libshapekit_native.so"
POINTER, WHOLE, LONG, REAL = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64, ctypes.c_double
_SIZES = [LONG, WHOLE, WHOLE, WHOLE, WHOLE]
ARGUMENTS = {
    "shapekit_surplus_forward": [*[POINTER] * 6, REAL, *_SIZES, POINTER],
    "shapekit_surplus_backward": [*[POINTER] * 7, REAL, *_SIZES, POINTER, POINTER],
    "shapekit_signed_distance": [POINTER, ctypes.POINTER(REAL), *_SIZES, POINTER],
    "shapekit_sample_lattice": [*[POINTER] * 2, *[WHOLE] * 3, POINTER, *[WHOLE] * 4, POINTER],
    "shapekit_look_up_points": [*[POINTER] * 2, *[WHOLE] * 3, POINTER, POINTER, LONG, WHOLE, POINTER],
    "shapekit_fit_rigidly": [*[POINTER] * 2, *[WHOLE] * 3, POINTER, LONG, *[POINTER] * 2, WHOLE, *[POINTER] * 3, WHOLE, POINTER],
    "shapekit_look_behind": [POINTER, *[WHOLE] * 3, POINTER, *[WHOLE] * 3, *[POINTER] * 3],
    "shapekit_gather_evidence": [*[POINTER] * 3, LONG, *[POINTER] * 3],
    "shapekit_distance_at_surface": [*[POINTER] * 2, *[WHOLE] * 3, *[POINTER] * 2, *[WHOLE] * 3, *[POINTER] * 2],
    "shapekit_densest_point": [POINTER, *[WHOLE] * 3, POINTER, WHOLE, *[POINTER] * 2],
    "shapekit_blend": [*[POINTER] * 4, LONG, *[WHOLE] * 5, POINTER],
}
"""The C interface (``cuda_ops/*/*_cpu.cpp``): pointers, spacing, batch and three sides, threads, results."""


def load(path: str) -> ctypes.CDLL:
    """Open a library that has some of the interface's functions, and tell ctypes their arguments."""
    library = ctypes.CDLL(path)
    for name, arguments in ARGUMENTS.items():
        if hasattr(library, name):
            getattr(library, name).argtypes = arguments
    return library


def _installed() -> tuple[ctypes.CDLL | None, str]:
    """Return the library that came with this install, or why there is none."""
    # installed wheels and editable installs keep it in different folders; importlib.resources knows both
    resource = files("shapekit") / "cuda_ops" / LIBRARY
    if not resource.is_file():
        return None, "the C++ library is not there: it was not built when shapekit was installed; install g++ or clang, then shapekit again"
    try:
        with as_file(resource) as path:
            library = load(str(path))
        if any(not hasattr(library, name) for name in ARGUMENTS):
            return None, "the C++ library is older than its callers; install shapekit again"
        return library, ""
    except OSError as error:
        return None, f"the C++ library cannot be loaded ({error}); install shapekit again on this machine"


LIBRARY_HANDLE, WHY_NO_LIBRARY = _installed()


def call(function: str, *arguments: object) -> None:
    """Call a function of the C++ library.

    Raises
    ------
    MemoryError
        When the library could not get its memory.
    """
    if getattr(LIBRARY_HANDLE, function)(*arguments):
        raise MemoryError(f"not enough memory for {function}")


def check_size(name: str, shape: Sequence[int]) -> None:
    """Refuse a batch whose voxels the kernels could not count.

    Raises
    ------
    InputError
        If an item of the (B, D, H, W) batch has 2³¹ voxels or more, or the batch 2⁴⁰.
    """
    batch, *sides = (int(side) for side in shape)
    voxels = sides[0] * sides[1] * sides[2]
    if voxels >= 2**31 or voxels * batch >= 2**40:
        raise InputError(f"{name} has shape {tuple(shape)}, too large: an item must have fewer than 2^31 voxels, a batch fewer than 2^40.")


def pointers(**tensors: Tensor) -> list[int]:
    """Return the addresses of contiguous float32 tensors.

    Raises
    ------
    InputError
        If one of them is something else; the public functions see to it that none is.
    """
    for name, tensor in tensors.items():
        if tensor.dtype != torch.float32 or not tensor.is_contiguous():
            raise InputError(f"{name} must be contiguous float32 for the native operators, not {tensor.dtype}.")
    return [tensor.data_ptr() for tensor in tensors.values()]


@cache
def cuda_source(operator: str) -> str:
    """Return ``cuda_ops/<operator>/<operator>.cu`` with the headers that it includes written into it, each once."""
    seen: set[str] = set()

    def read(name: PurePosixPath) -> str:
        resource = files("shapekit") / "cuda_ops"
        for part in name.parts:
            resource = resource / part
        return re.sub(r'^#include "(.+)"$|^#pragma once$', lambda found: include(name, found[1]), resource.read_text(encoding="utf-8"), flags=re.M)

    def include(by: PurePosixPath, wanted: str | None) -> str:
        if wanted is None:
            return ""
        parts: list[str] = []
        for part in (by.parent / wanted).parts:
            parts = parts[:-1] if part == ".." else [*parts, part]
        name = "/".join(parts)
        if name in seen:
            return ""
        seen.add(name)
        return read(PurePosixPath(name))

    return read(PurePosixPath(operator) / f"{operator}.cu")
