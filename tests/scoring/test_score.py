import math

import numpy as np
import pytest

import shapekit as sk
from shapekit.scoring import chord_lengths, score_patches
from tests.factories import patch_of

WIDTH, DEPTH, HEIGHT = 22.0, 16.0, 13.0


def cylinder(top=HEIGHT, bottom=-HEIGHT, front=99.0, scale=1.0):
    """An elliptic cylinder about the origin; near its flat ends the distance is exact."""

    def distance(lr, ap, si):
        radius = np.hypot(lr / WIDTH, ap / DEPTH) / scale
        side = (radius - 1) * DEPTH * scale
        ends = np.maximum(si - top * scale, bottom * scale - si)
        return np.maximum(np.maximum(side, ends), ap - front * scale)

    return patch_of(distance)


def closed_form(missing_mm):
    """V_w over an elliptic disc with standard deviations of a third of its semi-axes: the Gaussian within three sigma."""
    sigmas = WIDTH / 3, DEPTH / 3
    return missing_mm * 2 * math.pi * sigmas[0] * sigmas[1] * (1 - math.exp(-4.5))


@pytest.mark.parametrize("missing", [1.0, 2.0, 4.0])
def test_a_missing_slab_scores_its_weighted_thickness(missing):
    row = score_patches([cylinder()], [cylinder(top=HEIGHT - missing)])[0]
    area = (2 * WIDTH) * (2 * DEPTH)
    assert row["l_lr_mm"] == pytest.approx(2 * WIDTH, abs=0.5)
    assert row["l_ap_mm"] == pytest.approx(2 * DEPTH, abs=0.5)
    assert row["weighted_surplus_mm3"] == pytest.approx(closed_form(missing), rel=0.03)
    assert row["score"] == pytest.approx(100 * closed_form(missing) / area / 1.5, rel=0.04)
    assert row["relative_loss"] == pytest.approx(missing / (2 * HEIGHT), rel=0.02)
    assert row["surplus_mm3"] == pytest.approx(missing * math.pi * WIDTH * DEPTH, rel=0.03)
    assert row["excess_mm3"] == pytest.approx(0, abs=1)


def test_the_ends_of_the_scale():
    same = score_patches([cylinder()], [cylinder()])[0]
    assert same["score"] == 0
    assert same["relative_loss"] == 0
    assert score_patches([cylinder()], [cylinder(top=-2.0)])[0]["score"] == 100


def test_what_is_there_but_not_expected_is_excess_and_not_scored():
    row = score_patches([cylinder(top=HEIGHT - 2)], [cylinder()])[0]
    assert row["score"] == pytest.approx(0, abs=1e-6)
    assert row["excess_mm3"] == pytest.approx(2 * math.pi * WIDTH * DEPTH, rel=0.03)


def test_the_thirds_tell_where_bone_is_missing():
    front_gone = score_patches([cylinder()], [cylinder(front=4.0)])[0]
    assert front_gone["surplus_anterior_mm3"] > 5 * front_gone["surplus_posterior_mm3"]
    total = sum(front_gone[f"surplus_{third}_mm3"] for third in ("anterior", "middle", "posterior"))
    assert total == pytest.approx(front_gone["weighted_surplus_mm3"], rel=1e-5)


def test_relative_loss_does_not_depend_on_size_and_the_score_is_millimetres():
    small = score_patches([cylinder(scale=0.8)], [cylinder(top=HEIGHT * 0.7, scale=0.8)])[0]
    large = score_patches([cylinder()], [cylinder(top=HEIGHT * 0.7)])[0]
    assert small["relative_loss"] == pytest.approx(large["relative_loss"], rel=0.02)
    assert small["score"] == pytest.approx(0.8 * large["score"], rel=0.04)


def test_chords_run_through_the_middle_even_of_an_off_centre_body():
    body = patch_of(lambda lr, ap, si: (np.hypot(np.hypot((lr - 6) / 20, (ap + 5) / 14), (si - 3) / 11) - 1) * 11)
    l_lr, l_ap = chord_lengths(body)
    assert l_lr == pytest.approx(40, abs=1.0)
    assert l_ap == pytest.approx(28, abs=1.0)


def test_wrong_pairs_are_refused():
    with pytest.raises(sk.InputError, match="pair up"):
        score_patches([cylinder()], [])
    with pytest.raises(sk.UsageError, match="preset"):
        score_patches([cylinder()], [cylinder()], preset="nosuch")
    empty = patch_of(lambda lr, ap, si: 5 + 0 * lr)
    with pytest.raises(sk.InputError, match="empty"):
        score_patches([cylinder()], [empty])
    with pytest.raises(sk.InputError, match="empty"):
        score_patches([empty], [cylinder()])
    with pytest.raises(sk.InputError, match="different patches"):
        score_patches([cylinder()], [patch_of(lambda lr, ap, si: lr, spacing_mm=1.1)])
    assert score_patches([], []) == []
