"""The exceptions of the package, and one wording for complaints about shapes, dtypes and values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class ShapekitError(Exception):
    """Anything shapekit complains about; the message is one sentence: what was found, where, what to do."""


class InputError(ShapekitError, ValueError):
    """A file, array or mesh that cannot be used as it is."""


class SchemeError(InputError):
    """Label values that no scheme explains, or that several explain differently."""


class UsageError(ShapekitError, ValueError):
    """An option's value that does not exist, or that a later version will bring."""


class OutputError(ShapekitError, OSError):
    """A place where results cannot be written."""


class MissingPackageError(ShapekitError, ImportError):
    """An optional package that the call needs; the message names the extra to install."""


class ShapekitWarning(UserWarning):
    """Something doubtful in the input that did not stop the work."""


def check_choice(name: str, value: str, choices: Sequence[str]) -> str:
    """Return ``value`` when it is one of ``choices``.

    Raises
    ------
    UsageError
        Naming the option, the value and the choices.
    """
    if value not in choices:
        raise UsageError(f"{name} is {value!r}, but must be one of: {', '.join(choices)}.")
    return value


def check_array(
    name: str, array: NDArray[np.generic], *, ndim: int | None = None, shape: tuple[int | None, ...] | None = None, finite: bool = False
) -> None:
    """Complain about an array of the wrong shape (``None`` in ``shape`` matches any length) or with NaN or Inf.

    Raises
    ------
    InputError
        Naming the argument, what was found and what is needed.
    """
    if ndim is not None and array.ndim != ndim:
        raise InputError(f"{name} has {array.ndim} axes (shape {array.shape}), but needs {ndim}.")
    if shape is not None:
        fits = array.ndim == len(shape) and all(want is None or want == got for want, got in zip(shape, array.shape, strict=True))
        if not fits:
            wanted = ", ".join("n" if side is None else str(side) for side in shape)
            raise InputError(f"{name} has shape {array.shape}, but needs ({wanted}).")
    if finite and not bool(np.isfinite(array).all()):
        raise InputError(f"{name} holds NaN or infinite values; it must be finite.")
