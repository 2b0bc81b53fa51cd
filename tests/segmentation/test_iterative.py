"""Everything around the network, proven with an eye that knows the truth."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from shapekit.core.checks import InputError
from shapekit.core.frame import Frame
from shapekit.core.grid import Grid
from shapekit.core.levels import Level
from shapekit.core.values import Image
from shapekit.io.shipped import shipped_weights
from shapekit.io.volumes import on_grid
from shapekit.phantom import random_rotation
from shapekit.segmentation import iterative, judge, read_segmenter, segment_ct
from shapekit.segmentation.levels import Named
from shapekit.spine import extract_bodies
from tests.segmentation.oracle import OracleEye, known_scan

LUMBAR = ["T11", "T12", "L1", "L2"]
ORIENTATIONS = [(order, flips) for order in itertools.permutations(range(3)) for flips in itertools.product((1, -1), repeat=3)]


@pytest.fixture(scope="module")
def lumbar():
    return known_scan(LUMBAR, (1.1, 1.4, 2.3))


@pytest.fixture(scope="module")
def straight(lumbar):
    return segment_ct(lumbar.image, name="ct", eye=OracleEye(lumbar))


def judged(known, found):
    return judge(found.labels, known.scan.labels, cut=known.scan.cut)


def reoriented(image, order, flips):
    """The same voxels stored another way."""
    affine, array = image.grid.affine.copy(), image.array
    for axis, flip in enumerate(flips):
        if flip < 0:
            affine[:3, 3] += affine[:3, axis] * (array.shape[axis] - 1)
            affine[:3, axis] *= -1
            array = np.flip(array, axis)
    affine[:, :3] = affine[:, list(order)]
    array = array.transpose(order)
    return Image(array, Grid(array.shape, affine))


def test_every_body_is_found_named_and_drawn(lumbar, straight):
    quality = judged(lumbar, straight)
    assert (quality.missed, quality.invented) == ((), ())
    assert all(quality.named.values())
    assert all(quality.told.values())
    assert min(quality.dice.values()) > 0.95
    assert max(quality.surface_mm.values()) < 0.4
    assert [str(row.level) for row in straight.vertebrae] == LUMBAR
    assert all(row.confidence > 0.8 for row in straight.vertebrae)
    assert straight.labels.array.dtype == np.uint8


def test_a_rows_centre_and_volume_are_those_of_the_true_body(lumbar, straight):
    for row in straight.vertebrae:
        vertebra = lumbar.scan.patient[row.level]
        voxels = np.argwhere((lumbar.scan.labels.array == vertebra.label) & lumbar.scan.labels.body_mask)  # slices of 2.3 mm shift a centre
        assert np.linalg.norm(np.array(row.centre_mm) - lumbar.image.grid.to_world(voxels.mean(axis=0))) < 0.2
        assert row.volume_mm3 == pytest.approx(vertebra.actual.surface.volume_mm3, rel=0.03)


@pytest.mark.parametrize(("order", "flips"), ORIENTATIONS, ids=str)
def test_any_of_the_48_orientations_gives_the_same_bodies(lumbar, straight, order, flips):
    found = segment_ct(reoriented(lumbar.image, order, flips), eye=OracleEye(lumbar)).labels
    back = on_grid(found.array, found.grid, lumbar.image.grid)
    assert back is not None
    assert np.count_nonzero(back != straight.labels.array) <= 1e-4 * np.count_nonzero(straight.labels.array)


@pytest.mark.parametrize("spacing", [(0.5, 0.5, 0.8), (3.0, 3.0, 3.0), (0.7, 3.0, 0.7), (2.0, 0.9, 1.3)], ids=str)
def test_any_spacing_gives_the_true_bodies(spacing):
    known = known_scan(["L2", "L3"], spacing)
    quality = judged(known, segment_ct(known.image, eye=OracleEye(known)))
    assert (quality.missed, quality.invented) == ((), ())
    assert all(quality.named.values())
    assert min(quality.dice.values()) > 0.94
    assert max(quality.surface_mm.values()) < 0.4


def test_an_oblique_scan_gives_the_true_bodies():
    turn = random_rotation(25.0, generator=np.random.default_rng(8))
    assert Frame(np.zeros(3), turn).angle_to(Frame(np.zeros(3), np.eye(3))) > 10.0
    known = known_scan(LUMBAR, (0.9, 1.2, 2.0), rotation=turn)
    quality = judged(known, segment_ct(known.image, eye=OracleEye(known)))
    assert (quality.missed, quality.invented) == ((), ())
    assert min(quality.dice.values()) > 0.95


@pytest.mark.parametrize("overlap", [0.3, 0.6])
def test_a_field_of_view_that_cuts_bodies_marks_them(overlap):
    known = known_scan(["T12", "L1", "L2", "L3"], (1.0, 1.3, 1.6), first="T12", last="L3", overlap=overlap)
    assert {known.scan.labels.levels[value] for value in known.scan.cut} == {Level.T12, Level.L3}
    found = segment_ct(known.image, eye=OracleEye(known))
    quality = judged(known, found)
    assert (quality.missed, quality.invented) == ((), ())
    assert all(quality.told.values())
    assert found.labels.partial == {119, 122}
    assert set(found.labels.levels.values()) == {Level.T12, Level.L1, Level.L2, Level.L3}
    assert min(quality.dice[name] for name in ("L1", "L2")) > 0.95
    bodies, _, _ = extract_bodies(found.labels)
    assert [(str(body.level), body.partial) for body in bodies] == [("T12", True), ("L1", False), ("L2", False), ("L3", True)]


def test_a_body_at_the_scans_end_is_cut_whatever_the_network_says_of_it():
    known = known_scan(["T12", "L1", "L2", "L3"], (1.0, 1.3, 1.6), first="T12", last="L3", overlap=0.4)
    eye = OracleEye(known)
    found = segment_ct(known.image, eye=lambda *patch: replace(eye(*patch), complete=0.99))
    assert [row.complete for row in found.vertebrae] == [False, True, True, False]
    assert all(row.complete_probability == 0.99 for row in found.vertebrae)


def test_a_whole_spine_is_traversed_and_wrong_votes_are_outvoted():
    known = known_scan(None, 3.0, seed=12, working_mm=3.0)
    names = [str(vertebra.level) for vertebra in known.scan.patient]
    assert len(names) == 17
    votes = {9: 12.0, 14: 13.2, 20: 19.3, 24: 22.0}
    eye = OracleEye(known, patch=32, votes=votes)
    found = segment_ct(known.image, eye=eye, patch=32, spacing_mm=3.0)
    assert [str(row.level) for row in found.vertebrae] == names
    assert judged(known, found).missed == ()
    assert eye.looks < 200


def test_what_is_in_memory_is_not_found_again(lumbar):
    class Forgetful(OracleEye):
        def __call__(self, image, memory, start):
            return super().__call__(image, np.zeros_like(memory), start)

    found = segment_ct(lumbar.image, eye=Forgetful(lumbar))
    assert [str(row.level) for row in found.vertebrae] == ["T11"]


def test_specks_beside_a_body_and_holes_in_it_are_mended(lumbar, straight):
    class Rough(OracleEye):
        def __call__(self, image, memory, start):
            sight = super().__call__(image, memory, start)
            if sight.probability.any():
                solid = np.argwhere(sight.probability > 0.99)
                sight.probability[tuple(solid[len(solid) // 2])] = 0.0
                sight.probability[2, 2, 2] = 1.0
            return sight

    found = segment_ct(lumbar.image, eye=Rough(lumbar))
    assert np.count_nonzero(found.labels.array != straight.labels.array) <= 0.002 * np.count_nonzero(straight.labels.array)


def test_a_ct_without_a_spine_gives_an_empty_map_that_says_so(lumbar):
    known = type(lumbar)(lumbar.image, lumbar.scan, {}, lumbar.working, 2.0)
    found = segment_ct(lumbar.image, name="belly", eye=OracleEye(known))
    assert found.vertebrae == ()
    assert not found.labels.array.any()
    assert found.labels.levels == {}
    assert "no vertebral body was found in belly" in found.labels.notes[-1]


@pytest.mark.parametrize("kind", [np.int16, np.int32, np.float32, np.float64])
def test_the_kind_of_number_does_not_matter(lumbar, straight, kind):
    found = segment_ct(Image(lumbar.image.array.astype(kind), lumbar.image.grid), eye=OracleEye(lumbar))
    assert np.array_equal(found.labels.array, straight.labels.array)


def test_without_weights_those_that_ship_serve(lumbar):
    found, asked = segment_ct(lumbar.image), segment_ct(lumbar.image, weights=shipped_weights("segmentation"))
    assert len(found.vertebrae) >= 4
    assert np.array_equal(found.labels.array, asked.labels.array)
    assert found.labels.notes == asked.labels.notes
    assert any("look at its bodies and levels" in note for note in found.labels.notes)


def test_a_map_on_another_grid_is_not_judged(lumbar, straight):
    other = known_scan(["L1"], 3.0)
    with pytest.raises(InputError, match="different grids"):
        judge(straight.labels, other.scan.labels)


def test_what_is_seen_dimly_is_no_body(lumbar):
    eye = OracleEye(lumbar)

    def dim(image, memory, start):
        sight = eye(image, memory, start)
        return replace(sight, probability=sight.probability * (0.75 if round(sight.value) == 21 else 1.0))

    found = segment_ct(lumbar.image, eye=dim)
    assert 21.0 not in {row.vote for row in found.vertebrae}
    assert len(found.vertebrae) == len(lumbar.scan.patient) - 1


def test_levels_come_from_all_that_a_scan_shows_and_say_how_sure_they_are():
    known = known_scan(["T11", "T12", "L1", "L2", "L3", "L4", "L5"], (1.0, 1.0, 1.5))
    found = segment_ct(known.image)
    assert all(0.0 < row.level_probability <= 1.0 for row in found.vertebrae)
    assert bool(found.doubt) == (min(row.level_probability for row in found.vertebrae) < 0.9)
    assert (found.doubt in found.labels.notes) == bool(found.doubt)
    assert math.isnan(segment_ct(known.image, eye=OracleEye(known)).vertebrae[0].level_probability)


def test_what_was_named_with_doubt_is_noted_with_what_it_may_be_instead(lumbar, monkeypatch):
    named = Named((Level.L3, Level.L4, Level.L5, None), (0.6, 0.6, 0.6, 0.97), (Level.L2, Level.L3, Level.L4, Level.L5), 0.3)
    monkeypatch.setattr(iterative, "_named", lambda *_: named)
    found = segment_ct(lumbar.image, eye=OracleEye(lumbar))
    assert [str(row.level) for row in found.vertebrae] == ["L3", "L4", "L5"]
    assert found.doubt == "levels are doubtful: L3 to L5 (each with a probability of 0.60 or more), or L2 to L5 (0.30)"
    assert found.doubt in found.labels.notes
    assert "1 below L5 taken for sacrum" in found.labels.notes[0]
    neck = Named((None, Level.T1, Level.T2, Level.T3), (0.99,) * 4, (), 0.0)
    monkeypatch.setattr(iterative, "_named", lambda *_: neck)
    found = segment_ct(lumbar.image, eye=OracleEye(lumbar))
    assert found.doubt == ""
    assert [str(row.level) for row in found.vertebrae] == ["T1", "T2", "T3"]
    assert "1 above T1 taken for neck" in found.labels.notes[0]
    assert "sacrum" not in found.labels.notes[0]


def test_a_network_that_looks_knows_its_own_patches():
    known = known_scan(["L1", "L2", "L3"], (1.0, 1.0, 1.5))
    eye = read_segmenter(shipped_weights("segmentation"))
    found, shipped = segment_ct(known.image, eye=eye, patch=32, spacing_mm=4.0), segment_ct(known.image)
    assert np.array_equal(found.labels.array > 0, shipped.labels.array > 0)
    assert eye.identity in found.labels.notes[0]
