"""Meshes: closed forms with a known volume, real bodies, and a sentence for what is no closed surface in mm."""

import numpy as np
import pytest
import trimesh

from shapekit.core.checks import InputError
from shapekit.io.meshfiles import read_mesh
from tests.io.conftest import affine_of

EXTENTS_MM = (45.0, 33.0, 27.0)
VOLUME_MM3 = 45.0 * 33.0 * 27.0


def box(scale: float = 1.0) -> trimesh.Trimesh:
    mesh = trimesh.creation.box(np.multiply(EXTENTS_MM, scale))
    return mesh.apply_transform(affine_of((1.0, 1.0, 1.0)))


def volume_of(mesh) -> float:
    corners = mesh.vertices[mesh.faces]
    return float(np.linalg.det(corners).sum() / 6)


@pytest.mark.parametrize("suffix", ["ply", "stl", "obj"])
@pytest.mark.parametrize("inside_out", [False, True])
def test_boxes_are_read_closed_and_outward(tmp_path, suffix, inside_out):
    mesh = box()
    if inside_out:
        mesh.invert()
    mesh.export(tmp_path / f"L1.{suffix}")
    read = read_mesh(tmp_path / f"L1.{suffix}")
    assert (len(read.vertices), len(read.faces)) == (8, 12)
    assert volume_of(read) == pytest.approx(VOLUME_MM3, rel=1e-5)
    assert np.allclose(np.sort(read.vertices, axis=0), np.sort(mesh.vertices, axis=0), atol=1e-4)


def test_some_faces_the_wrong_way_round_are_turned(tmp_path):
    mesh = box()
    faces = mesh.faces.copy()
    faces[[1, 4, 7]] = faces[[1, 4, 7], ::-1]
    trimesh.Trimesh(mesh.vertices, faces, process=False).export(tmp_path / "a.ply")
    assert volume_of(read_mesh(tmp_path / "a.ply")) == pytest.approx(VOLUME_MM3, rel=1e-5)


def test_two_components_stay(tmp_path):
    both = trimesh.util.concatenate([box(), box().apply_translation((90.0, 5.0, 0.0))])
    both.export(tmp_path / "a.ply")
    assert volume_of(read_mesh(tmp_path / "a.ply")) == pytest.approx(2 * VOLUME_MM3, rel=1e-5)


def test_an_obj_file_opens_no_other(tmp_path, monkeypatch):
    lines = [f"v {x} {y} {z}" for x, y, z in box().vertices] + ["usemtl bone"] + [f"f {a} {b} {c}" for a, b, c in box().faces + 1]
    (tmp_path / "a.obj").write_text("\n".join(["mtllib ../secret.mtl", *lines]))
    opened = []
    original = type(tmp_path).open
    monkeypatch.setattr(type(tmp_path), "open", lambda self, *rest, **named: opened.append(self.name) or original(self, *rest, **named))
    assert len(read_mesh(tmp_path / "a.obj").faces) == 12
    assert set(opened) == {"a.obj"}


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("a.ply", b"", "empty"),
        ("a.ply", b"a text file", "PLY"),
        ("a.ply", b"ply\nformat ascii 1.0\nelement vertex 900000000\nproperty float x\nend_header\n1\n", "PLY"),
        ("a.ply", b"ply\nformat binary_little_endian 1.0\nelement vertex 900000000\nproperty float x\nend_header\n1\n", "PLY"),
        ("a.stl", b"solid a text file", ""),
        ("a.stl", bytes(80) + b"\xff\xff\xff\xff" + bytes(50), ""),
        ("a.obj", b"v 0 0 0\nv 1 0 0\n", ""),
        ("a.obj", b"v 0 0 0\nf 1 2 99\n", "OBJ"),
        ("a.obj", b"\xff\xfe\x00\x01" * 50, ""),
        ("a.vtk", b"# vtk", "suffix"),
    ],
)
def test_files_that_are_no_mesh(tmp_path, refuses, capfd, name, content, word):
    (tmp_path / name).write_bytes(content)
    refuses(InputError, name, lambda: read_mesh(tmp_path / name), word)
    assert capfd.readouterr() == ("", "")


def test_meshes_that_cannot_be_a_vertebra(tmp_path, refuses):
    refuses(InputError, "none.ply", lambda: read_mesh(tmp_path / "none.ply"))
    open_box = box()
    open_box.update_faces(np.arange(12) > 0)
    open_box.export(tmp_path / "open.ply")
    refuses(InputError, "open.ply", lambda: read_mesh(tmp_path / "open.ply"), "not closed")
    for scale, name in ((0.001, "metres.ply"), (10.0, "tenths.ply")):
        box(scale).export(tmp_path / name)
        refuses(InputError, name, lambda name=name: read_mesh(tmp_path / name), "encloses")
    box().apply_transform(np.diag([20.0, 0.1, 0.1, 1.0])).export(tmp_path / "rod.ply")
    refuses(InputError, "rod.ply", lambda: read_mesh(tmp_path / "rod.ply"), "long")
    broken = box()
    broken.vertices[3, 1] = np.nan
    (tmp_path / "nan.obj").write_text(
        "\n".join([*(f"v {x} {y} {z}" for x, y, z in broken.vertices), *(f"f {a} {b} {c}" for a, b, c in broken.faces + 1)])
    )
    refuses(InputError, "nan.obj", lambda: read_mesh(tmp_path / "nan.obj"))
    trimesh.PointCloud(box().vertices).export(tmp_path / "points.ply")
    refuses(InputError, "points.ply", lambda: read_mesh(tmp_path / "points.ply"))


@pytest.mark.parametrize("name", ["remus_vhm/L1_body.ply", "remus_vhm/L5_whole.ply", "morphable_lumbar/meanMesh_L2.ply"])
def test_real_meshes(real_data, name):
    mesh = read_mesh(real_data / name)
    assert 2e4 < volume_of(mesh) < 2e5
