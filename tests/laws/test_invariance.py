"""Scores belong to the bones, not to how a file stores them."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import shapekit as sk
from shapekit.core.grid import Grid
from tests.real.conftest import VERSE004, real_file, scored

STORAGE = list(itertools.product(itertools.permutations(range(3)), itertools.product((False, True), repeat=3)))


def stored(spine, order, flips):
    """The same voxels under another axis order and direction, the affine adjusted."""
    array, affine = spine.array, spine.grid.affine.copy()
    for axis in range(3):
        if flips[axis]:
            affine[:3, 3] += affine[:3, axis] * (array.shape[axis] - 1)
            affine[:3, axis] *= -1
            array = np.flip(array, axis)
    array = np.ascontiguousarray(array.transpose(order))
    affine[:, :3] = affine[:, list(order)]
    return replace(spine, array=array, grid=Grid(array.shape, affine))


def regridded(spine, rotation, spacing_mm):
    """Nearest neighbours of the same labels on another grid around them."""
    turned = spine.grid.to_world(np.argwhere(spine.array > 0)) @ rotation
    low, high = turned.min(axis=0) - 8, turned.max(axis=0) + 8
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = rotation * spacing_mm, rotation @ low
    grid = Grid(tuple(int(n) for n in np.ceil((high - low) / spacing_mm)), affine)
    index = np.rint(spine.grid.to_index(grid.points())).astype(int)
    inside = ((index >= 0) & (index < spine.grid.shape)).all(axis=-1)
    array = np.zeros(grid.shape, spine.array.dtype)
    array[inside] = spine.array[tuple(index[inside].T)]
    return replace(spine, array=array, grid=grid)


def changes(spine, truth, predictor="generative"):
    found = {v.measures.level: v.score for v in sk.score(spine, predictor=predictor)}
    return {v.measures.level: found[v.measures.level] - v.score for v in truth if v.status == "ok"}


@pytest.fixture(scope="module")
def crop():
    """T9 and T10 of a real spine, both fractured: small enough for all 48 ways to store it, and no score at an end of its scale."""
    spine = sk.load(real_file(VERSE004))
    kept = {value: level for value, level in spine.levels.items() if value in (16, 17)}
    index = np.argwhere(np.isin(spine.array, list(kept)))
    low, high = np.maximum(index.min(axis=0) - 4, 0), index.max(axis=0) + 5
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    array = np.where(np.isin(spine.array[box], list(kept)), spine.array[box], 0).astype(np.uint8)
    return replace(spine, array=array, grid=spine.grid.crop(low, array.shape), levels=kept)


@pytest.fixture(scope="module")
def crop_scores(crop):
    return sk.score(crop)


@pytest.mark.parametrize("way", range(48))
def test_the_order_and_direction_of_axes_do_not_matter(way, crop, crop_scores):
    moved = changes(stored(crop, *STORAGE[way]), crop_scores)
    assert len(moved) == 2
    assert max(map(abs, moved.values())) <= 0.1, moved


@pytest.mark.parametrize("turn", [(0.2, -0.1, 0.15), (0.3, 0.3, -0.2), (-0.2, 0.1, 0.4)])
def test_a_rigid_motion_of_the_affine_does_not_matter(turn, crop, crop_scores):
    motion = np.eye(4)
    motion[:3, :3], motion[:3, 3] = Rotation.from_rotvec(turn).as_matrix(), (30, -50, 200)
    moved = changes(replace(crop, grid=Grid(crop.grid.shape, motion @ crop.grid.affine)), crop_scores)
    assert max(map(abs, moved.values())) <= 0.1, moved


@pytest.mark.parametrize(
    ("turn", "spacing_mm"), [((0.2, 0.25, -0.15), 1.0), ((0.0, 0.0, 0.0), 2.0), ((-0.3, 0.1, 0.2), 2.0)], ids=["turned", "coarser", "both"]
)
@pytest.mark.parametrize("name", [VERSE004, "verse19/sub-verse014_seg-vert_msk.nii.gz"])
def test_resampling_the_mask_changes_scores_little(name, turn, spacing_mm):
    spine = sk.load(real_file(name))
    moved = changes(regridded(spine, Rotation.from_rotvec(turn).as_matrix(), spacing_mm), scored(name))
    sizes = np.abs(list(moved.values()))
    assert sizes.mean() <= 3, moved
    assert sizes.max() <= 6, moved


@pytest.mark.parametrize(("predictor", "points"), [("neighbours", 1e-6), ("generative", 0.01)])  # a network's sums are grouped by threads
def test_threads_do_not_matter(crop, predictor, points):
    import torch

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        scores = sk.score(crop, predictor=predictor)
        torch.set_num_threads(1)
        moved = changes(crop, scores, predictor)
    finally:
        torch.set_num_threads(before)
    assert max(map(abs, moved.values())) <= points, moved
