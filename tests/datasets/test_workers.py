from functools import partial

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
