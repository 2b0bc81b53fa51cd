"""Slow, plain, float64: the surplus volumes of docs/method.md, voxel by voxel."""

import itertools
import math

import numpy as np


def occupancy(distance, spacing):
    """The integral of a triangle of height one and half width ``spacing``, up to -distance."""
    ramp = -distance / spacing
    if ramp <= -1 or ramp >= 1:
        return float(ramp > 0)
    return (1 + ramp) ** 2 / 2 if ramp < 0 else 1 - (1 - ramp) ** 2 / 2


def surplus_volumes(expected, actual, spacing, centre, rotation, sigma, length_ap):
    names = ("weighted_surplus", "posterior", "middle", "anterior", "surplus", "excess", "weighted_expected", "expected", "actual")
    total = dict.fromkeys(names, 0.0)
    for index in itertools.product(*map(range, expected.shape)):
        offset = [(n - (side - 1) / 2) * spacing - c for n, side, c in zip(index, expected.shape, centre, strict=True)]
        along = [sum(offset[k] * rotation[k][m] for k in range(3)) for m in range(3)]
        weight = math.exp(-0.5 * sum((a / s) ** 2 for a, s in zip(along, sigma, strict=True)))
        e, a = occupancy(float(expected[index]), spacing), occupancy(float(actual[index]), spacing)
        u = max(e - a, 0.0)
        third = "posterior" if along[1] < -length_ap / 6 else "anterior" if along[1] > length_ap / 6 else "middle"
        for name, value in (
            ("weighted_surplus", weight * u),
            (third, weight * u),
            ("surplus", u),
            ("excess", max(a - e, 0.0)),
            ("weighted_expected", weight * e),
            ("expected", e),
            ("actual", a),
        ):
            total[name] += value * spacing**3
    return np.array([total[name] for name in names])
