import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from shapekit.core.grid import Grid
from shapekit.core.levels import Level
from shapekit.phantom import acquire, draw_look, draw_patient, random_rotation, scan_grid, simulate_ct

SPACING_MM = (0.7, 1.3, 2.9)


@pytest.fixture(scope="module")
def patient():
    return draw_patient(5, levels=["T11", "T12", "L1", "L2"], sex="F", fractures={"L1": ("wedge", 0.35)})


@pytest.fixture(scope="module")
def look(patient):
    return draw_look(patient, generator=np.random.default_rng(1))


@pytest.fixture(scope="module")
def image(patient, look):
    return simulate_ct(patient, scan_grid(patient, 1.0), look, generator=np.random.default_rng(2))


def plain(look, **changes):
    """Soft tissue without fat, bone without texture, a scanner without noise."""
    return replace(look, **({"muscle_hu": -100.0, "texture_hu": 0.0, "compaction_hu": 0.0, "noise_hu": 0.0, "blur_mm": 0.0} | changes))


def one_bone(patient, look):
    """Bone is 1000 HU throughout, all else is 0 but for fat, which muscle equals: a voxel shows how much of it is bone."""
    tissue = {"muscle_hu": -100.0, "disc_hu": -100.0, "canal_hu": -100.0}
    return plain(look, cortical_hu=900.0, trabecular_hu=dict.fromkeys(patient.levels, 900.0), **tissue)


def at(image, vertebra, local):
    """HU at a point of a vertebra's own axes."""
    index = np.rint(image.grid.to_index(vertebra.placement.to_world(local))).astype(int)
    return float(np.median(image.array[tuple(slice(n - 1, n + 2) for n in index)]))


def test_spongy_bone_has_the_density_that_was_drawn(patient, look, image):
    points = image.grid.points()
    for vertebra in patient:
        core = vertebra.actual.level_set(vertebra.placement.to_local(points)) < -6.0
        assert core.sum() > 400
        drawn = look.trabecular_hu[vertebra.level]
        if vertebra.kind:
            assert image.array[core].mean() > drawn - 4.0
        else:
            assert image.array[core].mean() == pytest.approx(drawn, abs=4.0)


def test_discs_canal_and_muscle_are_what_they_were_drawn_as(patient, look):
    image = simulate_ct(patient, scan_grid(patient, 1.0), replace(look, noise_hu=0.0, blur_mm=0.0), generator=np.random.default_rng(2))
    for upper, lower in zip(patient.vertebrae, patient.vertebrae[1:], strict=False):
        foot, seat = upper.mesh().vertices[-1], lower.mesh().vertices[-2]  # the middles of the endplates
        middle = np.rint(image.grid.to_index((foot + seat) / 2)).astype(int)
        assert image.array[tuple(middle)] == pytest.approx(look.disc_hu, abs=1.0)
    for vertebra in patient:
        behind = -float(vertebra.healthy.wall_radius(-np.pi / 2, 0.3)) - vertebra.arch.canal_depth_mm / 2
        assert at(image, vertebra, [0.0, behind, 0.0]) == pytest.approx(look.canal_hu, abs=1.0)
    assert np.mean(np.abs(image.array - look.muscle_hu) < 1.0) > 0.3


def test_the_cortex_is_brighter_than_what_it_encloses(patient, look, image):
    points = image.grid.points()
    for vertebra in patient:
        distance = vertebra.signed_distance(points, limit_mm=8.0)
        shell, core = np.abs(distance + 0.5) < 0.5, np.abs(distance + 5.0) < 1.0
        assert image.array[shell].mean() > image.array[core].mean() + 100.0


def test_a_voxel_shows_its_share_of_bone_on_oblique_uneven_voxels(patient, look):
    rotation = random_rotation(25.0, generator=np.random.default_rng(3))
    grid = scan_grid(patient, SPACING_MM, rotation=rotation, first="L1", last="L2")
    affine = grid.affine.copy()
    affine[:3, :3] /= 4
    affine[:3, 3] -= 1.5 * affine[:3, :3].sum(axis=1)
    fine = acquire(
        patient, Grid(tuple(4 * side for side in grid.shape), affine), generator=np.random.default_rng(0), noise_mm=0.0, defects=0.0
    ).labels.array
    counted = (fine > 0).reshape(*(n for side in grid.shape for n in (side, 4))).mean(axis=(1, 3, 5))
    image = simulate_ct(patient, grid, one_bone(patient, look), generator=np.random.default_rng(0))
    share = (image.array + 100.0) / 1000.0
    edge = (counted > 0) & (counted < 1)
    assert np.abs(share - counted)[edge].mean() < 0.04
    assert share.sum() == pytest.approx(counted.sum(), rel=0.003)


def test_half_way_to_cortical_bone_lies_the_masks_surface(patient, look):
    grid = scan_grid(patient, 0.8)
    mask = acquire(patient, grid, generator=np.random.default_rng(0), noise_mm=0.0, defects=0.0).labels.array > 0
    look = replace(look, noise_hu=0.0, blur_mm=0.5, wall_mm=1.2, endplate_mm=1.2, arch_mm=1.2)
    image = simulate_ct(patient, grid, look, generator=np.random.default_rng(0))
    shell = image.array > 0.5 * (look.cortical_hu + look.muscle_hu)
    filled = ndimage.binary_fill_holes(shell)  # marrow is enclosed, the canal is open
    assert 2 * (filled & mask).sum() / (filled.sum() + mask.sum()) > 0.99


@pytest.mark.parametrize("axis", [0, 2])
def test_a_thick_slice_is_the_mean_of_thin_ones(patient, look, axis):
    thin = scan_grid(patient, 1.0)
    shape, affine = np.array(thin.shape), thin.affine.copy()
    shape[axis] = shape[axis] // 3 * 3
    affine[:3, 3] += affine[:3, axis]
    affine[:3, axis] *= 3
    fine = simulate_ct(patient, thin.crop((0, 0, 0), tuple(shape)), plain(look), generator=np.random.default_rng(0)).array
    shape[axis] //= 3
    thick = simulate_ct(patient, Grid(tuple(shape), affine), plain(look), generator=np.random.default_rng(0)).array
    parts = np.moveaxis(fine, axis, 0).reshape(shape[axis], 3, *np.delete(shape, axis)).mean(axis=1)
    assert np.abs(thick - np.moveaxis(parts, 0, axis)).max() <= 1.0


def test_the_noise_has_the_stated_sd_and_its_neighbours_correlate(patient, look):
    grid = scan_grid(patient, SPACING_MM)
    quiet, loud = (simulate_ct(patient, grid, replace(look, noise_hu=sd), generator=np.random.default_rng(7)).array for sd in (0.0, 27.0))
    noise = (loud - quiet).astype(float)
    assert noise.std() == pytest.approx(27.0, rel=0.02)
    assert noise.mean() == pytest.approx(0.0, abs=0.5)
    for axis in range(3):
        near, far = (np.mean(noise * np.roll(noise, step, axis)) / noise.var() for step in (1, 3))
        assert near == pytest.approx(2 / 3, abs=0.02)
        assert far == pytest.approx(0.0, abs=0.02)


def test_the_point_spread_keeps_the_sum_and_stays_within_the_slice(patient, look):
    grid = scan_grid(patient, SPACING_MM)
    sharp, soft = (simulate_ct(patient, grid, plain(look, blur_mm=sd), generator=np.random.default_rng(7)).array for sd in (0.0, 0.9))
    assert soft.std() < sharp.std()
    inner = (slice(8, -8), slice(8, -8))
    assert np.abs((soft - sharp.astype(float))[inner].mean(axis=(0, 1))).max() < 0.5


def test_outside_the_skin_is_air_and_beside_the_thoracic_spine_is_lung():
    patient = draw_patient(3, fractures="none")
    look = replace(draw_look(patient, generator=np.random.default_rng(0)), noise_hu=0.0)
    for level, beside in (("T7", -850.0), ("L3", 0.0)):
        affine = np.diag([4.0, 5.0, 1.0, 1.0])
        affine[:3, 3] = patient[level].placement.to_world(np.zeros(3)) - [220.0, 150.0, 1.0]
        image = simulate_ct(patient, Grid((111, 91, 3), affine), look, generator=np.random.default_rng(0))
        assert (image.array[0] == -1000).all()
        assert (image.array[:, -1] == -1000).all()
        for side in (-80.0, 80.0):
            i, j, k = np.rint(image.grid.to_index(patient[level].placement.origin + np.array([side, 45.0, 0.0]))).astype(int)
            assert image.array[i, j, k] == pytest.approx(beside, abs=101.0)
        points = image.grid.points()
        bone = np.min([np.nan_to_num(v.signed_distance(points, limit_mm=8.0), nan=9.0) for v in patient], axis=0)
        assert image.array[bone < 6.0].min() > -200.0  # no body touches a lung


def test_bone_under_a_broken_endplate_is_denser(patient, look):
    quiet = replace(look, texture_hu=0.0, noise_hu=0.0)
    grid = scan_grid(patient, 1.0)
    with_band, without = (
        simulate_ct(patient, grid, replace(quiet, compaction_hu=hu), generator=np.random.default_rng(7)).array for hu in (100.0, 0.0)
    )
    changed = with_band - without
    points = grid.points()
    for vertebra in patient:
        body = vertebra.signed_distance(points, limit_mm=9.0) < -1.5
        assert changed[body].max() == (pytest.approx(70.0, abs=30.0) if vertebra.kind else 0)


def test_who_has_fractures_has_less_bone(patient):
    healthy = draw_patient(5, levels=patient.levels, sex="F", fractures="none")
    broken, whole = ([draw_look(p, generator=np.random.default_rng(seed)).trabecular_hu[Level.L1] for seed in range(60)] for p in (patient, healthy))
    assert np.mean(broken) == pytest.approx(90.0, abs=12.0)
    assert np.mean(whole) == pytest.approx(150.0, abs=15.0)
    assert max(broken) > min(whole)


def test_a_field_of_view_that_misses_vertebrae_shows_the_rest(patient, look):
    grid = scan_grid(patient, 1.0, first="L2", last="L2", overlap=0.2)
    even = replace(look, texture_hu=0.0)
    image, whole = (simulate_ct(patient, g, even, generator=np.random.default_rng(0)) for g in (grid, scan_grid(patient, 1.0)))
    middle = patient["L2"].frame().origin
    spots = middle + np.random.default_rng(1).uniform(-7.0, 7.0, (300, 3))
    values = [np.mean(i.array[tuple(np.rint(i.grid.to_index(spots)).astype(int).T)]) for i in (image, whole)]
    assert values[0] == pytest.approx(values[1], abs=6.0)


def test_the_same_stream_gives_the_same_image(patient, look, image):
    again = simulate_ct(patient, image.grid, look, generator=np.random.default_rng(2))
    other = simulate_ct(patient, image.grid, look, generator=np.random.default_rng(3))
    assert np.array_equal(again.array, image.array)
    assert not np.array_equal(other.array, image.array)
    assert image.array.dtype == np.int16


def test_what_was_drawn_can_be_written_down(look):
    assert json.loads(json.dumps(look.truth()))["trabecular_hu"]["L1"] == look.trabecular_hu[Level.L1]
