"""Slow and plain: the score as the paper's first implementation had it (§2 of the method), with its habits.

Label arrays are upright, ``[right, anterior, superior]``, values count downward, distances in mm. A body's expected shape is
the mean occupancy of its two neighbours, in place of the networks, or one that is given.
"""

import math

import numpy as np
from scipy import ndimage

SIDE, MIDDLE = 64, 32
FULL_MM = 1.5


def on_one_mm(labels, spacing_mm):
    """Nearest neighbours on cubic voxels of 1 mm."""
    sides = [int((side - 1) * step) + 1 for side, step in zip(labels.shape, spacing_mm, strict=True)]
    return ndimage.affine_transform(labels, 1.0 / np.asarray(spacing_mm), output_shape=sides, order=0)


def centroid(labels, value):
    return np.argwhere(labels == value).mean(axis=0)


def own_patch(labels, value):
    """A box of 64 voxels about the body's own centroid; where it lies in the spine is thrown away."""
    middle = centroid(labels, value)
    where = [np.arange(SIDE) - MIDDLE + at for at in middle]
    return ndimage.map_coordinates((labels == value).astype(np.float64), np.meshgrid(*where, indexing="ij"), order=1)


def sagittal_tilt(labels, value):
    """Of the chord from the next centroid up to the previous one; positive where the top leans forward."""
    _, ap, si = centroid(labels, value - 1) - centroid(labels, value + 1)
    return math.atan2(ap, si)


def length_along(slice_2d, direction, step=0.05):
    """Length of the occupied part of a line through the middle of a slice."""
    along = np.arange(-MIDDLE + 1, MIDDLE - 1, step)
    where = MIDDLE + np.outer(direction, along)
    return float((ndimage.map_coordinates(slice_2d, where, order=1) > 0.5).sum() * step)


def first_implementation(labels, spacing_mm, value, expected=None):
    """Score (0-100), L_AP and L_LR (mm) and tilt (radians) of one body."""
    cubic = on_one_mm(labels, spacing_mm)
    actual = own_patch(cubic, value)
    if expected is None:
        expected = (own_patch(cubic, value - 1) + own_patch(cubic, value + 1)) / 2
    tilt = sagittal_tilt(cubic, value)
    l_ap = length_along(actual[MIDDLE], (math.cos(tilt), -math.sin(tilt)))
    l_lr = length_along(actual[:, :, MIDDLE], (1.0, 0.0))
    total = 0.0
    for i, j, k in np.argwhere(expected > actual):
        lr, ap, si = i - MIDDLE, j - MIDDLE, k - MIDDLE
        forward = ap * math.cos(tilt) - si * math.sin(tilt)  # constant along the tilted height
        weight = math.exp(-0.5 * ((lr / (l_lr / 6)) ** 2 + (forward / (l_ap / 6)) ** 2))
        total += weight * (expected[i, j, k] - actual[i, j, k])
    return 100 * min(1.0, max(0.0, total / (l_ap * l_lr) / FULL_MM)), l_ap, l_lr, tilt
