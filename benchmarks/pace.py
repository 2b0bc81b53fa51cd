"""How fast the core is at this moment, and how long this thread had none.

On a cloud machine the same code takes longer for milliseconds, seconds or minutes at a time, as if a neighbour used the other half of
the core. A small fixed calculation right before and after a round tells whether that was so. What a thread waits for a core that other processes of
this system have, Linux tells.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

SCHEDULE = Path("/proc/thread-self/schedstat")
FEW = np.linspace(0.0, 1.0, 4096)


def waited() -> float:
    """Seconds so far that this thread was ready to run and had no core; 0 where the system does not tell."""
    return int(SCHEDULE.read_text().split()[1]) * 1e-9 if SCHEDULE.exists() else 0.0


def pace() -> float:
    """Seconds of a little interpreting and of a little arithmetic within the nearest cache: their geometric mean, each the better of two."""
    return math.prod(min(_seconds(work) for _ in range(2)) for work in (_interpret, _calculate)) ** 0.5


def _seconds(work: Callable[[], object]) -> float:
    begin = time.thread_time()
    work()
    return time.thread_time() - begin


def _interpret() -> int:
    total = 0
    for number in range(40_000):
        total += number * number & 7
    return total


def _calculate() -> None:
    for _ in range(60):
        np.sqrt(FEW * FEW + 1.0)
