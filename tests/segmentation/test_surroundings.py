import numpy as np
import pytest

from shapekit.core.grid import Grid
from shapekit.phantom import draw_patient, scan_grid
from shapekit.segmentation import surroundings
from shapekit.segmentation.surroundings import BELOW_MM, surround

SPACING_MM = 3.0
ALL = {"RIBS": 1.0, "SACRUM": 1.0, "WINGS": 1.0, "NECK": 1.0, "ORGANS": 1.0}


@pytest.fixture(scope="module")
def patient():
    return draw_patient(5, fractures="none")


@pytest.fixture(scope="module")
def grid(patient):
    return scan_grid(patient, SPACING_MM, margin_mm=BELOW_MM)


def drawn(patient, grid, monkeypatch, keep=None, seed=3, **there):
    for name, share in {**dict.fromkeys(ALL, 0.0), **there}.items():
        monkeypatch.setattr(surroundings, name, share)
    hu = np.full(grid.shape, 40.0, np.float32)
    surround(hu, patient, grid, np.zeros(grid.shape, bool) if keep is None else keep, np.random.default_rng(seed))
    return hu


def bone_at(hu, grid, point):
    return hu[tuple(np.rint(grid.to_index(point)).astype(int))] > 60.0


def test_nothing_is_drawn_where_nothing_is_asked_for(patient, grid, monkeypatch):
    assert (drawn(patient, grid, monkeypatch) == 40.0).all()


def test_a_sacrum_begins_below_the_last_body_and_reaches_beyond_its_sides(patient, grid, monkeypatch):
    hu = drawn(patient, grid, monkeypatch, SACRUM=1.0)
    last = patient.vertebrae[-1]
    place, normal = last.endplates()[1]
    bone = grid.points()[hu > 60.0]
    along = (bone - place) @ normal
    assert 0.0 < np.percentile(along, 1) < 20.0  # a disc's height
    assert np.percentile(along, 99) > 50.0
    wide = np.abs((bone - place) @ last.placement.axes[:, 0])
    assert wide[along < 35].max() > 1.4 * last.healthy.half_width_mm
    back = (bone - place) @ last.placement.axes[:, 1]
    assert back[along > 40].mean() < back[along < 20].mean() - 5.0  # it leans backward on the way down


def test_a_worn_disc_leaves_the_sacrum_close_below_the_last_body(patient, grid, monkeypatch):
    place, normal = patient.vertebrae[-1].endplates()[1]
    apart = {}
    for worn in (0.0, 1.0):
        monkeypatch.setattr(surroundings, "WORN", worn)
        drawings = [drawn(patient, grid, monkeypatch, seed=seed, SACRUM=1.0) for seed in range(4)]
        apart[worn] = [np.percentile((grid.points()[hu > 60.0] - place) @ normal, 1) for hu in drawings]
    assert max(apart[1.0]) < min(apart[0.0])


def test_wings_stand_on_both_sides(patient, grid, monkeypatch):
    without, with_wings = (drawn(patient, grid, monkeypatch, SACRUM=1.0, WINGS=share) for share in (0.0, 1.0))
    added = grid.points()[with_wings - without > 30.0]
    across = (added - patient.vertebrae[-1].placement.origin) @ patient.vertebrae[-1].placement.axes[:, 0]
    assert (across > 35.0).sum() > 100
    assert (across < -35.0).sum() > 100
    assert (np.abs(across) < 20.0).mean() < 0.05


def test_a_neck_stands_above_the_first_body_and_is_narrower(patient, grid, monkeypatch):
    hu = drawn(patient, grid, monkeypatch, NECK=1.0)
    place, normal = patient.vertebrae[0].endplates()[0]
    bone = grid.points()[hu > 60.0]
    along = (bone - place) @ normal
    assert (along > -12.0).all()  # processes hang down
    assert np.percentile(along, 99) > 40.0


def test_every_thoracic_vertebra_has_ribs_and_no_lumbar_one(patient, grid, monkeypatch):
    hu = drawn(patient, grid, monkeypatch, RIBS=1.0)
    for vertebra in patient:
        wide, deep = vertebra.healthy.half_width_mm, vertebra.healthy.half_depth_mm
        near = [bone_at(hu, grid, vertebra.placement.to_world([sign * (wide + 14.0), -deep - 8.5, 3.0])) for sign in (-1, 1)]
        if str(vertebra.level).startswith("L") and str(vertebra.level) != "L1":
            assert not any(near)
        elif str(vertebra.level).startswith("T"):
            assert any(near)


def test_vertebrae_stay_as_they_are_and_a_seed_gives_the_same(patient, grid, monkeypatch):
    keep = np.zeros(grid.shape, bool)
    keep[:, :, ::2] = True
    hu = drawn(patient, grid, monkeypatch, keep, **ALL)
    assert (hu[keep] == 40.0).all()
    assert (hu[~keep] > 60.0).sum() > 1000
    assert np.array_equal(hu, drawn(patient, grid, monkeypatch, keep, **ALL))


def test_thick_slices_show_the_same_bones(patient, grid, monkeypatch):
    thin = drawn(patient, grid, monkeypatch, RIBS=1.0, SACRUM=1.0, NECK=1.0)
    i, j, k = grid.shape
    affine = grid.affine.copy()
    affine[:3, 2] *= 2
    affine[:3, 3] += grid.affine[:3, 2] / 2
    thick = drawn(patient, Grid((i, j, k // 2), affine), monkeypatch, RIBS=1.0, SACRUM=1.0, NECK=1.0)
    averaged = thin[:, :, : k // 2 * 2].reshape(i, j, k // 2, 2).mean(axis=3)
    assert np.count_nonzero(thick > 100) * 2 == pytest.approx(np.count_nonzero(thin > 100), rel=0.1)
    assert np.corrcoef(averaged.ravel(), thick.ravel())[0, 1] > 0.9
