"""Work through patients in several processes, results in their order."""

from __future__ import annotations

import ctypes
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_processes(work: Callable[[Item], Result], items: Iterable[Item], *, workers: int | None = None) -> Iterator[Result]:
    """Apply a function to items, each in a process with one thread, and yield its results in the items' order.

    Parameters
    ----------
    work : callable
        Must be importable, or a ``functools.partial`` of such.
    items : iterable
    workers : int, optional
        Processes; by default one a core.
    """
    from joblib import Parallel, delayed

    with warnings.catch_warnings():
        # joblib replaces a worker whose memory has grown, and says so; nothing is lost
        warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given")
        yield from Parallel(n_jobs=workers or os.cpu_count(), return_as="generator")(delayed(alone)(work, item) for item in items)


def alone(work: Callable[[Item], Result], item: Item) -> Result:
    """Apply a function to an item in one thread, and keep no memory of it: a result's last bits depend on how many threads share the sums."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1, user_api="blas"):
            return work(item)
    finally:
        torch.set_num_threads(before)
        _give_back_memory()


def _give_back_memory() -> None:
    """Return freed memory to the system; glibc keeps it in pieces that fit ever fewer requests, and a process grows scan by scan."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
