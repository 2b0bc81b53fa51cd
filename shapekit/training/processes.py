"""The processes that torchrun started: the first draws, fits, calibrates and writes; the others wait for it, and all of them train."""

from __future__ import annotations

import atexit
import logging
import os
from typing import TYPE_CHECKING

import torch

from shapekit.core.checks import MissingPackageError, UsageError

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def started() -> int:
    """How many processes torchrun started; 1 without it."""
    return int(os.environ["WORLD_SIZE"]) if torch.distributed.is_torchelastic_launched() else 1


def is_first() -> bool:
    """Tell whether this process is the one that draws, writes and speaks."""
    return started() == 1 or os.environ["RANK"] == "0"


def refuse_several(what: str) -> None:
    """Complain where torchrun started several processes for what one does.

    Parameters
    ----------
    what : str
        The work, as the sentence's subject.

    Raises
    ------
    UsageError
    """
    if started() > 1:
        raise UsageError(f"{what} takes one process, but torchrun started {started()}; start it without torchrun.")


def launched(accelerator: str, devices: str, precision: str) -> Fabric:
    """Join the processes of this run.

    Parameters
    ----------
    accelerator, devices, precision : str
        As Lightning Fabric takes them; a process has one device.

    Returns
    -------
    Fabric

    Raises
    ------
    UsageError
        If there are not as many processes as devices.
    MissingPackageError
        Without Lightning Fabric.
    """
    try:
        from lightning_fabric import Fabric
    except ImportError as error:
        raise MissingPackageError("training needs Lightning Fabric; install it with `pip install shapekit[train]`.") from error
    fabric = Fabric(
        accelerator=accelerator,
        devices=int(devices) if devices.isdecimal() else devices,
        strategy="ddp" if started() > 1 else "auto",
        precision=precision,  # type: ignore[arg-type]
    )
    wanted = getattr(fabric.strategy, "num_processes", 1)
    if wanted != started():
        raise UsageError(
            f"--devices {devices} asks for {wanted} processes, but there are {started()}; "
            f"start as many on this machine with `torchrun --nproc-per-node {wanted} -m shapekit train --devices {devices} ...`."
        )
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # a banner of the processes' backend
    fabric.launch()
    if torch.distributed.is_initialized():
        atexit.register(_part)
    return fabric


def _part() -> None:
    """Leave the group before the interpreter ends: gloo's threads abort a process that takes them along."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
