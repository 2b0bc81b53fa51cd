import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from shapekit.spine.canal import find_canal
from tests.factories import OBLIQUE, oblique_grid, whole_vertebra

GRIDS = {(0.7, 1.3, 2.9): (130, 96, 44), (2.9, 0.7, 1.3): (32, 180, 80), (1.0, 1.0, 1.0): (90, 124, 100)}
TURNS = [(0.0, 0.0, 0.0), (0.2, -0.15, 0.1), (0.13, 0.24, -0.21), (-0.2, 0.1, 0.24)]


def vertebra(spacing_mm, turn=(0.0, 0.0, 0.0), *, arch=True):
    """On the usual oblique grid, made large enough for a whole vertebra: mask, mask of the body, grid, its centre and axes."""
    grid = oblique_grid(GRIDS[spacing_mm], spacing_mm)
    axes = OBLIQUE @ Rotation.from_rotvec(turn).as_matrix()
    centre = grid.to_world((np.array(grid.shape) - 1) / 2) + axes @ [0.4, 18.0, -0.7]
    return *whole_vertebra(grid, centre, axes, arch=arch), grid, centre, axes


def angle_deg(one, other):
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(one, other)), one @ other))


@pytest.mark.parametrize("off_mm", [(0.0, 0.0, 0.0), (3.0, -2.0, 1.0)], ids=["from the middle", "from beside it"])
@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("spacing_mm", GRIDS)
def test_what_lies_in_front_of_the_canal_is_the_body(spacing_mm, turn, off_mm):
    mask, body, grid, centre, axes = vertebra(spacing_mm, turn)
    canal = find_canal(mask, grid, centre + axes @ off_mm, axes[:, 2])
    cut = canal.in_front(mask, grid)
    assert not (cut & ~mask).any()
    assert cut.sum() == pytest.approx(body.sum(), rel=0.03)
    assert (cut & body).sum() > 0.985 * body.sum()
    anterior = canal.anterior - axes[:, 2] * (canal.anterior @ axes[:, 2])
    # half a voxel of 2.9 mm from side to side turns the 21 mm from canal to body by 3.9 degrees
    assert angle_deg(anterior, axes[:, 1]) < (3 if spacing_mm[0] < 2 else 4)
    # the body begins 14 mm behind its centre, the lamina 29 mm: the canal's middle lies between
    assert (canal.centre_mm - centre) @ axes == pytest.approx([0.0, -21.5, 0.0], abs=1.0 if spacing_mm[0] < 2 else 1.45)


def test_a_known_anterior_direction_is_kept():
    mask, body, grid, centre, axes = vertebra((0.7, 1.3, 2.9), TURNS[1])
    canal = find_canal(mask, grid, centre, axes[:, 2], axes[:, 1])
    assert canal.frame.axes == pytest.approx(axes, abs=1e-9)
    assert canal.in_front(mask, grid).sum() == pytest.approx(body.sum(), rel=0.03)


def test_the_cut_does_not_depend_on_how_the_mask_is_stored():
    mask, _, grid, centre, axes = vertebra((0.7, 1.3, 2.9), TURNS[2])
    truth = find_canal(mask, grid, centre, axes[:, 2]).in_front(mask, grid)
    affine = grid.affine.copy()
    affine[:3, 3] += affine[:3, 1] * (grid.shape[1] - 1)
    affine[:3, 1] *= -1
    affine[:, :3] = affine[:, [2, 0, 1]]
    turned = np.asfortranarray(mask[:, ::-1].transpose(2, 0, 1))
    other = type(grid)(turned.shape, affine)
    cut = find_canal(turned, other, centre, axes[:, 2]).in_front(turned, other)
    assert (cut == truth[:, ::-1].transpose(2, 0, 1)).mean() > 0.9999


@pytest.mark.parametrize("spacing_mm", GRIDS)
def test_a_body_without_an_arch_and_an_arch_without_a_body_have_no_canal(spacing_mm):
    mask, _, grid, centre, axes = vertebra(spacing_mm, arch=False)
    assert find_canal(mask, grid, centre, axes[:, 2]) is None
    whole, body, grid, centre, axes = vertebra(spacing_mm)
    assert find_canal(whole & ~body, grid, centre, axes[:, 2]) is None


@pytest.mark.parametrize("side", [-1, 1])
def test_a_rib_head_or_process_on_one_side_only_does_not_turn_the_vertebra(side):
    mask, _, grid, centre, axes = vertebra((0.7, 1.3, 2.9), TURNS[2])
    lr, ap, si = np.moveaxis((grid.points() - centre) @ axes, -1, 0)
    lopsided = mask | ((side * lr > 14.0) & (side * lr < 36.0) & (np.abs(ap + 9.0) < 5.0) & (np.abs(si - 4.0) < 5.0))
    canal = find_canal(lopsided, grid, centre, axes[:, 2])
    assert angle_deg(canal.anterior - axes[:, 2] * (canal.anterior @ axes[:, 2]), axes[:, 1]) < 3
