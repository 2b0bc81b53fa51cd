from dataclasses import replace

import numpy as np
import pytest

from shapekit.core.checks import InputError
from shapekit.core.grid import Grid
from shapekit.core.levels import Level
from shapekit.core.values import Body, Image, Sdf
from shapekit.phantom import acquire, draw_look, draw_patient, random_rotation, scan_grid, simulate_ct
from shapekit.segmentation import draw_looks, volume_of_scan
from shapekit.segmentation.labelling import EXTRA_VALUE, VALUES
from shapekit.segmentation.scans import longest_row

LEVELS = ["T11", "T12", "L1", "L2"]
SPACING_MM = 2.5


def scanned(levels=LEVELS, spacing_mm=(1.2, 1.5, 2.0), *, seed=3, **field_of_view):
    """A phantom's CT and its mask of whole vertebrae, as a user has them."""
    patient = draw_patient(seed, levels=levels, fractures="none")
    grid = scan_grid(patient, spacing_mm, **field_of_view)
    scan = acquire(patient, grid, generator=np.random.default_rng(0), noise_mm=0.0, defects=0.0)
    generator = np.random.default_rng(1)
    ct = simulate_ct(patient, grid, draw_look(patient, generator=generator), generator=generator)
    return patient, ct, replace(scan.labels, body_mask=None, body_source=""), scan


@pytest.fixture(scope="module")
def lumbar():
    turn = random_rotation(15.0, generator=np.random.default_rng(4))
    return scanned(rotation=turn, margin_mm=14.0)


@pytest.fixture(scope="module")
def volume(lumbar):
    _, ct, spine, _ = lumbar
    return volume_of_scan(ct, spine, spacing_mm=SPACING_MM)


def mm3(volume, label):
    return volume.body[volume.labels == label].sum(dtype=np.int64) / 255 * volume.spacing_mm**3


def test_a_scan_becomes_what_a_phantom_is(lumbar, volume):
    patient, *_ = lumbar
    assert volume.order == tuple(VALUES[Level(name)] for name in LEVELS)
    assert volume.partial == frozenset()
    assert [array.dtype for array in (volume.hu, volume.labels, volume.body, volume.bone)] == [np.int16, np.uint8, np.uint8, np.uint8]
    for vertebra in patient:
        assert mm3(volume, vertebra.label) == pytest.approx(vertebra.actual.surface.volume_mm3, rel=0.08)  # where the arch is cut is a convention
    assert ((volume.labels > 0) == (volume.body > 0)).all()
    assert (volume.body <= volume.bone).all()
    assert volume.bone.sum(dtype=np.int64) > 1.3 * volume.body.sum(dtype=np.int64)


def test_intensities_lie_where_the_bodies_lie(volume):
    inside, beside = volume.hu[volume.body == 255].mean(), volume.hu[(volume.bone == 0) & (volume.hu > -500)].mean()
    assert inside > beside + 80
    assert (volume.hu == -1024).any()  # an oblique scan in an upright box


def test_patches_can_be_drawn_of_it(volume):
    samples = [sample for n in range(30) for sample in draw_looks(volume, 32, generator=np.random.default_rng(n))]
    shown = [sample for sample in samples if (sample.target > 0.5).any()]
    assert len(shown) > 12
    assert {sample.value for sample in shown} <= {18.0, 19.0, 20.0, 21.0}
    bright = [sample.image[sample.target > 0.9].mean() > sample.image[sample.target == 0].mean() for sample in shown if (sample.target > 0.9).any()]
    assert np.mean(bright) > 0.9


def test_a_body_that_the_scan_cuts_is_never_told_to_be_whole():
    _, ct, spine, scan = scanned(["T12", "L1", "L2"], first="T12", last="L2", overlap=0.4)
    assert scan.cut == {19, 21}
    volume = volume_of_scan(ct, spine, spacing_mm=SPACING_MM)
    assert volume.partial == {19, 21}
    seen = {0.0: set(), 1.0: set()}
    for n in range(60):
        for sample in draw_looks(volume, 32, generator=np.random.default_rng(n)):
            seen[sample.complete].add(sample.value)
    assert seen[1.0] == {20.0}
    assert {19.0, 21.0} <= seen[0.0]


VALUES_LEVEL = {value: level for level, value in VALUES.items()}


def test_the_longest_row_without_a_gap_is_kept_and_the_scan_ends_at_it(lumbar):
    patient, ct, spine, _ = lumbar
    values = {vertebra.label for vertebra in patient} - {19}
    gone = replace(spine, array=np.where(spine.array == 19, 0, spine.array).astype(np.uint8), levels={value: VALUES_LEVEL[value] for value in values})
    volume = volume_of_scan(ct, gone, spacing_mm=SPACING_MM)
    assert volume.order == (20, 21)
    top = np.flatnonzero((volume.labels == 20).any(axis=(0, 1)))[-1]
    assert volume.labels.shape[2] - 1 - top <= 2  # T12, which nobody labelled, is not shown


def test_a_thirteenth_thoracic_and_a_sixth_lumbar_keep_their_names():
    _, ct, spine, _ = scanned(["T12", "T13", "L1"])
    volume = volume_of_scan(ct, spine, spacing_mm=SPACING_MM)
    assert volume.order == (19, 28, 20)
    votes = {sample.value for n in range(40) for sample in draw_looks(volume, 32, generator=np.random.default_rng(n))}
    assert EXTRA_VALUE in votes
    _, ct, spine, _ = scanned(["L5", "L6"])
    assert volume_of_scan(ct, spine, spacing_mm=SPACING_MM).order == (24, 25)


def test_a_neck_is_no_target_but_bone(lumbar):
    _, ct, spine, _ = lumbar
    as_neck = replace(spine, levels={18: Level.C7, 19: Level.T1, 20: Level.T2, 21: Level.T3})
    volume = volume_of_scan(ct, as_neck, spacing_mm=SPACING_MM)
    assert volume.order == (8, 9, 10)
    top = int(np.flatnonzero((volume.labels == 8).any(axis=(0, 1)))[-1])
    assert (volume.bone[:, :, top + 3 :] == 255).any()  # above T1 the scan goes on


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda ct, spine: (Image(np.abs(ct.array), ct.grid), spine), "the CT of phantom holds values from .* none of them negative"),
        (lambda ct, spine: (ct, replace(spine, levels={18: Level.C3, 19: Level.C4})), "cervical vertebrae only"),
        (lambda ct, spine: (Image(ct.array, moved(ct.grid, 60.0)), spine), "does not lie in the CT beside it"),
        (lambda ct, spine: (Image(ct.array, moved(ct.grid, 900.0)), spine), "does not lie in the CT beside it"),
        (lambda ct, spine: (ct, replace(spine, array=np.zeros_like(spine.array))), "holds no vertebra"),
    ],
    ids=["no CT", "a neck", "aside", "elsewhere", "empty"],
)
def test_what_cannot_be_learnt_from_is_refused_with_a_reason(lumbar, change, said):
    _, ct, spine, _ = lumbar
    with pytest.raises(InputError, match=said):
        volume_of_scan(*change(ct, spine), spacing_mm=SPACING_MM)


def moved(grid, aside_mm):
    affine = grid.affine.copy()
    affine[0, 3] += aside_mm
    return Grid(grid.shape, affine)


def body(name, source="split"):
    sdf = Sdf(np.full((2, 2, 2), -1.0, np.float32), Grid((2, 2, 2), np.eye(4)))
    return Body(Level(name), 1, sdf, np.zeros(3), 8.0, source=source)


@pytest.mark.parametrize(
    ("found", "missing", "kept"),
    [
        ("T11 T12 L1 L2", "", "T11 T12 L1 L2"),
        ("T12 T13 L1", "", "T12 T13 L1"),
        ("T12 L1", "T13", "T12"),
        ("T9 T10 L1 L2 L3", "", "L1 L2 L3"),
        ("T9 T10 T11 L1 L2", "T12", "T9 T10 T11"),
        ("T11 T12 L1 L2", "T10 L3", "T11 T12 L1 L2"),
        ("L4 L5 L6", "", "L4 L5 L6"),
        ("", "L1", ""),
    ],
)
def test_rows_end_where_a_vertebra_is_missing(found, missing, kept):
    row = longest_row([body(name) for name in found.split()], [Level(name) for name in missing.split()])
    assert " ".join(str(one.level) for one in row) == kept


def test_a_vertebra_taken_whole_beside_cut_ones_ends_a_row_too():
    row = longest_row([body("T12", "labels"), body("L1"), body("L2")])
    assert [str(one.level) for one in row] == ["L1", "L2"]
    assert len(longest_row([body(name, "labels") for name in ("T12", "L1", "L2")])) == 3
