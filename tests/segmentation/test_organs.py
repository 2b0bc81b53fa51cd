from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import norm

from shapekit.core.levels import Level
from shapekit.phantom import draw_patient, scan_grid
from shapekit.segmentation import organs
from shapekit.segmentation.organs import AIR_HU, FORK, put_organs

SPACING_MM = 3.0
MUSCLE_HU = 50.0


def drawn(patient, seed=3, margin_mm=60.0, keep=None):
    grid = scan_grid(patient, SPACING_MM, margin_mm=margin_mm)
    hu = np.full(grid.shape, MUSCLE_HU, np.float32)
    put_organs(hu, patient, grid, np.zeros(grid.shape, bool) if keep is None else keep(grid), np.random.default_rng(seed))
    return hu, grid


@pytest.fixture
def still(monkeypatch):
    """Organs at their usual levels."""
    monkeypatch.setattr(organs, "LEVEL_SD", 0.0)
    monkeypatch.setattr(organs, "BREATH_SD", 0.0)


@pytest.fixture(scope="module")
def patient():
    return draw_patient(5, fractures="none")


def before(patient, level, hu, grid):
    """HU before a body at its middle height, by distance to the right of its middle, -28 ... 28 mm, and from its anterior wall, 4 ... 40 mm."""
    vertebra = next(vertebra for vertebra in patient if vertebra.level is level)
    side, front = np.arange(-28.0, 29.0, 2.0), vertebra.healthy.half_depth_mm + np.arange(4.0, 40.0, 1.0)
    places = np.stack(np.broadcast_arrays(side[:, None], front, 0.0), axis=-1)
    index = np.rint(grid.to_index(vertebra.placement.to_world(places.reshape(-1, 3)))).astype(int)
    return hu[tuple(index.T)].reshape(places.shape[:2])


def test_the_trachea_goes_down_to_where_it_divides_below_the_fifth_thoracic_body(still, patient):
    hu, grid = drawn(patient)
    air = {level: (before(patient, level, hu, grid)[8:21] < -950.0).mean() for level in (Level.T1, Level.T3, Level.T5, Level.T7, Level.L2)}
    assert min(air[Level.T1], air[Level.T3], air[Level.T5]) > 0.1
    assert max(air[Level.T7], air[Level.L2]) == 0.0


def test_the_aorta_arches_at_the_fourth_thoracic_body_and_divides_at_the_fourth_lumbar_one(still, patient):
    hu, grid = next((hu, grid) for hu, grid in (drawn(patient, seed) for seed in range(20)) if before(patient, Level.L1, hu, grid).max() > 100.0)
    blood = {vertebra.level: before(patient, vertebra.level, hu, grid) > 100.0 for vertebra in patient}
    assert not any(blood[level].any() for level in (Level.T1, Level.T2, Level.T3))
    assert blood[Level.T4].mean() > 2 * blood[Level.T6].mean() > 0.1  # the arch, and what goes down from it
    centre = {level: float(np.average(np.arange(-28.0, 29.0, 2.0), weights=blood[level].sum(axis=1))) for level in (Level.T6, Level.T8)}
    assert max(centre.values()) < -10.0  # on the left
    middle = {level: blood[level][12:17, :14].mean() for level in (Level.L2, Level.L3, Level.L5)}
    assert min(middle[Level.L2], middle[Level.L3]) > 2 * middle[Level.L5]


def test_the_aorta_divides_at_the_fourth_lumbar_body_as_often_as_published():
    """67 % (Chithriki et al. 2002), 71 % (Tokgoz et al. 2014), 83 % (Lee et al. 2004)."""
    within = norm.cdf((15.5 - FORK) / organs.LEVEL_SD) - norm.cdf((14.5 - FORK) / organs.LEVEL_SD)
    assert 0.67 <= within <= 0.83


def test_a_spine_with_one_vertebra_less_keeps_organs_at_the_same_share_of_its_length():
    usual = draw_patient(5, fractures="none")
    lone = tuple(vertebra for vertebra in usual.vertebrae if vertebra.level is not Level.T12)
    column, short = organs._Column(usual), organs._Column(replace(usual, vertebrae=lone))
    np.testing.assert_allclose(column.before(16.0, 0.0, 0.0), short.before(16.0, 0.0, 0.0), atol=1e-9)
    at = [np.linalg.norm(short.before(FORK, 0.0, 0.0) - v.placement.to_world([0.0, v.healthy.half_depth_mm, 0.0])) for v in lone]
    assert lone[int(np.argmin(at))].level is Level.L4


def test_what_is_kept_stays_and_so_do_bodies_discs_and_canal(patient):
    for seed in range(6):
        hu, grid = drawn(patient, seed)
        assert (hu != MUSCLE_HU).mean() > 0.1
        assert hu.min() == pytest.approx(AIR_HU)
        assert hu.max() <= 400.0
        middles = np.array([vertebra.placement.origin for vertebra in patient])
        along = np.concatenate([np.linspace(a, b, 12) for a, b in pairwise(middles)])
        canal = np.array([vertebra.placement.to_world([0.0, -vertebra.healthy.half_depth_mm - 8.0, 0.0]) for vertebra in patient])
        assert (hu[tuple(np.rint(grid.to_index(np.vstack([along, canal]))).astype(int).T)] == MUSCLE_HU).all()
    hu, _ = drawn(patient, keep=lambda grid: np.ones(grid.shape, bool))
    assert (hu == MUSCLE_HU).all()
