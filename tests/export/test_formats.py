"""Every format, read again by other people's readers: trimesh, pyvista (VTK) and lib3mf."""

import json
import locale

import numpy as np
import pytest
import trimesh

from shapekit.export import FORMATS, write_meshes
from shapekit.export.threemf import write_3mf
from shapekit.mesh import volume_mm3
from tests.export.conftest import NASTY

LEVELS = ("L2", "L3", "L4", "L5")
KINDS = ("actual", "expected")
NAMES = [f"{level}_{kind}" for level in LEVELS for kind in KINDS]
LPS = np.array([-1.0, -1.0, 1.0])


def read_3mf(path):
    """Name, vertices, faces and vertex colours of each object, and the build items' shifts, as lib3mf tells them."""
    lib3mf = pytest.importorskip("lib3mf")
    kit = lib3mf.get_wrapper()
    model = kit.CreateModel()
    reader = model.QueryReader("3mf")
    reader.SetStrictModeActive(True)
    words = locale.setlocale(locale.LC_ALL)
    reader.ReadFromFile(str(path))
    locale.setlocale(locale.LC_ALL, words)  # which lib3mf changes
    assert reader.GetWarningCount() == 0
    assert model.GetUnit() == lib3mf.ModelUnit.MilliMeter
    things, found = model.GetMeshObjects(), {}
    while things.MoveNext():
        thing = things.GetCurrentMeshObject()
        assert thing.IsManifoldAndOriented()
        vertices = np.array([tuple(vertex.Coordinates) for vertex in thing.GetVertices()])
        faces = np.array([tuple(triangle.Indices) for triangle in thing.GetTriangleIndices()])
        colours = np.zeros((len(vertices), 3), np.uint8)
        resource, number, whole = thing.GetObjectLevelProperty()
        assert whole
        group = model.GetColorGroupByID(resource)
        table = {n: group.GetColor(n) for n in group.GetAllPropertyIDs()}
        table = {n: (colour.Red, colour.Green, colour.Blue) for n, colour in table.items()}
        colours[:] = table[number]
        for face, own in zip(faces, thing.GetAllTriangleProperties(), strict=True):
            if own.ResourceID == resource:
                colours[face] = [table[n] for n in own.PropertyIDs]
        found[thing.GetName()] = (vertices, faces, colours)
    items, shifts = model.GetBuildItems(), []
    while items.MoveNext():
        shifts.append([items.GetCurrent().GetObjectTransform().Fields[3][axis] for axis in range(3)])
    about = model.GetMetaDataGroup()
    return found, np.array(shifts), {about.GetMetaData(n).GetName(): about.GetMetaData(n).GetValue() for n in range(about.GetMetaDataCount())}


def read_any(path, suffix):
    """Vertices in RAS mm and faces, by trimesh, or by lib3mf and pyvista for what trimesh does not read as it stands."""
    if suffix == "3mf":
        vertices, faces, _ = read_3mf(path)[0][path.stem]
        return vertices * LPS, faces
    if suffix == "vtp":
        surface = pytest.importorskip("pyvista").read(path)
        return np.asarray(surface.points, float) * LPS, surface.regular_faces
    if suffix == "glb":
        scene = trimesh.load_scene(path, process=False)
        (mesh,) = scene.geometry.values()
        return np.asarray(mesh.vertices), np.asarray(mesh.faces)
    mesh = trimesh.load_mesh(path, process=suffix == "stl")
    return np.asarray(mesh.vertices) * LPS, np.asarray(mesh.faces)


def test_every_body_and_the_spine_is_there_in_every_format(written):
    names = {path.name for path in written.iterdir()}
    assert {f"{name}.{suffix}" for name in (*NAMES, "spine_actual", "spine_expected") for suffix in FORMATS} <= names
    assert {"meshes.json", "scene.mrml"} <= names
    assert not [name for name in names if name.startswith(".")]


@pytest.mark.parametrize("suffix", list(FORMATS))
def test_a_file_read_again_is_the_same_closed_body_in_the_same_place(written, solids, crushed_result, crushed_spine, suffix):
    for name, solid in solids.items():
        vertices, faces = read_any(written / f"{name}.{suffix}", suffix)
        surface = trimesh.Trimesh(vertices, faces, process=False)
        assert surface.is_volume, name
        row = crushed_result[solid.level].measures
        assert surface.volume == pytest.approx(getattr(row, f"{solid.kind}_mm3"), rel=0.01)
        if suffix == "stl":  # which has no order of vertices to keep
            distance = trimesh.proximity.ProximityQuery(surface).vertex(solid.mesh.vertices[::50])[0]
            assert distance.max() < 0.01
        else:
            assert np.abs(vertices - solid.mesh.vertices).max() < 0.01
            assert np.array_equal(faces, solid.mesh.faces)
        if solid.kind == "actual":  # the mask itself says where the body lies in RAS
            voxels = crushed_spine.grid.to_world(np.argwhere(crushed_spine.array == solid.label))
            assert surface.center_mass == pytest.approx(voxels.mean(axis=0), abs=0.5)


def test_colours_show_the_scores_and_the_deficit(solids, crushed_result):
    crushed, healthy = solids["L3_actual"], solids["L4_actual"]
    assert (crushed.colours == crushed.colours[0]).all()
    assert crushed.colours[0, 0] > 2 * crushed.colours[0, 1]  # red
    assert healthy.colours[0, 1] > 2 * healthy.colours[0, 0]  # green
    expected = solids["L3_expected"]
    missing = expected.scalars["deficit_mm"] > 5
    whole = np.abs(expected.scalars["deficit_mm"]) < 0.3
    assert missing.sum() > 300
    red = expected.colours[:, 0].astype(int) - expected.colours[:, 2]
    assert red[missing].min() > 100
    assert abs(red[whole]).max() < 60
    assert np.array_equal(expected.scalars["deficit_mm"], crushed_result["L3"].deficit.along_si_mm.astype(np.float32))


@pytest.mark.parametrize("name", ["L3_actual", "L3_expected"])
def test_ply_keeps_quality_colours_and_labels(written, solids, name):
    solid = solids[name]
    mesh = trimesh.load_mesh(written / f"{name}.ply", process=False)
    raw = mesh.metadata["_ply_raw"]["vertex"]["data"]
    main, *others = solid.scalars
    assert np.array_equal(raw["quality"].ravel(), solid.scalars[main])
    for other in others:
        assert np.array_equal(raw[other].ravel(), solid.scalars[other])
    assert set(raw["label"].ravel()) == {22}
    assert np.array_equal(mesh.visual.vertex_colors[:, :3], solid.colours)
    header = (written / f"{name}.ply").read_bytes().split(b"end_header")[0].decode("ascii")
    assert "\ncomment SPACE=LPS\n" in header
    assert f"quality is {main}" in header
    surface = pytest.importorskip("pyvista").read(written / f"{name}.ply")
    assert np.allclose(surface.points * LPS, solid.mesh.vertices, atol=0.01)
    assert np.array_equal(surface.point_data["RGB"][:, :3], solid.colours)


def test_obj_has_named_objects_with_colours_and_says_its_space(written, solids):
    text = (written / "spine_actual.obj").read_text()
    assert text.startswith("# SPACE=LPS\n")
    assert [line[2:] for line in text.splitlines() if line.startswith("o ")] == [f"{level}_actual" for level in LEVELS]
    scene = trimesh.load_scene(written / "spine_actual.obj", process=False, split_objects=True)
    assert {name: len(mesh.faces) for name, mesh in scene.geometry.items()} == {
        name: len(solid.mesh.faces) for name, solid in solids.items() if solid.kind == "actual"
    }
    mesh = trimesh.load_mesh(written / "L3_expected.obj", process=False)
    assert np.abs(mesh.visual.vertex_colors[:, :3].astype(int) - solids["L3_expected"].colours).max() <= 1
    pyvista = pytest.importorskip("pyvista")
    assert np.allclose(pyvista.read(written / "L3_expected.obj").points * LPS, solids["L3_expected"].mesh.vertices, atol=0.01)


def test_stl_says_its_space_and_holds_the_whole_spine(written, solids):
    content = (written / "spine_expected.stl").read_bytes()
    assert content.startswith(b"SPACE=LPS")
    mesh = trimesh.load_mesh(written / "spine_expected.stl")
    assert len(mesh.split()) == len(LEVELS)
    assert mesh.volume == pytest.approx(sum(volume_mm3(solid.mesh) for solid in solids.values() if solid.kind == "expected"), rel=1e-4)
    surface = pytest.importorskip("pyvista").read(written / "spine_expected.stl")
    assert surface.n_cells == len(mesh.faces)


def test_glb_nodes_are_named_and_stand_upright_in_metres(written, solids, crushed_spine):
    scene = trimesh.load_scene(written / "spine_expected.glb", process=False)
    assert sorted(scene.graph.nodes_geometry) == [f"{level}_expected" for level in LEVELS]
    for name in scene.graph.nodes_geometry:
        mesh, solid = scene.geometry[scene.graph[name][1]], solids[name]
        assert np.allclose(mesh.vertex_attributes["_DEFICIT_MM"].ravel(), solid.scalars["deficit_mm"])
        assert np.allclose(mesh.vertex_attributes["_NEAREST_MM"].ravel(), solid.scalars["nearest_mm"])
        world = trimesh.transform_points(mesh.vertices, scene.graph[name][0])
        right, up, front = -world[:, 0], world[:, 1], world[:, 2]  # glTF: Y is up, Z to the front
        assert np.allclose(np.stack([right, front, up], axis=1) * 1000, solid.mesh.vertices, atol=0.01)
        assert np.allclose(mesh.vertex_normals, trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).vertex_normals, atol=0.3)
    content = (written / "L3_actual.glb").read_bytes()
    document = json.loads(content[20 : 20 + int.from_bytes(content[12:16], "little")])
    assert "RAS, mm" in document["asset"]["extras"]["space"]
    assert document["nodes"][0]["extras"]["label"] == 22
    assert document["nodes"][0]["extras"]["score"] == pytest.approx(solids["L3_actual"].score)
    assert int.from_bytes(content[8:12], "little") == len(content)


def test_glb_colours_are_linear_light(written, solids):
    mesh = next(iter(trimesh.load_scene(written / "L3_actual.glb", process=False).geometry.values()))
    linear = np.asarray(mesh.visual.vertex_attributes["color"])[0, :3] / 255.0
    shown = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert shown * 255 == pytest.approx(solids["L3_actual"].colours[0], abs=6)  # eight bits are coarse in the dark


def test_vtp_keeps_every_scalar_and_the_names(written, solids):
    pyvista = pytest.importorskip("pyvista")
    surface = pyvista.read(written / "spine_expected.vtp")
    those = [solid for solid in solids.values() if solid.kind == "expected"]
    for name in ("deficit_mm", "nearest_mm"):
        assert np.array_equal(surface.point_data[name], np.concatenate([solid.scalars[name] for solid in those]))
    assert np.array_equal(surface.point_data["label"], np.repeat([solid.label for solid in those], [len(solid.mesh.vertices) for solid in those]))
    assert np.array_equal(surface.point_data["RGB"], np.concatenate([solid.colours for solid in those]))
    assert list(surface.field_data["SPACE"]) == ["LPS"]
    assert list(surface.field_data["names"]) == [solid.name for solid in those]
    assert list(surface.field_data["labels"]) == [21, 22, 23, 24]
    assert surface.is_manifold
    assert set(pyvista.read(written / "L3_actual.vtp").point_data["score"]) == {np.float32(solids["L3_actual"].score)}


def test_3mf_keeps_names_colours_and_places_and_lies_on_the_bed(written, solids):
    found, shifts, about = read_3mf(written / "spine_expected.3mf")
    assert list(found) == [f"{level}_expected" for level in LEVELS]
    assert "SPACE=LPS" in about["Description"]
    for name, (vertices, faces, colours) in found.items():
        assert np.abs(vertices * LPS - solids[name].mesh.vertices).max() < 0.01
        assert np.array_equal(faces, solids[name].mesh.faces)
        assert np.array_equal(colours, solids[name].colours)
    assert (shifts == shifts[0]).all()
    low = np.min([vertices.min(axis=0) for vertices, _, _ in found.values()], axis=0)
    assert low + shifts[0] == pytest.approx(0, abs=1e-3)


def test_trimesh_finds_the_same_objects_in_3mf_each_by_its_name(written, solids):
    pytest.importorskip("lxml")
    scene = trimesh.load_scene(written / "spine_expected.3mf", process=False)
    assert sorted(scene.graph.nodes_geometry) == sorted(scene.geometry) == [f"{level}_expected" for level in LEVELS]
    assert scene.units == "millimeter"
    for name, mesh in scene.geometry.items():
        assert np.abs(mesh.vertices * LPS - solids[name].mesh.vertices).max() < 0.01
        assert np.array_equal(mesh.faces, solids[name].mesh.faces)
        assert mesh.is_volume
    assert scene.bounds[0] == pytest.approx(0, abs=1e-3)  # on the bed


def test_writing_3mf_leaves_the_process_its_locale(solids, tmp_path):
    before = locale.setlocale(locale.LC_ALL), locale.getencoding()
    write_3mf(tmp_path / "body.3mf", [solids["L3_actual"]])
    assert (locale.setlocale(locale.LC_ALL), locale.getencoding()) == before


def test_the_same_scores_give_the_same_bytes(written, scored, tmp_path):
    write_meshes(tmp_path, scored, tuple(FORMATS), print=True, case=NASTY)
    names = sorted(path.name for path in written.iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert [name for name in names if (tmp_path / name).read_bytes() != (written / name).read_bytes()] == []
