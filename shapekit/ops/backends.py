"""Which of an operator's implementations serves: the reference, the C++ library or the CUDA kernels, and why."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch

from shapekit.core.checks import MissingPackageError, ShapekitWarning, UsageError, check_choice
from shapekit.ops import _cuda, _native

BACKENDS = ("auto", "reference", "cpu", "cuda")


@dataclass(frozen=True)
class Choice:
    """The implementation that serves, ``"reference"``, ``"cpu"`` (C++) or ``"cuda"``, and the reason, a clause."""

    name: str
    reason: str


_told: set[str] = set()


def backend_for(device: torch.device | str = "cpu", *, backend: str = "auto", only_reference: str = "") -> Choice:
    """Say which implementation of the operators runs for tensors on a device.

    Parameters
    ----------
    device : torch.device or str
        Where the tensors are.
    backend : str
        ``"auto"`` takes the native implementation of the device, or the reference where that is missing and says so once
        (``ShapekitWarning``); ``"reference"``, ``"cpu"`` and ``"cuda"`` run or raise.
    only_reference : str
        Why these inputs need the reference, a clause, or "".

    Returns
    -------
    Choice

    Raises
    ------
    UsageError
        For a backend that does not exist or cannot take these tensors.
    MissingPackageError
        For an explicit backend that is not installed; the message says how to get it.

    Examples
    --------
    >>> backend_for("cpu", backend="reference")
    Choice(name='reference', reason='asked for')
    """
    check_choice("backend", backend, BACKENDS)
    if backend == "reference":
        return Choice("reference", "asked for")
    kind = torch.device(device).type
    if backend == "auto":
        if only_reference:
            return Choice("reference", only_reference)
        if kind not in ("cpu", "cuda"):
            return Choice("reference", f"there is no native implementation for {kind}")
        missing = _why_missing(kind)
        if missing:
            _tell_once(missing)
            return Choice("reference", missing)
        return Choice(kind, "the library that came with this install" if kind == "cpu" else "compiled when first used")
    if kind != backend:
        raise UsageError(f"backend is {backend!r}, but the tensors are on {kind}; move them there or ask for 'auto'.")
    if only_reference:
        raise UsageError(f"backend is {backend!r}, but {only_reference}; ask for 'reference'.")
    missing = _why_missing(backend)
    if missing:
        raise MissingPackageError(f"backend {backend!r} was asked for, but {missing}.")
    return Choice(backend, "asked for")


def _why_missing(kind: str) -> str:
    if kind == "cpu":
        return _native.WHY_NO_LIBRARY
    # a graph that is being compiled cannot look; a tensor on a GPU is there, and the launch itself complains about the rest
    return "" if torch.compiler.is_compiling() else _cuda.why_not()


def _tell_once(reason: str) -> None:
    if reason not in _told:
        _told.add(reason)
        warnings.warn(f"the reference implementations serve, which are slow: {reason}.", ShapekitWarning, stacklevel=4)
