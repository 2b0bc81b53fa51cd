from dataclasses import replace

import numpy as np
import pytest
import trimesh

from shapekit.core.frame import Frame
from shapekit.core.levels import Level
from shapekit.core.values import Body, Measures, Sdf
from shapekit.pipeline import Scored
from shapekit.report.shapes import SPACING_MM, actual_sdf, actual_surface, expected_surface, midsagittal_outline
from tests.factories import LEANING, ellipsoid_distance, oblique_grid, patch_of

SEMI_AXES = (11.0, 21.0, 33.0)


@pytest.fixture(scope="module")
def lone():
    """An ellipsoid along an oblique anisotropic grid, with nothing expected of it."""
    grid = oblique_grid((60, 60, 40))
    frame = Frame(grid.to_world((29.5, 29.5, 19.5)), grid.affine[:3, :3] / grid.spacing_mm)
    values = ellipsoid_distance(frame.to_local(grid.points()), SEMI_AXES).astype(np.float32)
    body = Body(Level.L3, 22, Sdf(values, grid), frame.origin, 4.18879 * np.prod(SEMI_AXES))
    return Scored(Measures("L3", 22, status="partial"), body, frame)


def test_a_body_without_an_expected_shape_is_shown_from_its_scan(lone):
    assert actual_sdf(lone) is lone.body.sdf
    assert expected_surface(lone) is None
    mesh = actual_surface(lone)
    surface = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    assert surface.is_watertight
    assert surface.volume == pytest.approx(lone.body.volume_mm3, rel=0.02)
    assert np.abs(ellipsoid_distance(lone.frame.to_local(mesh.vertices), SEMI_AXES)).max() < 0.5


def test_the_coarse_surface_lies_within_a_tenth_of_a_millimetre(subject):
    for one in subject.scored:
        mesh = actual_surface(one)
        assert np.abs(one.actual.sample(mesh.vertices)).mean() < 0.1
        finer = actual_surface(one, 1.0)
        assert len(finer.faces) > 2.5 * len(mesh.faces)
        assert np.linalg.norm(mesh.vertices[mesh.faces[:, 0]] - mesh.vertices[mesh.faces[:, 1]], axis=1).max() < 2.5 * SPACING_MM


def test_the_deficit_is_what_was_cut_off_the_crushed_body(subject):
    one = subject.scored[1]
    deficit = expected_surface(one)
    top = np.argsort(deficit.mesh.vertices @ LEANING[:, 2])[-300:]
    assert np.median(deficit.along_si_mm[top]) == pytest.approx(6.5, abs=0.8)  # a quarter of 26 mm


def test_nothing_is_shown_where_there_is_no_body(lone):
    assert actual_surface(Scored(Measures("L3", 22))) is None
    assert actual_sdf(Scored(Measures("L3", 22))) is None
    speck = Sdf(np.full(lone.body.sdf.grid.shape, 3.0, np.float32), lone.body.sdf.grid)
    assert actual_surface(replace(lone, body=replace(lone.body, sdf=speck))) is None


def test_an_outline_is_the_ellipse_in_the_frames_plane():
    field = patch_of(lambda lr, ap, si: ellipsoid_distance(np.stack([lr, ap, si], axis=-1), (20.0, 15.0, 9.0)))
    (line,) = midsagittal_outline(field, Frame(np.zeros(3), np.eye(3)))
    assert (line[0] == line[-1]).all()
    assert np.abs((line[:, 0] / 15.0) ** 2 + (line[:, 1] / 9.0) ** 2 - 1).max() < 0.05
    # through a plane 5 mm to the side the ellipse is smaller by the closed form's factor
    (aside,) = midsagittal_outline(field, Frame(np.array([5.0, 0.0, 0.0]), np.eye(3)))
    assert np.abs(aside[:, 0]).max() == pytest.approx(15.0 * np.sqrt(1 - (5 / 20) ** 2), abs=0.15)
    assert midsagittal_outline(field, Frame(np.array([24.0, 0.0, 0.0]), np.eye(3))) == []
