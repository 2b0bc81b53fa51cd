"""The folder of a case: what refuses, what it says of itself, and names that would do harm."""

import json
import sys
from dataclasses import replace
from xml.etree import ElementTree

import pytest

import shapekit as sk
from shapekit.export import check_formats, write_meshes
from shapekit.export.case import FORMATS
from shapekit.export.scene import READABLE, write_scene
from shapekit.mesh import volume_mm3
from tests.export.conftest import NASTY


def test_formats_that_are_not_are_refused_before_any_work():
    check_formats(tuple(FORMATS), print=True)
    with pytest.raises(sk.UsageError, match="meshes has 'fbx', but each must be one of: glb, stl, 3mf, ply, obj, vtp"):
        check_formats(("glb", "fbx"))
    for keep, plates in ((0.0, True), (1.5, True), (0.5, False), (float("nan"), True)):
        with pytest.raises(sk.UsageError, match="share of triangles"):
            check_formats(("stl",), print=plates, keep=keep)
    with pytest.raises(sk.UsageError, match="sequence of formats"):
        check_formats("glb")


@pytest.mark.parametrize(
    ("module", "formats", "plates", "extra"),
    [
        ("vtkmodules", ("vtp",), False, "viz"),
        ("lib3mf", ("3mf",), False, "print"),
        ("manifold3d", ("stl",), True, "print"),
        ("lib3mf", (), True, "print"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(monkeypatch, module, formats, plates, extra):
    monkeypatch.setitem(sys.modules, module, None)  # so that it can be neither found nor imported
    with pytest.raises(sk.MissingPackageError, match=rf"{module}, which is not installed; install shapekit\[{extra}\]"):
        check_formats(formats, print=plates)
    check_formats(("glb", "stl", "ply", "obj"))


@pytest.mark.parametrize("module", ["vtkmodules.vtkIOXML", "lib3mf"])
def test_writers_say_it_too(monkeypatch, solids, tmp_path, module):
    from shapekit.export.threemf import write_3mf
    from shapekit.export.vtp import write_vtp

    write = write_3mf if module == "lib3mf" else write_vtp
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(sk.MissingPackageError, match="install shapekit"):
        write(tmp_path / "body", [solids["L3_actual"]])
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_is_an_output_error(solids, tmp_path):
    from shapekit.export.threemf import write_3mf
    from shapekit.export.vtp import write_vtp

    for write in (write_3mf, write_vtp):
        with pytest.raises((sk.OutputError, OSError)):
            write(tmp_path / "nosuch" / "body", [solids["L3_actual"]])


def test_the_record_says_spaces_units_and_repairs(written, solids):
    record = json.loads((written / "meshes.json").read_text())
    assert record["case"] == NASTY
    assert set(record["spaces"]) == set(FORMATS)
    assert "LPS" in record["spaces"]["stl"]
    assert "RAS" in record["spaces"]["glb"]
    assert record["checked_by"] == ["trimesh", "manifold3d"]
    for body in record["bodies"]:
        assert body["repairs"] == []
        assert body["faces"] == len(solids[body["name"]].mesh.faces)
    assert [plate["level"] for plate in record["plates"]] == ["L2", "L3", "L4", "L5"]
    assert all(plate["surface_error_mm"] < 0.5 for plate in record["plates"])


def test_without_3mf_or_stl_plates_are_3mf(scored, tmp_path):
    write_meshes(tmp_path, scored[1:2], (), print=True)
    assert {path.name for path in tmp_path.iterdir()} == {"L3_print.3mf", "meshes.json"}


def test_the_scene_refers_to_files_beside_it_and_a_nasty_name_stays_text(written, solids):
    root = ElementTree.parse(written / "scene.mrml").getroot()  # noqa: S314
    assert {node.tag for node in root} == {"Model", "ModelDisplay", "ModelStorage"}
    known = {node.get("id"): node for node in root}
    assert len(known) == 3 * len(solids)
    for model in root.iter("Model"):
        assert model.get("description").startswith("<img src=x onerror=alert(1)>&\"'?../../etc: ")
        display, storage = (known[part.split(":")[1]] for part in model.get("references").rstrip(";").split(";"))
        assert storage.get("coordinateSystem") == "LPS"
        assert (written / storage.get("fileName")).is_file()
        assert storage.get("fileName") == model.get("name").replace(" ", "_") + ".vtp"
        if model.get("name").endswith("expected"):
            assert display.get("activeScalarName") == "deficit_mm"
    assert b"<img" not in (written / "scene.mrml").read_bytes()


def test_a_scene_takes_the_most_telling_format_that_was_written(scored, solids, tmp_path):
    assert READABLE == ("vtp", "ply", "obj", "stl")
    write_scene(tmp_path / "scene.mrml", list(solids.values()), "stl", case="case")
    text = (tmp_path / "scene.mrml").read_text()
    assert "L3_actual.stl" in text
    assert "activeScalarName" not in text  # STL has none
    write_meshes(tmp_path, scored[1:2], ("stl", "glb"))
    assert 'fileName="L3_expected.stl"' in (tmp_path / "scene.mrml").read_text()


def test_a_name_that_would_lead_elsewhere_stays_in_its_folder(crushed_result, tmp_path):
    alone = replace(crushed_result, name=NASTY, vertebrae=crushed_result.vertebrae[1:2])
    folder = alone.save(tmp_path / "out", meshes=("stl", "obj", "ply", "glb"))
    assert folder.parent == tmp_path / "out"
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]
    assert list((tmp_path / "out").iterdir()) == [folder]
    assert not set(folder.name) & set('<>"\n/')
    for path in folder.rglob("*"):
        if path.suffix in (".obj", ".ply", ".stl", ".mrml"):
            assert b"<img" not in path.read_bytes()


@pytest.mark.parametrize("suffix", ["ply", "stl", "obj"])
def test_a_mesh_that_was_written_loads_again_in_the_patients_space(written, solids, suffix):
    meshes = sk.load({level: written / f"{level}_actual.{suffix}" for level in ("L2", "L3")}).meshes
    for level, mesh in meshes.items():
        solid = solids[f"{level}_actual"]
        assert mesh.vertices.min(axis=0) == pytest.approx(solid.mesh.vertices.min(axis=0), abs=0.01)
        assert mesh.vertices.max(axis=0) == pytest.approx(solid.mesh.vertices.max(axis=0), abs=0.01)
        assert volume_mm3(mesh) == pytest.approx(volume_mm3(solid.mesh), rel=1e-4)  # not turned inside out


def test_saving_again_replaces_meshes_and_leaves_other_files_alone(crushed_result, tmp_path):
    alone = replace(crushed_result, vertebrae=crushed_result.vertebrae[1:2])
    folder = alone.save(tmp_path, meshes=("stl",))
    (folder / "meshes" / "mine.txt").write_text("mine")
    (folder / "meshes" / "L3_actual.stl").write_bytes(b"old")
    alone.save(tmp_path, meshes=("stl",), palette="plasma")
    assert (folder / "meshes" / "mine.txt").read_text() == "mine"
    assert (folder / "meshes" / "L3_actual.stl").stat().st_size > 10_000
    assert json.loads((folder / "meshes" / "meshes.json").read_text())["colours"]["actual"].startswith("plasma")
    assert {path.name for path in folder.iterdir()} == {"scores.csv", "scores.json", "expected.nii.gz", "deficit.nii.gz", "meshes"}
