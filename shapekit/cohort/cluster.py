"""Workers on a Ray cluster: an actor holds the model, on its own core or on a share of a GPU."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from shapekit.cohort.job import Job
from shapekit.cohort.scans import Outcome, Scan
from shapekit.cohort.worker import prepare, work
from shapekit.core.checks import InputError, MissingPackageError, ShapekitError, UsageError

GPU_SHARE = 0.25
"""Of a GPU for each actor: the networks need 1 GB, and most of a scan's time goes by on the CPU."""
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_DEDUP_LOGS": "0"}


class Held:
    """What runs on the cluster."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def prepare(self) -> ShapekitError | None:
        """See ``shapekit.cohort.worker.prepare``."""
        return prepare(self.job)

    def work(self, scan: Scan) -> Outcome:
        """See ``shapekit.cohort.worker.work``."""
        return work(self.job, scan)


class Actor:
    """A worker on the cluster.

    Parameters
    ----------
    kind
        ``Held`` as Ray's actor class.
    job : Job
    """

    def __init__(self, kind: Any, job: Job) -> None:
        self.handle = kind.remote(job)

    def prepare(self) -> Future[Any]:
        """See ``Worker``."""
        future: Future[Any] = self.handle.prepare.remote().future()
        return future

    def work(self, scan: Scan) -> Future[Any]:
        """See ``Worker``."""
        future: Future[Any] = self.handle.work.remote(scan).future()
        return future

    def is_loss(self, error: BaseException) -> bool:
        """See ``Worker``."""
        from ray.exceptions import RayError, RayTaskError

        return isinstance(error, RayError) and not isinstance(error, RayTaskError)

    def close(self) -> None:
        """See ``Worker``."""
        import ray

        ray.kill(self.handle)


@contextmanager
def actors(address: str, job: Job, workers: int | None) -> Iterator[tuple[Callable[[], Actor], int]]:
    """Connect to a cluster for as long as a run takes.

    Parameters
    ----------
    address : str
        ``"auto"`` or ``"host:port"`` of a cluster; ``"local"`` starts one on this machine.
    job : Job
    workers : int or None
        Actors; as many as the cluster has cores, or shares of GPUs, for None.

    Yields
    ------
    hire : callable
        Starts an actor.
    count : int

    Raises
    ------
    MissingPackageError
        Without ray.
    UsageError
        For a numbered GPU, which the cluster chooses itself.
    InputError
        If there is no cluster at the address, or no GPU in it.
    """
    if job.device.startswith("gpu:"):
        raise UsageError(f"device is {job.device!r}, but a cluster chooses its GPUs itself; use gpu, or cpu.")
    os.environ.update({name: os.environ.get(name, value) for name, value in _QUIET.items()})  # before ray is imported
    try:
        import ray
    except ImportError as error:
        raise MissingPackageError("--ray needs ray; install it with: pip install 'shapekit[ray]'.") from error
    _reach(address)
    own: dict[str, Any] = {"include_dashboard": False, "num_cpus": workers, "_node_ip_address": "127.0.0.1"} if address == "local" else {}
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        raise InputError(f"there is no Ray cluster at {address} ({type(error).__name__}); start one with `ray start`, or use --ray local.") from error
    try:
        there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        gpus = job.device != "cpu" and there.get("GPU", 0.0) > 0
        if job.device == "gpu" and not gpus:
            raise InputError(f"the Ray cluster at {address} has no GPU; use --device cpu.")
        kind = ray.remote(num_cpus=1, num_gpus=GPU_SHARE if gpus else 0, max_restarts=0, max_task_retries=0)(Held)
        places = int(there.get("GPU", 0.0) / GPU_SHARE) if gpus else int(there.get("CPU", 1.0))
        yield (lambda: Actor(kind, job)), workers or max(1, places)
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Knock at a cluster's door first: Ray itself knocks for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not (colon and port.isdecimal()):
        return
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"there is no Ray cluster at {address} (nothing answers there); start one with `ray start`, or use --ray local.") from error
