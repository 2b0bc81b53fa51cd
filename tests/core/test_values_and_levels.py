import numpy as np
import pytest

import shapekit as sk
from shapekit.core.checks import check_array, check_choice
from shapekit.core.labels import summarise_labels
from shapekit.core.levels import Level, typical_gap
from shapekit.core.values import Image, LabelMap, Mesh, Sdf
from tests.factories import oblique_grid


def test_levels_run_from_the_head_downward_with_t13_and_l6_in_their_places():
    assert sorted([Level.L1, Level.T13, Level.C7, Level.L6, Level.T12, Level.T1]) == [
        Level.C7,
        Level.T1,
        Level.T12,
        Level.T13,
        Level.L1,
        Level.L6,
    ]
    assert len(Level) == 26
    assert [str(Level.T4), Level("L2").region, Level.C1.is_cervical, Level.T1.is_cervical] == ["T4", "L", True, False]


def test_the_gap_between_levels_counts_t13_and_l6_only_where_they_are_named():
    assert typical_gap(Level.T12, Level.L1) == 1
    assert typical_gap(Level.T13, Level.L1) == 1
    assert typical_gap(Level.C7, Level.T2) == 2
    assert typical_gap(Level.L5, Level.L3) == -2
    assert typical_gap(Level.L5, Level.L6) == 1
    assert typical_gap(Level.L5, Level.L5) == 0


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("order", ["C", "F"])
def test_summaries_agree_with_a_look_at_every_label(dtype, order):
    grid = oblique_grid()
    generator = np.random.default_rng(3)
    array = np.asarray(generator.choice([0, 0, 0, 0, 7, 19, 200], grid.shape), dtype=dtype, order=order)
    array[:5] = 0
    found = summarise_labels(array, grid)
    assert list(found) == [7, 19, 200]
    for value, summary in found.items():
        index = np.argwhere(array == value)
        assert summary.count == len(index)
        assert summary.centroid_mm == pytest.approx(grid.to_world(index).mean(axis=0))
        assert (summary.start == index.min(axis=0)).all()
        assert (summary.stop == index.max(axis=0) + 1).all()
        assert summary.volume_mm3 == pytest.approx(len(index) * grid.voxel_mm3)


def test_an_empty_map_has_no_summaries():
    grid = oblique_grid()
    assert summarise_labels(np.zeros(grid.shape, np.uint8), grid) == {}


def test_values_refuse_what_does_not_fit_their_grid():
    grid = oblique_grid()
    good = np.zeros(grid.shape, np.uint8)
    for wrong, word in (
        (lambda: LabelMap(good[1:], grid, {}), "array has shape"),
        (lambda: LabelMap(good.astype(np.int16), grid, {}), "unsigned"),
        (lambda: LabelMap(good, grid, {1: Level.L1, 2: Level.L1}), "same level"),
        (lambda: LabelMap(good, grid, {}, body_mask=good[1:] > 0), "body_mask"),
        (lambda: Sdf(good[1:].astype(np.float32), grid), "values has shape"),
        (lambda: Image(good[1:], grid), "array has shape"),
        (lambda: Mesh(np.zeros((2, 2)), np.zeros((1, 3), int)), "vertices"),
        (lambda: Mesh(np.full((3, 3), np.nan), np.zeros((1, 3), int)), "vertices"),
        (lambda: Mesh(np.zeros((3, 3)), np.array([[0, 1, 3]])), "faces name vertex 3"),
    ):
        with pytest.raises(sk.InputError, match=word) as complaint:
            wrong()
        assert str(complaint.value).endswith(".")
        assert "\n" not in str(complaint.value)


def test_an_sdf_beyond_its_grid_adds_the_way_back():
    grid = oblique_grid((6, 7, 8), (1.0, 1.5, 2.0))
    sdf = Sdf(np.full(grid.shape, 3.0, np.float32), grid)
    assert sdf.sample(grid.to_world([[2.0, 3.0, 9.0], [2.0, 3.0, 4.0]])) == pytest.approx([3 + 2 * 2.0, 3.0], abs=1e-4)


def test_choices_and_shapes_are_complained_about_by_name():
    assert check_choice("preset", "a", ("a", "b")) == "a"
    with pytest.raises(sk.UsageError, match="preset is 'c', but must be one of: a, b"):
        check_choice("preset", "c", ("a", "b"))
    with pytest.raises(sk.InputError, match="thing has 2 axes"):
        check_array("thing", np.zeros((2, 3)), ndim=3)


def test_every_exception_is_also_the_built_in_kind_that_users_expect():
    assert issubclass(sk.InputError, ValueError)
    assert issubclass(sk.SchemeError, sk.InputError)
    assert issubclass(sk.UsageError, ValueError)
    assert issubclass(sk.OutputError, OSError)
    assert issubclass(sk.MissingPackageError, ImportError)
    for kind in (sk.InputError, sk.UsageError, sk.OutputError, sk.MissingPackageError):
        assert issubclass(kind, sk.ShapekitError)
