import numpy as np
import pytest
import trimesh

import shapekit as sk
from shapekit.core.values import Mesh
from shapekit.export import gate
from shapekit.export.gate import as_manifold, checkers
from shapekit.mesh import mesh_from_sdf
from shapekit.mesh.extract import signed_volume
from tests.factories import patch_of

CORNERS = np.array([[x, y, z] for x in (0.0, 30.0) for y in (0.0, 20.0) for z in (0.0, 11.0)])
BOX = trimesh.Trimesh(CORNERS, trimesh.convex.convex_hull(CORNERS).faces)


@pytest.fixture(scope="module")
def body():
    return mesh_from_sdf(patch_of(lambda lr, ap, si: (np.sqrt((lr / 20) ** 2 + (ap / 15) ** 2 + (si / 12) ** 2) - 1) * 12))


def sound(mesh):
    surface = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    return surface.is_volume and surface.volume > 0


def test_a_sound_surface_passes_as_it_is(body):
    passed = gate(body)
    assert checkers() == ("trimesh", "manifold3d")
    assert passed.repairs == ()
    assert np.array_equal(passed.kept, np.arange(len(body.vertices)))
    assert np.array_equal(passed.mesh.faces, body.faces)
    assert np.array_equal(passed.mesh.vertices, body.vertices.astype(np.float32))


def test_a_surface_inside_out_is_turned(body):
    passed = gate(Mesh(body.vertices, body.faces[:, ::-1]))
    assert passed.repairs == ("turned right side out",)
    assert signed_volume(passed.mesh) == pytest.approx(signed_volume(body))


def test_some_faces_the_wrong_way_are_made_to_agree(body):
    faces = body.faces.copy()
    faces[::17] = faces[::17, ::-1]
    passed = gate(Mesh(body.vertices, faces))
    assert "made the faces' winding agree" in passed.repairs
    assert sound(passed.mesh)


def test_loose_triangles_are_merged_and_scalars_can_follow(body):
    loose = Mesh(body.vertices[body.faces].reshape(-1, 3), np.arange(3 * len(body.faces)).reshape(-1, 3))
    passed = gate(loose)
    assert passed.repairs == (f"merged {len(loose.vertices) - len(body.vertices)} vertices that coincide",)
    assert len(passed.mesh.vertices) == len(body.vertices)
    assert np.array_equal(passed.mesh.vertices, loose.vertices[passed.kept].astype(np.float32))
    assert sound(passed.mesh)


def test_small_holes_empty_faces_and_lonely_vertices_are_repaired(body):
    faces = np.concatenate([np.delete(body.faces, 40, axis=0), [[3, 3, 9]]])
    passed = gate(Mesh(np.concatenate([body.vertices, [[99.0, 98.0, 97.0]]]), faces))
    assert passed.repairs == ("dropped 1 faces without extent", "dropped 1 vertices of no face", "filled holes with 1 faces")
    assert sound(passed.mesh)
    assert signed_volume(passed.mesh) == pytest.approx(signed_volume(body), rel=1e-4)


def test_an_open_surface_is_refused_by_name(body):
    away = np.delete(body.faces, np.arange(200, 900), axis=0)
    with pytest.raises(sk.InputError, match="L4_actual is not closed"):
        gate(Mesh(body.vertices, away), "L4_actual")


def test_what_only_manifold3d_sees_is_refused_too():
    """A face between two boxes' corners would make an edge of three faces; trimesh is not asked here."""
    faces = np.concatenate([BOX.faces, [[0, 1, 7]]])
    with pytest.raises(sk.InputError, match="not manifold"):
        as_manifold(Mesh(CORNERS, faces))
    assert as_manifold(Mesh(CORNERS, BOX.faces)).volume() == pytest.approx(30 * 20 * 11)
