import numpy as np
import pytest
import trimesh

import shapekit as sk
from shapekit.core.values import Mesh
from shapekit.sdf import sdf_from_mesh

pytest.importorskip("open3d", reason="needs the extra [mesh] and libusb-1.0-0", exc_type=ImportError)
CENTRE = np.array([31.0, -140.0, 800.0])


def test_a_sphere_of_triangles_is_a_sphere():
    ball = trimesh.creation.icosphere(subdivisions=5, radius=17.0)
    sdf = sdf_from_mesh(Mesh(ball.vertices + CENTRE, ball.faces), spacing_mm=1.7, margin_mm=6.0)
    truth = np.linalg.norm(sdf.grid.points() - CENTRE, axis=-1) - 17.0
    assert sdf.values == pytest.approx(truth, abs=0.02)
    assert truth.min() < -15
    assert all(truth[face].min() > 5 for face in (0, -1))


def test_meshes_without_faces_or_of_absurd_size_are_refused():
    with pytest.raises(sk.InputError, match="no faces"):
        sdf_from_mesh(Mesh(np.zeros((3, 3)), np.zeros((0, 3), int)), spacing_mm=1.0, margin_mm=6.0)
    ball = trimesh.creation.icosphere(radius=1e6)
    with pytest.raises(sk.InputError, match="millimetres"):
        sdf_from_mesh(Mesh(ball.vertices, ball.faces), spacing_mm=1.0, margin_mm=6.0)
