import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import shapekit as sk
from shapekit.core.grid import Grid
from shapekit.core.levels import Level
from shapekit.core.values import LabelMap
from shapekit.spine import body_on_patch, extract_bodies, nears_edge, patch_grid, vertebra_frames
from tests.factories import whole_vertebra

TURNS = [Rotation.from_euler("xz", (tilt, 5.0), degrees=True).as_matrix() for tilt in (-12.0, 0.0, 12.0)]
CENTRES = np.array([[0.0, 3.6, 35.0], [0.0, 0.0, 0.0], [0.0, 3.6, -35.0]])
LEVELS = {20: Level.L1, 21: Level.L2, 22: Level.L3}


@pytest.fixture(scope="module")
def lordotic():
    """Three whole vertebrae on an arc, turned by 5° to the left."""
    affine = np.diag([0.9, 1.2, 1.7, 1.0])
    sides = np.ceil(np.array([60, 110, 130]) / [0.9, 1.2, 1.7]).astype(int)
    affine[:3, 3] = (-30.0, -75.0, -65.0)
    grid = Grid(tuple(int(n) for n in sides), affine)
    array = np.zeros(grid.shape, np.uint8)
    for label, centre, axes in zip(LEVELS, CENTRES, TURNS, strict=True):
        array[whole_vertebra(grid, centre, axes)[0] & (array == 0)] = label
    return LabelMap(array, grid, LEVELS, name="arc")


def test_frames_follow_the_line_and_the_canal(lordotic):
    bodies, missing, notes = extract_bodies(lordotic)
    assert (missing, notes) == ({}, ())
    assert [(str(body.level), body.source, body.partial) for body in bodies] == [(name, "split", False) for name in ("L1", "L2", "L3")]
    frames = vertebra_frames(bodies)
    for frame, body, axes, centre in zip(frames, bodies, TURNS, CENTRES, strict=True):
        assert np.degrees(np.arccos(frame.axes[:, 1] @ axes[:, 1])) < 6
        assert np.degrees(np.arccos(frame.axes[:, 2] @ axes[:, 2])) < 6
        assert np.linalg.norm(body.centre_mm - (centre + axes @ [0.0, 0.7, 0.0])) < 1.5
    assert frames[1].rotation_axial_deg == pytest.approx(5, abs=2)


def test_a_body_fills_the_middle_of_its_own_patch(lordotic):
    bodies, _, _ = extract_bodies(lordotic)
    frame = vertebra_frames(bodies)[1]
    patch = body_on_patch(bodies[1], frame)
    assert patch.values.shape == (80, 64, 64)
    assert patch.grid.is_close(patch_grid(frame))
    inside = np.argwhere(patch.values < 0)
    assert inside.mean(axis=0) == pytest.approx([39.5, 31.5, 31.5], abs=0.7)
    assert len(inside) == pytest.approx(bodies[1].volume_mm3, rel=0.03)
    assert not nears_edge(patch)
    aside = frame.moved(frame.to_world([0.0, 14.0, 0.0]))
    assert nears_edge(body_on_patch(bodies[1], aside))


def test_a_body_cut_by_the_volume_is_partial_and_a_process_cut_is_not(lordotic):
    top = LabelMap(lordotic.array[:, :, :-15], lordotic.grid.crop((0, 0, 0), (*lordotic.array.shape[:2], lordotic.array.shape[2] - 15)), LEVELS)
    assert {str(body.level): body.partial for body in extract_bodies(top)[0]} == {"L1": True, "L2": False, "L3": False}
    back = lordotic.array[:, 22:, :]
    behind = LabelMap(back, lordotic.grid.crop((0, 22, 0), back.shape), LEVELS)
    assert (back[:, 0] > 0).sum() > 10
    assert not any(body.partial for body in extract_bodies(behind)[0])
    result = sk.score(top)
    assert [v.status for v in result] == ["partial", "ok", "ok"]
    assert result["L2"].measures.neighbours_used == "L3"  # what is cut is no neighbour


def test_loose_pieces_are_left_out_and_said_so(lordotic):
    array = lordotic.array.copy()
    array[:6, :6, :6] = 21
    bodies, _, _ = extract_bodies(LabelMap(array, lordotic.grid, LEVELS))
    assert bodies[1].notes == (f"{216 * lordotic.grid.voxel_mm3:.0f} mm³ in loose pieces left out",)
    assert bodies[1].volume_mm3 == pytest.approx(extract_bodies(lordotic)[0][1].volume_mm3, rel=1e-6)


def test_a_file_may_mark_vertebrae_as_partial_and_bodies_may_be_given(lordotic):
    marked = LabelMap(lordotic.array, lordotic.grid, LEVELS, partial=frozenset({20}))
    assert [body.partial for body in extract_bodies(marked)[0]] == [True, False, False]
    truth = np.zeros(lordotic.grid.shape, bool)
    for centre, axes in zip(CENTRES, TURNS, strict=True):
        truth |= whole_vertebra(lordotic.grid, centre, axes)[1]
    given = LabelMap(lordotic.array, lordotic.grid, LEVELS, body_mask=truth, body_source="given")
    for body in extract_bodies(given)[0]:
        assert body.source == "given"
        assert body.volume_mm3 == pytest.approx(float((truth & (lordotic.array == body.label)).sum()) * lordotic.grid.voxel_mm3)
        assert body.anterior is not None


def test_a_map_without_vertebrae_is_refused(lordotic):
    with pytest.raises(sk.InputError, match="no vertebra"):
        extract_bodies(LabelMap(np.zeros_like(lordotic.array), lordotic.grid, LEVELS))
