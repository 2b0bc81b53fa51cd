import subprocess
import sys

import shapekit as sk
from shapekit.cli import main
from shapekit.io.schemes import SCHEMES


def test_schemes_lists_every_scheme_and_the_values_of_one(capsys):
    assert main(["schemes"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in SCHEMES)
    assert main(["schemes", "verse"]) == 0
    values = capsys.readouterr().out
    assert "   20  L1" in values
    assert "   28  T13" in values


def test_doctor_names_what_is_there_and_how_to_get_what_is_not(capsys):
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    for word in ("shapekit", "torch", "nibabel", "open3d", "device cpu", "device gpu"):
        assert word in out


def test_help_and_version_go_to_stdout(capsys):
    for arguments in (["--help"], ["score", "--help"], ["phantom", "-h"]):
        assert main(arguments) == 0
        out, err = capsys.readouterr()
        assert "Usage" in out
        assert err == ""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"shapekit {sk.__version__}\n"


def test_demo_scores_the_shipped_patient(tmp_path, capsys):
    assert main(["demo", "-o", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "crush, grade 3" in out
    written = sorted(path.name for path in (tmp_path / "demo_spine").iterdir())
    assert written == ["deficit.nii.gz", "expected.nii.gz", "report.html", "scores.csv", "scores.json"]


def test_demo_writes_meshes_on_demand_and_refuses_formats_that_are_not(tmp_path, capsys):
    assert main(["demo", "-q", "-o", str(tmp_path), "--meshes", "GLB, stl"]) == 0
    written = {path.name for path in (tmp_path / "demo_spine" / "meshes").iterdir()}
    assert {"spine_actual.glb", "spine_expected.stl", "T12_actual.stl", "scene.mrml", "meshes.json"} <= written
    assert main(["demo", "-o", str(tmp_path / "other"), "--meshes", "fbx"]) == 2
    assert "fbx" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_as_a_module_and_without_loading_what_help_does_not_need():
    probe = (
        "import sys, shapekit, shapekit.cli; code = shapekit.cli.main(['--help']);"
        "heavy = {'torch', 'pandas', 'scipy', 'nibabel', 'numpy'} & set(sys.modules); sys.exit(code or len(heavy))"
    )
    assert subprocess.run([sys.executable, "-c", probe], capture_output=True, check=False).returncode == 0
    version = subprocess.run([sys.executable, "-m", "shapekit", "--version"], capture_output=True, check=True, text=True)
    assert version.stdout == f"shapekit {sk.__version__}\n"
