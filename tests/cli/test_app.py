"""The command as a process, its help and how it ends."""

import re
import subprocess
import sys

import pytest

import shapekit as sk
from shapekit.cli import main
from shapekit.io.schemes import SCHEMES

OPTIONS = (
    "--output --scheme --bodies --body-mask --predictor --preset --weights --segment --device --meshes --print --palette --decimate"
    " --report --quiet --verbose --help"
).split()


def uncoloured(text: str) -> str:
    """Some CI services make typer colour its help."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.mark.parametrize("words", [["--help"], ["-h"], []])
def test_help_lists_every_command(command, words):
    ended = command(*words)
    assert (ended.code, ended.err) == (0, "")
    for name in ("demo", "score", "phantom", "schemes", "doctor"):
        assert f"│ {name} " in uncoloured(ended.out)
    assert "not a medical device" in uncoloured(ended.out)


def test_help_of_score_lists_every_option(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    ended = command("score", "--help")
    assert (ended.code, ended.err) == (0, "")
    assert [option for option in OPTIONS if option not in uncoloured(ended.out)] == []
    assert "Exit code 0" in uncoloured(ended.out)


def test_version_is_the_packages(command):
    assert command("--version") == (0, f"shapekit {sk.__version__}\n", "")


@pytest.mark.parametrize("words", [["nosuch"], ["--nosuch"], ["score"], ["score", "x.nii.gz"], ["score", "-o", "out"], ["score", "x", "-o"]])
def test_bad_usage_is_one_line(command, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = command(*words)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert ended.err.startswith("shapekit: ")
    assert ended.err.endswith(".\n")
    assert list(tmp_path.iterdir()) == []


def test_every_scheme_shows_its_levels(command):
    listed = command("schemes")
    assert (listed.code, listed.err) == (0, "")
    assert [line.split()[0] for line in listed.out.splitlines()] == list(SCHEMES)
    for name, scheme in SCHEMES.items():
        shown = command("schemes", name)
        assert (shown.code, shown.err) == (0, "")
        rows = dict(line.split(maxsplit=1) for line in shown.out.splitlines()[1:])
        assert {int(value): text.split()[0] for value, text in rows.items() if int(value) in scheme.levels} == {
            value: str(level) for value, level in scheme.levels.items()
        }


def test_a_scheme_that_does_not_exist_names_those_that_do(command):
    ended = command("schemes", "nosuch")
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert all(name in ended.err for name in ("'nosuch'", *SCHEMES))


def test_doctor_names_every_required_package(command):
    ended = command("doctor")
    assert (ended.code, ended.err) == (0, "")
    from importlib.metadata import requires, version

    needed = [line.split(";")[0].split(">")[0].strip() for line in requires("shapekit") if "extra ==" not in line]
    assert len(needed) > 10
    lines = [line.split() for line in ended.out.splitlines()]
    for name in needed:
        assert [name, version(name)] in [line[:2] for line in lines]
    assert any(line[:2] == ["device", "cpu:"] for line in lines)


def test_doctor_says_how_to_get_what_is_missing(command, monkeypatch):
    from importlib.metadata import PackageNotFoundError, version

    def without_some(name: str) -> str:
        if name in ("trimesh", "ray"):
            raise PackageNotFoundError(name)
        return version(name)

    def without_open3d(name: str) -> None:
        raise ImportError("libusb-1.0.so.0: cannot open shared object file")

    monkeypatch.setattr("shapekit.cli.doctor.version", without_some)
    monkeypatch.setattr("shapekit.cli.doctor.import_module", without_open3d)
    ended = command("doctor")
    assert ended.code == 1
    assert "missing: pip install trimesh" in ended.out
    assert "shapekit[mesh]" in ended.out
    assert "missing (cohorts on a cluster): pip install 'shapekit[ray]'" in ended.out


def test_doctor_knows_the_extra_of_every_optional_package():
    from importlib.metadata import requires

    from shapekit.cli.doctor import OPTIONAL

    lines = [line for line in requires("shapekit") if "extra ==" in line]
    named = {(re.split(r"[<>=; \[]", line)[0], re.search(r"extra == ['\"](\w+)", line).group(1)) for line in lines}
    assert {(name, extra) for name, extra in named if extra not in ("mesh", "docs", "dev")} == {
        (name, extra) for name, (_, extra) in OPTIONAL.items()
    }


def test_as_a_process_an_unreadable_mask_is_one_line_and_code_2(tmp_path):
    arguments = [sys.executable, "-W", "error", "-m", "shapekit", "score", "nosuch.nii.gz", "-o", "out"]
    ended = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "shapekit: nosuch.nii.gz does not exist or is no ordinary file; check the path.\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("default::shapekit.core.checks.ShapekitWarning")
def test_a_warning_is_one_line_like_a_complaint(crushed_mask, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("shapekit.ops.backends._why_missing", lambda kind: "the C++ library is not there")
    monkeypatch.setattr("shapekit.ops.backends._told", set())
    assert main(["score", str(crushed_mask), "-q", "-o", str(tmp_path)]) == 0
    assert capsys.readouterr().err == "shapekit: the reference implementations serve, which are slow: the C++ library is not there.\n"
