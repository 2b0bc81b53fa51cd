"""What a body itself still shows of the sizes it should have: the likeliest departure from those that its neighbours suggest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shapekit.core.checks import InputError, check_array
from shapekit.core.conventions import PATCH_SHAPE, PATCH_SPACING_MM
from shapekit.morphometry import Heights, Sizes

SIZES = 5
"""Ha, Hm, Hp, width and depth, in the order of ``shapekit.morphometry.Sizes.logarithms``."""
COMPANIES = ("both", "repaired", "one_side")
"""Whole neighbours on both sides, with one of them repaired, and on one side only: the unbroken half of ``shapekit.scoring.KINDS``."""
WHOLE, BROKEN = 0, 1
"""Rows of what is measured of whole bodies and of broken ones."""
MOST_SD = 3.0
"""A departure goes no further than so many of its standard deviations, and widths and depths count no further: spurs and remains of
pedicles make some bodies of people wider than any that this was measured on, and not higher."""
LARGEST = 3.0
"""No logarithm of sizes, nor its variance, is larger."""

Array = NDArray[np.float32]
Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SizePrior:
    """How measured sizes come about, as a mixture of Gaussians of the logarithms of (Ha, Hm, Hp, width, depth), measured over predicted.

    That logarithm is d = a + l + e: what the healthy body departs from the prediction by, a, Gaussian for each company; what a fracture
    has taken, l, one of a finite number of losses of height; and what the measurement of a body with its mask's noise adds, e, Gaussian for
    whole and for broken bodies. The mean of a given d is the likelihood-weighted sum of the linear Gaussian estimates under each loss
    (Bishop 2006, "Pattern Recognition and Machine Learning", eq. 2.113-2.117 for each of them). Width and depth outlast a fracture, and
    a body that is wider than expected is a little higher, too: they tell of heights that are lost.

    Parameters
    ----------
    mean : (3, 5) float64
        Of a, for each of ``COMPANIES``.
    covariance : (3, 5, 5) float64
    error_mean : (2, 5) float64
        Of e, for ``WHOLE`` and ``BROKEN``.
    error_covariance : (2, 5, 5) float64
    losses : (n, 3) float64
        Logarithms of what is left of Ha, Hm, Hp.
    broken : (n,) bool
        Which of them are fractures.
    odds : (n,) float64
        How often each occurs; they sum to 1.
    shift : (5,) float64
        What estimates for broken bodies lack on average; it is added in the measure in which a body is probably broken.

    Examples
    --------
    >>> sure, none = np.tile(np.eye(5) * 1e-4, (3, 1, 1)), np.zeros((3, 5))
    >>> prior = SizePrior(none, sure, none[:2], sure[:2], np.zeros((1, 3)), np.array([False]), np.ones(1), none[0])
    >>> tall, usual = (Sizes(Heights(height, 20.0, 20.0), 40.0, 30.0) for height in (20.4, 20.0))
    >>> prior.departure(tall, usual, 0).round(3)  # as sure of the one as of the other: half of 2 %
    array([0.01, 0.  , 0.  , 0.  , 0.  ])
    """

    mean: Float
    covariance: Float
    error_mean: Float
    error_covariance: Float
    losses: Float
    broken: NDArray[np.bool_]
    odds: Float
    shift: Float

    def departure(self, measured: Sizes, predicted: Sizes, company: int) -> Float:
        """Estimate by how much a body's healthy sizes depart from the predicted ones.

        Parameters
        ----------
        measured, predicted : Sizes
            Of the body as it is and of the shape that its neighbours suggest, in the same frame.
        company : int
            Which of ``COMPANIES`` the prediction rests on.

        Returns
        -------
        (5,) float64
            Natural logarithms of the ratios for Ha, Hm, Hp, width and depth.
        """
        found, likely_broken = self.mixture(measured.logarithms - predicted.logarithms, company)
        most = MOST_SD * np.sqrt(np.diagonal(self.covariance[company]))
        middle = self.mean[company]
        return np.asarray(np.clip(found + likely_broken * self.shift, middle - most, middle + most))

    def mixture(self, seen: Float, company: int) -> tuple[Float, float]:
        """Mean of the departure given the (5,) logarithms of measured over predicted, without the shift; and how probably the body is broken."""
        mean, own = self.mean[company], self.covariance[company]
        taken = np.pad(self.losses, ((0, 0), (0, SIZES - 3)))
        log_odds, estimates = np.zeros(len(self.odds)), np.zeros((len(self.odds), SIZES))
        for kind in (WHOLE, BROKEN):
            mine = self.broken == bool(kind)
            total = own + self.error_covariance[kind]
            off = seen - mean - self.error_mean[kind] - taken[mine]
            most = MOST_SD * np.sqrt(np.diagonal(total))[3:]
            off[:, 3:] = np.clip(off[:, 3:], -most, most)
            solved = np.linalg.solve(total, off.T).T
            log_odds[mine] = np.log(self.odds[mine]) - 0.5 * ((off * solved).sum(axis=1) + np.linalg.slogdet(total)[1])
            estimates[mine] = mean + solved @ own
        weight = np.exp(log_odds - log_odds.max())
        weight /= weight.sum()
        return weight @ estimates, float(weight[self.broken].sum())

    def tensors(self) -> dict[str, NDArray[np.generic]]:
        """Arrays as they are stored."""
        return {name: value if value.dtype == bool else value.astype(np.float32) for name, value in vars(self).items()}

    @classmethod
    def from_tensors(cls, arrays: Mapping[str, NDArray[np.generic]]) -> SizePrior:
        """Undo ``tensors``.

        Raises
        ------
        InputError
            Where their shapes do not go together, values are not finite or absurdly large, an odds is not positive, or a covariance is none.
        """
        count = len(arrays["odds"])
        shapes = {
            "mean": (3, SIZES),
            "covariance": (3, SIZES, SIZES),
            "error_mean": (2, SIZES),
            "error_covariance": (2, SIZES, SIZES),
            "losses": (count, 3),
            "broken": (count,),
            "odds": (count,),
            "shift": (SIZES,),
        }
        held = {name: np.asarray(arrays[name], dtype=bool if name == "broken" else np.float64) for name in shapes}
        for name, shape in shapes.items():
            check_array(name, held[name], shape=shape, finite=True)
            if np.abs(held[name]).max() > LARGEST:
                raise InputError(f"{name} holds more than {LARGEST}, which no body's sizes are known to.")
        if not (held["odds"] > 0).all():
            raise InputError("the odds of a loss must be positive.")
        for some in (held["covariance"], held["error_covariance"]):
            np.linalg.cholesky(some)  # raises where it is none; a ValueError
        return cls(**held)


def stretched(values: Array, heights: Heights, departure: Float) -> Array:
    """Stretch a shape about the middle of its patch; along SI by other amounts in front, in the middle and behind, linearly between.

    Parameters
    ----------
    values : (80, 64, 64) float32, mm
        Signed distance on a patch along the shape's axes.
    heights : Heights
        Of the shape, with where they were measured.
    departure : (5,) float64
        Logarithms of the factors of Ha, Hm, Hp, width and depth.

    Returns
    -------
    (80, 64, 64) float32, mm

    Examples
    --------
    >>> si = np.broadcast_to(np.abs(np.arange(64) - 31.5) - 10.0, PATCH_SHAPE).astype(np.float32)
    >>> taller = stretched(si, Heights(20.0, 20.0, 20.0, (12.0, 0.0, -12.0)), np.log([1.1, 1.0, 1.0, 1.0, 1.0]))
    >>> [int((taller[40, ap] < 0).sum()) for ap in (10, 32, 48)]
    [20, 20, 22]
    """
    lr, ap, si = (np.arange(side) - (side - 1) / 2 for side in PATCH_SHAPE)
    order = np.argsort(heights.ap_mm)
    tall = np.exp(np.interp(ap * PATCH_SPACING_MM, np.asarray(heights.ap_mm)[order], departure[:3][order]))
    wide, deep = np.exp(departure[3:])
    taller = (values.swapaxes(0, 1) @ _hats(si / tall[:, None]).swapaxes(1, 2)).swapaxes(0, 1)
    return np.asarray(np.tensordot(_hats(lr / wide), _hats(ap / deep) @ taller, axes=1))


def _hats(at: Float) -> Array:
    """What takes a row of voxels, (n,), to its linear interpolation at as many places from its middle: (..., n places, n voxels)."""
    side = at.shape[-1]
    index = np.clip(at + (side - 1) / 2, 0.0, side - 1.0)
    return np.asarray(np.maximum(1.0 - np.abs(index[..., None] - np.arange(side)), 0.0), dtype=np.float32)
