import math

import numpy as np
import pytest

import shapekit as sk
from shapekit.core.grid import Grid
from shapekit.core.values import Sdf
from shapekit.scoring import chord_lengths, score_patches
from tests.factories import OBLIQUE, ellipsoid_distance, patch_of

WIDTH, DEPTH, HEIGHT = 22.0, 16.0, 13.0


def cylinder(upper=lambda lr, ap: HEIGHT, scale=1.0, shift=(0.0, 0.0, 0.0), spacing_mm=1.0, shape=(60, 56, 48)):
    """An elliptic cylinder whose upper plate stands at ``upper(lr, ap)`` mm; near its plates the distance is exact."""

    def distance(lr, ap, si):
        lr, ap, si = ((x - d) / scale for x, d in zip((lr, ap, si), shift, strict=True))
        side = (np.hypot(lr / WIDTH, ap / DEPTH) - 1) * DEPTH
        return scale * np.maximum(side, np.maximum(si - upper(lr, ap), -HEIGHT - si))

    return patch_of(distance, shape, spacing_mm)


def lower_by(missing_mm):
    return cylinder(lambda lr, ap: HEIGHT - missing_mm)


def weighted(thickness):
    """∫ w · thickness over the elliptic outline, per L_LR · L_AP, by a plain sum over many points; mm."""
    x, y = np.meshgrid(np.linspace(-1, 1, 1001), np.linspace(-1, 1, 1001))
    inside = x**2 + y**2 < 1
    return float((np.exp(-4.5 * (x**2 + y**2)) * inside * thickness(x * WIDTH, y * DEPTH)).sum() / x.size)


def test_half_a_body_missing_is_a_loss_of_a_half():
    row = score_patches([cylinder()], [lower_by(HEIGHT)])[0]
    assert row["relative_loss"] == pytest.approx(0.5, abs=0.01)
    assert row["score"] == 100
    assert row["actual_mm3"] == pytest.approx(row["expected_mm3"] / 2, rel=0.01)
    assert row["expected_mm3"] == pytest.approx(2 * HEIGHT * math.pi * WIDTH * DEPTH, rel=0.01)


# the cut-offs of the first implementation, which the method states in points and in millimetres of weighted height
@pytest.mark.parametrize(("missing_mm", "points"), [(1.7, 20.2), (2.3, 27.1), (5.6, 64.6), (8.6, 100.0)])
def test_the_cut_offs_in_millimetres_are_those_in_points(missing_mm, points):
    # rounded to a tenth of a millimetre (half a point), and the outline cuts off what the Gaussian has beyond three sigma (1 %)
    assert score_patches([cylinder()], [lower_by(missing_mm)])[0]["score"] == pytest.approx(points, abs=2.0)


@pytest.mark.parametrize(("front", "third"), [(True, "anterior"), (False, "posterior")])
def test_a_wedge_loses_most_in_the_third_where_it_is_thin(front, third):
    sign = 1.0 if front else -1.0

    def thickness(lr, ap):
        return np.maximum(0.0, 2.5 + sign * 7.5 * ap / DEPTH)

    row = score_patches([cylinder()], [cylinder(lambda lr, ap: HEIGHT - thickness(lr, ap))])[0]
    thirds = {name: row[f"surplus_{name}_mm3"] for name in ("anterior", "middle", "posterior")}
    other = {"anterior": "posterior", "posterior": "anterior"}[third]
    assert thirds[third] > 5 * thirds[other]
    # by voxel columns: in front of one sixth of the length, which is one sigma, behind minus one, and between
    bounds = {"anterior": (1 / 3, 2), "middle": (-1 / 3, 1 / 3), "posterior": (-2, -1 / 3)}
    for name, (low, high) in bounds.items():
        truth = weighted(lambda lr, ap, lo=low, hi=high: thickness(lr, ap) * (ap >= lo * DEPTH) * (ap < hi * DEPTH)) * 4 * WIDTH * DEPTH
        # a row of voxels is a millimetre of the 10.7 of a third: what lies on its border counts to one side
        assert thirds[name] == pytest.approx(truth, rel=0.15, abs=20), name
    assert row["weighted_surplus_mm3"] == pytest.approx(weighted(thickness) * 4 * WIDTH * DEPTH, rel=0.03)


def test_a_biconcave_loss_lies_in_the_middle_third():
    def upper(lr, ap):
        return HEIGHT - np.maximum(0.0, 5.0 * (1 - (ap / 6.0) ** 2))

    row = score_patches([cylinder()], [cylinder(upper)])[0]
    assert row["surplus_middle_mm3"] > 5 * max(row["surplus_anterior_mm3"], row["surplus_posterior_mm3"])
    assert row["surplus_anterior_mm3"] == pytest.approx(row["surplus_posterior_mm3"], rel=0.05, abs=2)


@pytest.mark.parametrize("height", [10.0, 12.0, 14.0])
def test_a_larger_body_scores_in_proportion_and_loses_the_same_share(height):
    scale = height / HEIGHT
    row = score_patches([cylinder(scale=scale)], [cylinder(lambda lr, ap: 0.75 * HEIGHT, scale=scale)])[0]
    assert row["relative_loss"] == pytest.approx(1 / 8, abs=0.001)
    assert row["score"] == pytest.approx(100 * 0.25 * height * weighted(lambda lr, ap: 1.0) / 1.5, abs=0.4)
    assert (row["l_lr_mm"], row["l_ap_mm"]) == pytest.approx((2 * WIDTH * scale, 2 * DEPTH * scale), abs=0.4)


PHASES = [(0.0, 0.0, 0.2), (0.3, -0.4, 0.3), (1.2, 0.7, -0.21), (-2.0, 1.1, 0.79), (0.5, 0.25, 0.1)]


@pytest.mark.parametrize("missing", [0.4, 1.5, 3.3])
def test_where_plates_fall_between_the_layers_of_voxels_does_not_matter(missing):
    for shift in PHASES:
        row = score_patches([cylinder(shift=shift)], [cylinder(lambda lr, ap: HEIGHT - missing, shift=shift)])[0]
        assert row["score"] == pytest.approx(100 * missing * weighted(lambda lr, ap: 1.0) / 1.5, abs=0.3)
        assert row["relative_loss"] == pytest.approx(missing / (2 * HEIGHT), abs=0.001)


def test_a_pair_that_is_moved_by_whole_voxels_keeps_its_numbers():
    usual = score_patches([cylinder()], [lower_by(3.3)])[0]
    shift = (2.0, -3.0, 4.0)
    moved = score_patches([cylinder(shift=shift)], [cylinder(lambda lr, ap: HEIGHT - 3.3, shift=shift)])[0]
    assert moved == pytest.approx(usual, rel=1e-4, abs=1e-2)


def test_more_missing_scores_more():
    lost = np.arange(0.0, 8.0, 0.35)
    rows = score_patches([cylinder()] * len(lost), [lower_by(missing) for missing in lost])
    for name in ("score", "relative_loss", "surplus_mm3"):
        assert (np.diff([row[name] for row in rows]) > 0).all(), name


def test_where_the_patch_lies_in_the_patient_does_not_matter():
    expected, actual = cylinder(), lower_by(4.0)
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = OBLIQUE, (30.0, -400.0, 1200.0)
    grid = Grid(expected.grid.shape, affine)
    there = score_patches([Sdf(expected.values, grid)], [Sdf(actual.values, grid)])[0]
    assert there == pytest.approx(score_patches([expected], [actual])[0], rel=1e-4, abs=1e-2)


def test_a_finer_patch_gives_the_same_score():
    fine = {"spacing_mm": 0.7, "shape": (88, 80, 70)}
    usual = score_patches([cylinder()], [lower_by(4.0)])[0]
    finer = score_patches([cylinder(**fine)], [cylinder(lambda lr, ap: HEIGHT - 4.0, **fine)])[0]
    assert finer["score"] == pytest.approx(usual["score"], abs=1.0)
    assert finer["surplus_mm3"] == pytest.approx(usual["surplus_mm3"], rel=0.02)


def test_pairs_are_scored_each_for_itself():
    expected, actual = [cylinder(), cylinder(scale=0.9)], [lower_by(2.0), cylinder(lambda lr, ap: HEIGHT - 5.0, scale=0.9)]
    together = score_patches(expected, actual)
    assert together == [score_patches([e], [a])[0] for e, a in zip(expected, actual, strict=True)]


def test_patches_of_several_kinds_are_refused_rather_than_measured_with_the_first_ones_spacing():
    wider = cylinder(spacing_mm=1.2)
    with pytest.raises(sk.InputError, match="differ in shape or spacing"):
        score_patches([cylinder(), wider], [cylinder(), wider])
    taller = cylinder(shape=(60, 56, 50))
    with pytest.raises(sk.InputError, match="differ in shape or spacing"):
        score_patches([cylinder(), taller], [cylinder(), taller])
    flat = Sdf(cylinder().values, Grid((60, 56, 48), np.diag([1.0, 1.0, 2.0, 1.0])))
    with pytest.raises(sk.InputError, match="not cubes"):
        score_patches([flat], [flat])


@pytest.mark.parametrize("semi_axes", [(22.0, 15.0, 12.0), (17.3, 14.1, 9.2)])
@pytest.mark.parametrize("shift", [(0.0, 0.0, 0.0), (2.4, -3.1, 1.7)])
def test_chords_of_an_ellipsoid_are_its_axes_less_what_the_bundle_is_off_the_middle(semi_axes, shift):
    body = patch_of(lambda lr, ap, si: ellipsoid_distance(np.stack([lr, ap, si], axis=-1) - shift, semi_axes))
    off = np.linspace(-2, 2, 5)
    for axis, found in enumerate(chord_lengths(body)):
        first, second = (n for n in range(3) if n != axis)
        u, v = np.meshgrid(off / semi_axes[first], off / semi_axes[second])
        # the voxel count puts the middle within a tenth of a millimetre of the true one
        assert found == pytest.approx(2 * semi_axes[axis] * np.median(np.sqrt(1 - u**2 - v**2)), abs=0.2)


@pytest.mark.parametrize("exponent", [2.0, 2.5, 4.0])
def test_chords_of_a_superelliptic_cylinder_are_its_width_and_depth(exponent):
    def distance(lr, ap, si):
        side = ((np.abs(lr) / WIDTH) ** exponent + (np.abs(ap) / DEPTH) ** exponent) ** (1 / exponent) - 1
        return np.maximum(side * DEPTH, np.abs(si) - HEIGHT)

    # lines up to 2 mm off the middle are shorter by at most this, in an ellipse
    shorter = 1 - np.sqrt(1 - (2 / DEPTH) ** 2)
    l_lr, l_ap = chord_lengths(patch_of(distance))
    assert 2 * WIDTH * (1 - shorter) - 0.1 <= l_lr <= 2 * WIDTH + 0.1
    assert 2 * DEPTH * (1 - shorter) - 0.1 <= l_ap <= 2 * DEPTH + 0.1
