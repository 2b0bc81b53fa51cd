"""What the stages' benchmarks share: scans of two sizes, a GPU where there is one, and what the stages before each made of them."""

import platform

import pytest
import torch

import shapekit as sk
from benchmarks.operators import machine
from benchmarks.scans import SIZES, scan
from shapekit.pipeline import find_bodies

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.hookimpl(optionalhook=True)  # gate.py runs without pytest-benchmark
def pytest_benchmark_update_machine_info(machine_info):
    import nibabel
    import numpy
    import scipy
    import skimage

    machine_info["threads"] = torch.get_num_threads()
    machine_info["cpu"] = {"brand_raw": machine()["cpu"]}
    packages = {"torch": torch, "numpy": numpy, "scipy": scipy, "scikit-image": skimage, "nibabel": nibabel}
    machine_info["packages"] = {name: module.__version__ for name, module in packages.items()}
    machine_info["node"] = machine_info["release"] = ""  # a machine's name is nobody's business
    machine_info["machine"] = platform.machine()


def pytest_generate_tests(metafunc):
    if "size" in metafunc.fixturenames:
        metafunc.parametrize("size", list(SIZES), scope="session")
    if "device" in metafunc.fixturenames:
        metafunc.parametrize("device", DEVICES)


@pytest.fixture(scope="session")
def path(size):
    return scan(size)


@pytest.fixture(scope="session")
def count(size):
    return len(SIZES[size][3].split())


@pytest.fixture(scope="session")
def spine(path):
    return sk.load(path)


@pytest.fixture(scope="session")
def found(spine):
    return find_bodies(spine)


@pytest.fixture(scope="session")
def result(spine):
    return sk.score(spine)


@pytest.fixture
def finished(device):
    """Call a function and wait until the device is done."""

    def call(function, *given, **named):
        answer = function(*given, **named)
        if device == "cuda":
            torch.cuda.synchronize()
        return answer

    return call
