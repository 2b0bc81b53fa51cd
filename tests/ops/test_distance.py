import numpy as np
import pytest

import shapekit as sk
from shapekit.ops import signed_distance


def brute(mask, spacing):
    where = np.argwhere(np.ones_like(mask)) * spacing
    inside = mask.ravel()
    gaps = np.linalg.norm(where[:, None] - where[None], axis=-1)
    to_inside = np.where(inside[None], gaps, np.inf).min(axis=1)
    to_outside = np.where(inside[None], np.inf, gaps).min(axis=1)
    return np.where(inside, -to_outside, to_inside).reshape(mask.shape)


@pytest.mark.parametrize("shape", [(7, 9, 11), (1, 6, 5), (13, 4, 3)])
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 1.3, 2.9)])
@pytest.mark.parametrize("share", [0.03, 0.5, 0.97])
def test_distances_are_exact(shape, spacing, share):
    mask = np.random.default_rng(5).random(shape) < share
    mask.ravel()[:2] = (True, False)
    assert signed_distance(mask, spacing) == pytest.approx(brute(mask, np.array(spacing)), abs=1e-4)


def test_empty_and_full_masks_are_infinitely_far():
    empty = np.zeros((3, 4, 5), bool)
    assert (signed_distance(empty, (1, 1, 1)) == np.inf).all()
    assert (signed_distance(~empty, (1, 1, 1)) == -np.inf).all()


@pytest.mark.parametrize(
    ("mask", "spacing", "name"),
    [
        (np.zeros((3, 4), bool), (1, 1, 1), "mask"),
        (np.zeros((3, 4, 5), np.uint8), (1, 1, 1), "mask"),
        (np.zeros((3, 4, 5), bool), (1, 1), "spacing_mm"),
        (np.zeros((3, 4, 5), bool), (1, 0, 1), "spacing_mm"),
        (np.zeros((3, 4, 5), bool), (1, np.nan, 1), "spacing_mm"),
    ],
)
def test_wrong_arguments_are_named(mask, spacing, name):
    with pytest.raises(sk.InputError, match=name):
        signed_distance(mask, spacing)
