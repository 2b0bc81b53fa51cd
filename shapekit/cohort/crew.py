"""Workers that may be lost: each has one scan at a time, a lost one is replaced, and its scan is tried once more."""

from __future__ import annotations

import os
import signal
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from shapekit.cohort.job import Job
from shapekit.cohort.scans import Outcome, Scan
from shapekit.cohort.worker import follow, prepare, work
from shapekit.core.checks import InputError

GROWTH_MB = 400.0
"""A worker that holds so much more than after its first scan is replaced by a new one."""
WORKER_BYTES = 2 << 30
"""Memory that is reckoned for a worker: a whole spine at 1 mm takes 1.4 GB with the networks."""
LOST = (
    "its worker was lost twice without a word, as when the system runs out of memory; give it more memory, or the cohort fewer --workers, "
    "then run again."
)
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


class Worker(Protocol):
    """One process somewhere that holds the model."""

    def prepare(self) -> Future[Any]:
        """Begin to load the model; what comes of it is None, or the ShapekitError that says why it cannot be."""
        ...

    def work(self, scan: Scan) -> Future[Any]:
        """Begin a scan; what comes of it is its Outcome."""
        ...

    def is_loss(self, error: BaseException) -> bool:
        """Tell a worker's end from a mistake in what it ran."""
        ...

    def close(self) -> None:
        """End the process, whatever it does."""
        ...


class Process:
    """A worker on this machine: a loky process with one thread."""

    def __init__(self, job: Job) -> None:
        from joblib.externals.loky import ProcessPoolExecutor

        self.job = job
        self.pool = ProcessPoolExecutor(1, initializer=follow, initargs=(os.getpid(),), env=_ONE_THREAD)

    def prepare(self) -> Future[Any]:
        """See ``Worker``."""
        future: Future[Any] = self.pool.submit(prepare, self.job)
        return future

    def work(self, scan: Scan) -> Future[Any]:
        """See ``Worker``."""
        future: Future[Any] = self.pool.submit(work, self.job, scan)
        return future

    def is_loss(self, error: BaseException) -> bool:
        """See ``Worker``."""
        return isinstance(error, BrokenProcessPool)

    def close(self) -> None:
        """See ``Worker``."""
        # not shutdown(kill_workers=True): a scan that was handed over a moment ago makes loky's own thread fail
        for process in list(self.pool._processes):
            with suppress(ProcessLookupError):
                os.kill(process, getattr(signal, "SIGKILL", signal.SIGTERM))
        self.pool.shutdown(wait=True)


def outcomes(scans: Sequence[Scan], hire: Callable[[], Worker], count: int, *, begin: Callable[[], None]) -> Iterator[Outcome]:
    """Work through scans with ``count`` workers, and yield how each ended, as they end.

    Parameters
    ----------
    scans : sequence of Scan
        Begun in their order; those whose worker was lost come again at the end.
    hire : callable
        Starts a worker.
    count : int
    begin : callable
        Called once, when a worker has found nothing wrong with the options and before the first scan.

    Yields
    ------
    Outcome
        One a scan; fewer when the disk of the results is full, since then no other is begun.

    Raises
    ------
    ShapekitError
        What the first worker found wrong with the options.
    InputError
        If workers end before they have begun.
    """
    crew = _Crew(hire, scans, begin)
    try:
        with warnings.catch_warnings():
            # loky replaces a worker whose memory has grown, and says so; nothing is lost
            warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given")
            for _ in range(min(count, len(scans))):
                crew.start()
            while crew.waiting or any(scan is not None for _, scan in crew.running.values()):
                for future in wait(list(crew.running), return_when=FIRST_COMPLETED).done:
                    ended = crew.attend(future, patience=2 * count)
                    if ended is not None:
                        yield ended
    finally:
        crew.dismiss()


class _Crew:
    """The workers of a run, what each is at, and what is still to do."""

    def __init__(self, hire: Callable[[], Worker], scans: Sequence[Scan], begin: Callable[[], None]) -> None:
        self.hire = hire
        self.begin: Callable[[], None] | None = begin
        self.waiting = deque(scans)
        self.running: dict[Future[Any], tuple[Worker, Scan | None]] = {}
        self.first_mb: dict[Worker, float] = {}
        self.losses = Counter[str]()
        self.stillborn = 0

    def start(self) -> None:
        """Hire a worker; its first task is to load the model."""
        worker = self.hire()
        self.first_mb[worker] = 0.0
        self.running[worker.prepare()] = (worker, None)

    def attend(self, future: Future[Any], *, patience: int) -> Outcome | None:
        """Take what a worker has done, and give it what is next."""
        worker, scan = self.running.pop(future)
        error = future.exception()
        if error is not None and worker.is_loss(error):
            return self._replace(worker, scan, patience)
        if scan is None:
            if (wrong := error or future.result()) is not None:
                raise wrong
            if self.begin is not None:
                self.begin()
                self.begin = None
            self._next(worker)
            return None
        ended = Outcome(scan.case.name, scan.case.subject, "failed", _said(scan, error)) if error is not None else future.result()
        if ended.full:
            self.waiting.clear()
        first = self.first_mb[worker] = self.first_mb[worker] or ended.resident_mb
        if self.waiting and ended.resident_mb > first + GROWTH_MB:
            self._dismiss(worker)
            self.start()
        else:
            self._next(worker)
        return ended

    def dismiss(self) -> None:
        """End all that are left."""
        for worker in list(self.first_mb):
            self._dismiss(worker)

    def _replace(self, worker: Worker, scan: Scan | None, patience: int) -> Outcome | None:
        self._dismiss(worker)
        ended = None
        if scan is None:
            self.stillborn += 1
            if self.stillborn > patience:
                raise InputError("workers end before they have begun, as when there is too little memory; start fewer of them.")
        elif self.losses[scan.place]:
            ended = Outcome(scan.case.name, scan.case.subject, "failed", f"{scan.case.name}: {LOST}")
        else:
            self.losses[scan.place] += 1
            self.waiting.append(scan)
        if self.waiting:
            self.start()
        return ended

    def _next(self, worker: Worker) -> None:
        if self.waiting:
            scan = self.waiting.popleft()
            self.running[worker.work(scan)] = (worker, scan)
        else:
            self._dismiss(worker)

    def _dismiss(self, worker: Worker) -> None:
        del self.first_mb[worker]
        worker.close()


def affordable(device: str) -> int:
    """Return how many workers this machine's cores and free memory allow; one where a GPU is used."""
    from joblib import cpu_count

    from shapekit.results import torch_device

    if device.startswith("gpu") or torch_device(device) != "cpu":
        return 1
    return max(1, min(int(cpu_count()), _free_bytes() // WORKER_BYTES))


def _free_bytes() -> int:
    """Return the memory that is free here, for this container if it has a limit."""
    free = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")] if hasattr(os, "sysconf") else [8 * WORKER_BYTES]
    try:
        fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        free.append(int(fields["MemAvailable"].split()[0]) << 10)
        limit, used = (Path(f"/sys/fs/cgroup/memory.{name}").read_text() for name in ("max", "current"))
        free.append(int(limit) - int(used))
    except (OSError, ValueError, KeyError):  # not Linux, or no limit
        pass
    return min(free)


def _said(scan: Scan, error: BaseException | None) -> str:
    """Make a sentence of what nobody foresaw; paths stay out of it."""
    cause = getattr(error, "cause", error)
    text = cause.strerror or "" if isinstance(cause, OSError) else str(cause).strip().partition("\n")[0][:200]
    shown = "".join(letter for letter in text if letter.isprintable())
    return f"{scan.case.name} ended with an unforeseen {type(cause).__name__}{f' ({shown})' if shown else ''}; please report it with the mask."
