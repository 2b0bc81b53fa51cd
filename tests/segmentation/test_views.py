import numpy as np
import pytest

from shapekit.core.grid import Grid
from shapekit.core.levels import Level
from shapekit.core.values import Image
from shapekit.segmentation import Volume, draw_view, draw_volume
from shapekit.segmentation import views as drawing
from shapekit.segmentation.labelling import candidates
from shapekit.segmentation.traversal import Piece
from shapekit.segmentation.views import VIEW_MM, view_grid, view_of_pieces
from shapekit.segmentation.volume import LEVELS
from shapekit.segmentation.working import scaled


@pytest.fixture(scope="module")
def volume():
    return draw_volume(2, seed=7, spacing_mm=2.0).coarser(2)


@pytest.fixture(scope="module")
def views(volume):
    return [draw_view(volume, generator=np.random.default_rng(n)) for n in range(60)]


def test_joined_voxels_hold_what_their_parts_held():
    fine = draw_volume(2, seed=7, spacing_mm=4.0)
    whole = fine.coarser(2)
    sides = [2 * side for side in whole.hu.shape]
    kept = fine.hu[: sides[0], : sides[1], : sides[2]]
    assert whole.spacing_mm == 8.0
    np.testing.assert_allclose(whole.hu[3, 4, 5], kept[6:8, 8:10, 10:12].mean(), atol=0.51)
    assert set(whole.order) == set(np.unique(fine.labels[: sides[0], : sides[1], : sides[2]])) - {0}


def test_a_view_reaches_beyond_its_bodies_and_is_a_multiple_of_what_networks_fold():
    places = [np.array([[0.0, 5.0, 100.0], [20.0, 25.0, 130.0]]), np.array([[10.0, 15.0, 60.0], [30.0, 35.0, 90.0]])]
    grid = view_grid(places)
    assert grid.shape[2] % 16 == 0
    low, high = grid.to_world((0, 0, 0)), grid.to_world(np.array(grid.shape) - 1)
    np.testing.assert_allclose((low + high)[:2] / 2, [15.0, 20.0])
    assert high[2] == pytest.approx(130.0 + 48.0)
    assert low[2] <= 60.0 - 64.0 + VIEW_MM


SLOPES = np.array([3.0, -2.0, 1.0])


def hu_at(points):
    """Intensities that tell where one looks."""
    return points @ SLOPES + 50.0


def test_views_show_neither_end_of_the_spine_as_often_as_is_said(volume, monkeypatch):
    ends = {LEVELS[volume.order[0]], LEVELS[volume.order[-1]]}
    usual, shares = drawing.INNER_SHARE, []
    for share in (0.0, 1.0):
        monkeypatch.setattr(drawing, "INNER_SHARE", share)
        drawn = [draw_view(volume, generator=np.random.default_rng(n)) for n in range(40)]
        shares.append(np.mean([ends.isdisjoint(view.levels) for view in drawn]))
    by_chance, asked_for = shares
    assert 0.0 < by_chance < 0.25
    assert asked_for == pytest.approx(1 - (1 - by_chance) ** drawing.TRIES, abs=0.1)  # where every try fails all is shown
    assert usual * asked_for + (1 - usual) * by_chance >= 0.25


@pytest.fixture(scope="module")
def found():
    grid = Grid((60, 60, 80), np.array([[2.0, 0, 0, -40.0], [0, 2.0, 0, -70.0], [0, 0, 2.0, -90.0], [0, 0, 0, 1.0]]))
    working = Image(hu_at(grid.points()).astype(np.float32), grid)
    pieces = []
    for start, box in (((10, 12, 40), (slice(4, 20), slice(6, 18), slice(5, 17))), ((10, 12, 20), (slice(4, 20), slice(6, 18), slice(3, 13)))):
        probability = np.zeros((32, 32, 32), np.float32)
        probability[box] = 0.9
        pieces.append(Piece(np.array(start), probability, 1.0, 1.0, 20.0, 0.9))
    return working, pieces, [grid.to_world(np.argwhere(piece.mask) + piece.start) for piece in pieces]


def test_found_bodies_lie_where_they_were_found(found):
    working, pieces, places = found
    view, grid = view_of_pieces(working, pieces), view_grid(places)
    assert view.image.shape == view.bodies.shape == grid.shape
    assert view.count == 2
    for n, points in enumerate(places, start=1):
        where = grid.to_world(np.argwhere(view.bodies == n))
        assert len(where) * VIEW_MM**3 == pytest.approx(len(points) * 8.0, rel=0.25)
        np.testing.assert_allclose(where.mean(axis=0), points.mean(axis=0), atol=1.5)


def test_the_image_lies_where_its_bodies_do_and_ends_with_the_scan(found):
    working, pieces, places = found
    view, grid = view_of_pieces(working, pieces), view_grid(places)
    points = grid.points()
    index = working.grid.to_index(points)
    inside = ((index > 1.0) & (index < np.array(working.grid.shape) - 2.0)).all(axis=-1)
    beyond = ((index < -1.0) | (index > np.array(working.grid.shape))).any(axis=-1)
    assert inside.sum() > 1000 < beyond.sum()
    np.testing.assert_allclose(view.image[inside], scaled(hu_at(points[inside])), atol=0.02)
    assert (view.image[beyond] < -0.99).all()


def test_a_sliver_keeps_a_voxel(found):
    working, pieces, _ = found
    thin = np.zeros((32, 32, 32), np.float32)
    thin[4:20, 6:18, 10] = 0.9
    view = view_of_pieces(working, [pieces[0], Piece(np.array((10, 12, 10)), thin, 1.0, 1.0, 20.0, 0.9)])
    assert np.count_nonzero(view.bodies == 2) >= 1


def test_a_scan_that_ends_above_the_sacrum_has_no_part_of_it(volume):
    whole = volume.order
    cut = int(volume.places[whole[9]][0][:, 2].min()) - 4  # below the tenth body, with some of the next
    part = Volume(*(array[:, :, cut:] for array in (volume.hu, volume.labels, volume.body, volume.bone)), volume.spacing_mm)
    labels = np.where(np.isin(part.labels, whole[10:]), 0, part.labels)
    part = Volume(part.hu, labels, np.where(labels > 0, part.body, 0).astype(np.uint8), part.bone, part.spacing_mm)
    for n in range(150):
        view = draw_view(part, generator=np.random.default_rng(n))
        assert None not in view.levels
        assert view.levels in candidates(view.count)[0]


def test_views_are_the_same_for_their_generator(volume, views):
    again = draw_view(volume, generator=np.random.default_rng(5))
    assert np.array_equal(again.image, views[5].image)
    assert np.array_equal(again.bodies, views[5].bodies)
    assert again.levels == views[5].levels


def test_bodies_of_a_view_are_a_row_that_a_spine_can_have(views):
    for view in views:
        assert view.image.shape == view.bodies.shape
        assert view.image.shape[2] % 16 == 0
        assert -1.0 <= view.image.min() <= view.image.max() <= 1.0
        assert view.levels in candidates(view.count)[0]
        present = np.unique(view.bodies)
        assert len(present) == view.count + 1  # none is lost among the voxels
        heights = [np.argwhere(view.bodies == n)[:, 2].mean() for n in range(1, view.count + 1)]
        assert (np.diff(heights) < 0).all()


def test_bodies_are_brighter_than_what_lies_around_them_in_most_views(views):
    brighter = [view.image[view.bodies > 0].mean() > view.image[view.bodies == 0].mean() for view in views]
    assert np.mean(brighter) > 0.9


def test_views_differ_in_what_they_show(volume, views):
    counts = {view.count for view in views}
    assert max(counts) >= len(volume.order) - 1
    assert min(counts) <= 6
    assert any(None in view.levels for view in views)  # a part of the sacrum, taken for a body
    assert all(Level.L5 in view.levels or Level.L6 in view.levels for view in views if None in view.levels)
    narrow = [np.mean(view.image > -0.95, axis=(1, 2)) for view in views]
    assert any((side < 0.05).sum() >= 8 for side in narrow)
