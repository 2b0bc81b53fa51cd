"""Pieces of work on threads: in order, each alone on its thread, and everything as it was afterwards."""

import threading

import pytest
import torch

from shapekit.core.threads import by_pieces, each


@pytest.fixture
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_results_come_in_order_from_as_many_threads_as_torch_has(three_threads):
    meet = threading.Barrier(3, timeout=20)  # passes only where three calls run at once

    def call(number):
        if number < 3:
            meet.wait()
        return number, torch.get_num_threads()

    with by_pieces():
        assert torch.get_num_threads() == 1
        with by_pieces():  # nested it changes nothing
            assert each(call, range(7)) == [(n, 1) for n in range(7)]
    assert torch.get_num_threads() == 3


def test_outside_nothing_runs_beside(three_threads):
    assert each(lambda _: threading.get_ident(), range(4)) == [threading.get_ident()] * 4


def test_an_error_comes_out_and_threads_are_given_back(three_threads):
    def call(number):
        if number == 2:
            raise ValueError("the third")
        return number

    with pytest.raises(ValueError, match="the third"), by_pieces():
        each(call, range(5))
    assert torch.get_num_threads() == 3


def test_items_must_be_of_one_length():
    with pytest.raises(ValueError):
        each(max, (1, 2), (3,))
