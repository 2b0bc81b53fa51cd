import numpy as np
import pytest

from shapekit.segmentation import draw_looks, draw_volume
from shapekit.segmentation.looks import add_things, new_intensities, worse_scanner
from shapekit.segmentation.traversal import FIRST_MM3

PATCH = 32


@pytest.fixture(scope="module")
def volume():
    return draw_volume(2, seed=7, spacing_mm=3.0)


@pytest.fixture(scope="module")
def pairs(volume):
    return [draw_looks(volume, PATCH, generator=np.random.default_rng(n)) for n in range(60)]


@pytest.fixture(scope="module")
def samples(pairs):
    return [sample for pair in pairs for sample in pair]


def test_a_volume_is_the_same_for_its_seed_and_index(volume):
    again = draw_volume(2, seed=7, spacing_mm=3.0)
    for name in ("hu", "labels", "body", "bone"):
        assert np.array_equal(getattr(volume, name), getattr(again, name))


def test_bodies_lie_in_bones_and_bones_are_bright(volume):
    assert (volume.body <= volume.bone).all()
    assert ((volume.labels > 0) == (volume.body > 0)).all()
    assert volume.hu[volume.body == 255].mean() > volume.hu[volume.bone == 0].mean() + 100
    for label in volume.order:
        mm3 = volume.body[volume.labels == label].sum(dtype=np.int64) / 255 * 27.0
        assert 6_000 < mm3 < 80_000


def test_looks_are_the_same_for_their_generator(volume, pairs):
    for sample, again in zip(pairs[5], draw_looks(volume, PATCH, generator=np.random.default_rng(5)), strict=True):
        for name in ("image", "memory", "target"):
            assert np.array_equal(getattr(sample, name), getattr(again, name))
        assert (again.complete, again.value) == (sample.complete, sample.value)


def test_a_second_look_has_the_first_ones_body_in_memory(pairs):
    followed, found_again, beside, kept = 0, 0, 0, []
    for first, second in pairs:
        assert np.array_equal(first.image, second.image)
        assert second.target.any() or second.value == second.complete == 0.0
        if first.value:
            kept.extend(second.memory[first.target > 0.9])  # memory may be rough
            assert (second.memory >= first.memory)[second.target < 0.5].all()
            assert not second.value or second.value > first.value
            followed += second.value > 0
        else:
            kept.extend(first.memory[second.target > 0.9])
            assert (second.memory <= first.memory).all()
            found_again += second.value > 0
            beside += ((first.memory > second.memory) & (second.target < 0.5)).sum()
    assert followed > 10
    assert found_again > 5
    assert beside > 0  # a rough memory of the body is gone as a whole
    assert np.mean(kept) > 0.85


def test_about_a_third_shows_nothing_that_is_left(samples):
    empty = [sample for sample in samples if not sample.target.any()]
    assert 0.2 < len(empty) / len(samples) < 0.55
    assert all(sample.value == 0 and sample.complete == 0 for sample in empty)
    assert any(sample.memory.any() for sample in empty)


def test_targets_are_worth_finding_and_memory_lies_above_them(samples):
    shown = [sample for sample in samples if sample.target.any()]
    for sample in shown:
        assert sample.target.sum() * 27.0 > 0.3 * FIRST_MM3
        assert 8 <= sample.value <= 25
        assert not (sample.memory[sample.target > 0.5]).any()
    with_memory = [sample for sample in shown if sample.memory.sum() > 30]
    above = [np.argwhere(s.memory > 0)[:, 2].mean() > np.argwhere(s.target > 0.5)[:, 2].mean() for s in with_memory if (s.target > 0.5).any()]
    assert len(above) > 10
    assert np.mean(above) > 0.95
    assert {sample.complete for sample in shown} == {0.0, 1.0}


def test_a_body_that_neither_the_patch_nor_the_scan_cuts_is_told_to_be_whole(volume, monkeypatch):
    monkeypatch.setattr("shapekit.segmentation.synthesis.CUT_SHARE", 0.0)
    monkeypatch.setattr("shapekit.segmentation.synthesis.SIDE_CUT_SHARE", 0.0)
    shown = [s for n in range(60) for s in draw_looks(volume, 48, generator=np.random.default_rng(n)) if s.value]
    edges = [max(int((np.take(s.target, end, axis) > 0.5).sum()) for axis in range(3) for end in (0, -1)) for s in shown]
    free = [sample.complete for sample, edge in zip(shown, edges, strict=True) if edge == 0]
    cut = [sample.complete for sample, edge in zip(shown, edges, strict=True) if edge > 30]
    assert len(free) > 20
    assert len(cut) > 5
    assert np.mean(free) > 0.95
    assert np.mean(cut) < 0.2


def test_images_are_scaled_and_differ_in_look(samples):
    assert all(np.abs(sample.image).max() <= 1.0 and np.isfinite(sample.image).all() for sample in samples)
    bone = [sample.image[sample.target > 0.9].mean() for sample in samples if (sample.target > 0.9).sum() > 20]
    assert np.std(bone) > 0.08


def test_looks_keep_a_bodys_place_and_leave_no_voxel_unfilled():
    generator = np.random.default_rng(1)
    body = np.zeros((24, 28, 26), np.float32)
    body[8:16, 9:19, 10:16] = 1.0
    for _ in range(20):
        hu = np.where(body > 0, 200.0, 40.0).astype(np.float32)
        hu = new_intensities(hu, body, body, generator)
        add_things(hu, body, 2.0, generator)
        hu = worse_scanner(hu, generator)
        assert hu.dtype == np.float32
        assert np.isfinite(hu).all()
        assert np.abs(hu).max() < 5000
