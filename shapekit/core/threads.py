"""Threads by whole pieces of work: a body each, instead of a loop within each library's call."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import TypeVar

import threadpoolctl

Result = TypeVar("Result")
_here = threading.local()


@contextmanager
def by_pieces() -> Iterator[None]:
    """Within, ``each`` uses as many threads as torch would, and torch and BLAS one each; for this thread, nested or not.

    Most arrays here are small: threads that are woken for each of a thousand short loops cost more than they bring.
    """
    import torch

    if getattr(_here, "workers", 0):
        yield
        return
    _here.workers = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with _libraries().limit(limits=1, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(_here.workers)
        _here.workers = 0


def each(function: Callable[..., Result], *items: Iterable[object]) -> list[Result]:
    """Call a function for each of some items, within ``by_pieces`` on several threads; results in the items' order, errors as in a loop.

    Parameters
    ----------
    function : callable
        Must not depend on what the other calls do.
    *items : iterable
        As ``map`` takes them; of one length.

    Returns
    -------
    list

    Raises
    ------
    ValueError
        If the items are of different lengths; else what the function raises.

    Examples
    --------
    >>> each(pow, (2, 3), (5, 2))
    [32, 9]
    """
    calls = list(zip(*items, strict=True))
    workers = min(getattr(_here, "workers", 1), len(calls))
    if workers < 2:
        return [function(*one) for one in calls]
    with ThreadPoolExecutor(workers, initializer=_alone) as pool:
        return list(pool.map(lambda one: function(*one), calls))


def _alone() -> None:
    """Let torch use this thread only."""
    import torch

    torch.set_num_threads(1)


@cache
def _libraries() -> threadpoolctl.ThreadpoolController:
    return threadpoolctl.ThreadpoolController()
