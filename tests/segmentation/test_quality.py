import numpy as np
import pytest

from shapekit.core.grid import Grid
from shapekit.core.levels import Level
from shapekit.core.values import LabelMap
from shapekit.segmentation import judge

GRID = Grid((30, 34, 60), np.diag([1.0, 1.5, 0.8, 1.0]))


def blocks(where, *, shift=0, partial=()):
    array = np.zeros(GRID.shape, np.uint8)
    for value, start in where.items():
        array[5 + shift : 25 + shift, 6:26, start : start + 15] = value
    names = {value: list(Level)[value % 100 - 1] if value % 100 < 8 else Level(f"L{value % 100 - 19}") for value in where}
    return LabelMap(array, GRID, names, partial=frozenset(partial))


def test_dice_and_surface_of_displaced_blocks_are_those_of_arithmetic():
    quality = judge(blocks({20: 40, 21: 10}, shift=2), blocks({20: 40, 21: 10}))
    assert quality.dice == {"L1": pytest.approx(0.9), "L2": pytest.approx(0.9)}
    assert 0.3 < quality.surface_mm["L1"] < 1.0  # two of six sides moved by 2 mm, the others along themselves


def test_missed_invented_misnamed_and_mistold_are_told_apart():
    quality = judge(blocks({21: 40, 123: 2}, partial=[123]), blocks({20: 40, 21: 20}, partial=[20]))
    assert quality.missed == ("L2",)
    assert quality.invented == ("L4",)
    assert quality.taken_for == {"L1": "L2"}
    assert quality.named == {"L1": False}
    assert quality.told == {"L1": False}
    assert quality.cut == ("L1",)


def test_a_sliver_at_the_scans_end_is_neither_missed_nor_invented():
    truth = blocks({20: 40, 21: 20})
    truth.array[:, :, :1] = np.where(truth.array[:, :, 22:23] > 0, 22, 0)  # 480 mm³ of an L3
    truth = LabelMap(truth.array, GRID, {**truth.levels, 22: Level.L3}, partial=frozenset({22}))
    quality = judge(blocks({20: 40, 21: 20}), truth)
    assert (quality.missed, quality.invented, set(quality.told)) == ((), (), {"L1", "L2"})
    found = LabelMap(np.where(truth.array == 22, 122, truth.array), GRID, {20: Level.L1, 21: Level.L2, 122: Level.L3}, partial=frozenset({122}))
    quality = judge(found, truth)
    assert (quality.missed, quality.invented, set(quality.dice)) == ((), (), {"L1", "L2"})
