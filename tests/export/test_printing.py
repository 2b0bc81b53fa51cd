import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import trimesh

import shapekit as sk
from shapekit.core.frame import Frame
from shapekit.core.values import Expected, Measures, Mesh
from shapekit.export import gate, plate_of, write_meshes
from shapekit.export.printing import GAP_MM, simplified, surface_error, thinnest_wall, write_plate
from shapekit.mesh import mesh_from_sdf, smooth_mesh, volume_mm3
from shapekit.pipeline import Scored
from tests.export.test_formats import read_3mf
from tests.factories import patch_of

PIECES = ["expected", "expected_left", "expected_right", "actual", "actual_left", "actual_right"]


def box(half, middle=(0.0, 0.0, 0.0), shape=(60, 50, 44)):
    """Exact signed distance of a box, mm."""

    def distance(lr, ap, si):
        apart = np.stack([abs(x - m) - h for x, m, h in zip((lr, ap, si), middle, half, strict=True)], axis=-1)
        return np.linalg.norm(np.maximum(apart, 0), axis=-1) + np.minimum(apart.max(axis=-1), 0)

    return patch_of(distance, shape=shape)


def vertebra(expected, actual, score=40.0):
    frame = Frame(np.zeros(3), np.eye(3))
    return Scored(Measures(level="L1", label=20, score=score), expected=Expected(expected, frame), actual=actual)


@pytest.fixture(scope="module")
def plate(scored):
    return plate_of(scored[1])


def test_a_plate_holds_both_bodies_whole_and_halved(plate, crushed_result):
    assert [piece.name for piece in plate.pieces] == PIECES
    by_name = {piece.name: piece for piece in plate.pieces}
    for kind in ("expected", "actual"):
        whole, left, right = (volume_mm3(by_name[kind + part].mesh) for part in ("", "_left", "_right"))
        assert whole == pytest.approx(getattr(crushed_result["L3"].measures, f"{kind}_mm3"), rel=0.01)
        assert left + right == pytest.approx(whole, rel=1e-4)
        assert left == pytest.approx(right, rel=0.1)  # the cut runs through the middle
    assert plate.surface_error_mm < 0.5
    assert plate.notes == ()


def test_every_piece_is_printable_and_lies_on_the_bed_beside_the_others(plate):
    boxes = []
    for piece in plate.pieces:
        surface = trimesh.Trimesh(piece.mesh.vertices, piece.mesh.faces, process=False)
        assert surface.is_volume, piece.name
        assert surface.bounds[0, 2] == pytest.approx(0, abs=1e-4)
        assert surface.bounds[0].min() >= -1e-4
        boxes.append(surface.bounds[:, :2])
    for n, one in enumerate(boxes):
        for other in boxes[:n]:
            gap = np.maximum(one[0] - other[1], other[0] - one[1]).max()
            assert gap >= GAP_MM - 1e-3


def test_halves_lie_on_their_cut_and_whole_bodies_stand_upright():
    plate = plate_of(vertebra(box((20, 14, 11)), box((20, 14, 8), (0, 0, -3))))
    for piece in plate.pieces:
        size = np.ptp(piece.mesh.vertices, axis=0)
        height = 22 if piece.name.startswith("expected") else 16
        wanted = (40, 28, height) if piece.name in ("expected", "actual") else (height, 28, 20)
        assert size == pytest.approx(wanted, abs=0.3)
        if "_" in piece.name:  # the area on the bed is the cut's
            surface = trimesh.Trimesh(piece.mesh.vertices, piece.mesh.faces, process=False)
            flat = (surface.face_normals[:, 2] < -0.999) & (surface.triangles_center[:, 2] < 1e-3)
            assert surface.area_faces[flat].sum() == pytest.approx(28 * height, rel=0.03)
    left, right = (next(piece for piece in plate.pieces if piece.name == f"expected_{side}") for side in ("left", "right"))
    assert volume_mm3(left.mesh) == pytest.approx(volume_mm3(right.mesh), rel=0.01)


def test_left_is_the_patients_left():
    shifted = box((12, 14, 11), (6, 0, 0))  # more of it lies to the right
    plate = plate_of(vertebra(shifted, shifted))
    left, right = (volume_mm3(piece.mesh) for piece in plate.pieces[1:3])
    assert left == pytest.approx(6 * 28 * 22, rel=0.03)
    assert right == pytest.approx(18 * 28 * 22, rel=0.03)


def test_thin_walls_are_measured_and_told():
    odd = (60, 50, 45)  # a thin plate needs voxels inside
    thin = box((18, 14, 0.5), shape=odd)
    for size in ((36, 28, 1.0), (36, 1.7, 28), (36, 28, 8)):
        exact = trimesh.creation.box(size).subdivide().subdivide()
        assert thinnest_wall(gate(Mesh(exact.vertices, exact.faces))) == pytest.approx(min(size), abs=2e-3)
    plate = plate_of(vertebra(box((18, 14, 11), shape=odd), thin))
    assert [note for note in plate.notes if note.startswith("L1_actual has walls of") and "thinner than 1.2 mm" in note]
    assert not [note for note in plate.notes if "expected" in note]


def test_crumbs_are_dropped_and_told():
    main, crumb = box((18, 14, 6), (0, 0, -5)), box((0.7, 0.7, 0.7), (3, 2, 12))
    both = replace(main, values=np.minimum(main.values, crumb.values))
    plate = plate_of(vertebra(main, both))
    assert "L1_actual: dropped 1 pieces smaller than 2.0 mm" in plate.notes
    assert volume_mm3(plate.pieces[3].mesh) == pytest.approx(volume_mm3(plate.pieces[0].mesh), rel=1e-3)


def test_fewer_triangles_keep_the_surface_and_say_how_well(scored):
    sdf = scored[1].expected.sdf
    mesh = smooth_mesh(mesh_from_sdf(sdf))
    small = simplified(mesh, 0.2)
    assert len(small.faces) == pytest.approx(0.2 * len(mesh.faces), rel=0.02)
    assert volume_mm3(small) == pytest.approx(volume_mm3(mesh), rel=0.005)
    nearest = trimesh.proximity.ProximityQuery(trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)).vertex(small.vertices)[0]
    assert nearest.max() < 1.0
    assert surface_error(small, sdf) < 0.6
    plate = plate_of(scored[1], keep=0.2)
    assert sum(len(piece.mesh.faces) for piece in plate.pieces) < 0.4 * sum(len(piece.mesh.faces) for piece in plate_of(scored[1]).pieces)
    assert plate.surface_error_mm >= surface_error(small, sdf) - 1e-9
    with pytest.raises(sk.InputError, match="keep is 0"):
        simplified(mesh, 0)
    assert simplified(mesh, 1) is mesh


def test_the_surface_error_is_a_distance():
    sdf = box((20, 14, 11))
    mesh = mesh_from_sdf(sdf)
    lifted = Mesh(mesh.vertices + np.array([0, 0, 1.5]), mesh.faces)
    assert surface_error(lifted, sdf) == pytest.approx(1.5, abs=0.02)


def test_plates_are_written_with_names_and_colours(plate, tmp_path):
    write_plate(tmp_path / "plate.3mf", plate)
    write_plate(tmp_path / "plate.stl", plate)
    found, shifts, about = read_3mf(tmp_path / "plate.3mf")
    assert list(found) == [f"L3_{name}" for name in PIECES]
    assert not shifts.any()
    assert "not patient space" in about["Description"]
    for piece in plate.pieces:
        vertices, faces, colours = found[f"L3_{piece.name}"]
        assert np.abs(vertices - piece.mesh.vertices).max() < 0.01
        assert len(faces) == len(piece.mesh.faces)
        assert (colours == piece.colour).all()
    stl = trimesh.load_mesh(tmp_path / "plate.stl")
    assert stl.is_watertight
    assert stl.volume == pytest.approx(sum(volume_mm3(piece.mesh) for piece in plate.pieces), rel=1e-3)
    assert b"not patient space" in (tmp_path / "plate.stl").read_bytes()[:80]


def test_what_cannot_be_printed_is_refused(scored, monkeypatch):
    with pytest.raises(sk.InputError, match="L3 has no expected body to print"):
        plate_of(replace(scored[1], expected=None))
    monkeypatch.setitem(sys.modules, "fast_simplification", None)
    with pytest.raises(sk.MissingPackageError, match=r"shapekit\[print\]"):
        plate_of(scored[1], keep=0.5)
    monkeypatch.setitem(sys.modules, "manifold3d", None)
    with pytest.raises(sk.MissingPackageError, match=r"shapekit\[print\]"):
        plate_of(scored[1])


def test_plates_that_keep_fewer_triangles_say_so_and_how_far_they_lie_off(scored, tmp_path):
    write_meshes(tmp_path, scored[1:2], (), print=True, keep=0.25)
    record = json.loads((tmp_path / "meshes.json").read_text())
    (plate,) = record["plates"]
    assert plate["triangles_kept"] == 0.25
    assert plate["surface_error_mm"] == pytest.approx(plate_of(scored[1], keep=0.25).surface_error_mm, abs=1e-3)
    whole = next(piece for piece in plate_of(scored[1]).pieces if piece.name == "actual")
    _, faces, _ = read_3mf(tmp_path / "L3_print.3mf")[0]["L3_actual"]
    assert len(faces) == pytest.approx(0.25 * len(whole.mesh.faces), rel=0.05)
