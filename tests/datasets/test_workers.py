import os
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from shapekit.datasets import in_processes


def scaled(item, factor=1):
    return factor * item, torch.get_num_threads()


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order_each_from_one_thread(workers, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert list(in_processes(partial(scaled, factor=3), range(5), workers=workers)) == [(3 * n, 1) for n in range(5)]
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def refuse(item):
    raise ValueError(f"not {item}")


def test_an_error_in_a_process_is_the_callers():
    with pytest.raises(ValueError, match=r"not [012]"):
        list(in_processes(refuse, range(3), workers=2))


def scattered(keeper):
    """Allocate 256 MiB in small pieces and keep the last, above all others."""
    pieces = [np.ones(8000) for _ in range(4000)]
    keeper.append(pieces[-1])
    return resident_mib()


def resident_mib():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_of_an_item_is_given_back():
    keeper = []
    highest = next(in_processes(scattered, [keeper], workers=1))
    assert resident_mib() < highest - 150
    assert len(keeper) == 1
