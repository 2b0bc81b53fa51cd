"""A volume's three axes, each mapped by a matrix: separable filters as products, which is the soonest way at the sizes of bodies."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Value = TypeVar("Value", np.float32, np.float64)


def along_axes(values: NDArray[Value], first: NDArray[Value], second: NDArray[Value], third: NDArray[Value]) -> NDArray[Value]:
    """Map each axis by its own matrix.

    Parameters
    ----------
    values : (i, j, k)
    first, second, third : (a, i), (b, j), (c, k)

    Returns
    -------
    (a, b, c)

    Examples
    --------
    >>> along_axes(np.arange(4.0).reshape(1, 2, 2), np.eye(1), np.ones((1, 2)), np.eye(2))
    array([[[2., 4.]]])
    """
    found = second @ (values @ third.T)
    return np.asarray((first @ found.reshape(len(values), -1)).reshape(len(first), *found.shape[1:]))
