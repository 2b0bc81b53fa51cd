"""The CUDA kernels themselves, compiled by g++ with ``cuda_ops/emulator`` and run on the CPU in the place of a launch."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest

from shapekit.ops import _cuda

CUDA_OPS = Path(__file__).resolve().parents[2] / "cuda_ops"
FLAGS = ("-std=c++17", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas")
KERNELS = {"surplus": ("surplus_forward", "surplus_combine", "surplus_backward"), "distance": ("distance_first", "distance_further")}


def compiler() -> str:
    found = shutil.which("g++")
    if found is None:
        pytest.skip("g++ is not installed")
    return found


def build(operator: str, folder: Path, *flags: str, sources: Path = CUDA_OPS) -> Path:
    target = folder / f"{operator}_emulated.so"
    command = [compiler(), *FLAGS, *(flags or ("-O1",)), "-o", str(target), str(sources / "emulator" / f"{operator}.cpp")]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return target


class Emulator:
    """Stands in for ``_cuda.launch``; a fault of synchronisation is a RuntimeError."""

    def __init__(self, *libraries: Path):
        self.kernels = {}
        for path in libraries:
            library = ctypes.CDLL(str(path))
            for name in KERNELS[path.name.partition("_")[0]]:
                address = getattr(library, f"emulated_{name}")
                address.restype = ctypes.c_void_p
                self.kernels[name] = ctypes.CFUNCTYPE(ctypes.c_int)(address())

    def launch(self, operator, name, on, blocks, threads, *arguments):
        typed = [ctypes.c_void_p(argument) if isinstance(argument, int) else argument for argument in arguments]
        fault = self.kernels[name](ctypes.c_longlong(blocks), ctypes.c_int(threads), *typed)
        if fault:
            raise RuntimeError(f"{name}: only some threads came to a {'shuffle' if fault == 1 else 'barrier'}")


def emulate(monkeypatch, *libraries: Path) -> None:
    monkeypatch.setattr(_cuda, "launch", Emulator(*libraries).launch)
