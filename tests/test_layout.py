"""The house's plan: every module has a test, no file outgrows a reading, every folder says what passes through it."""

import ast
import importlib
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "shapekit"
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if path.stem not in ("__init__", "__main__"))
ONLY_CONSTANTS = {Path("core/conventions.py"), Path("version.py")}
TESTED_THROUGH = {
    "cli/demo.py": "cli/test_other_commands.py",
    "cli/doctor.py": "cli/test_app.py",
    "cli/phantom.py": "datasets/test_phantom.py",
    "cli/reproduce.py": "study/test_reproduce.py",
    "cli/schemes.py": "cli/test_app.py",
    "cli/score.py": "cli/test_score_command.py",
    "export/gltf.py": "export/test_formats.py",
    "export/plain.py": "export/test_formats.py",
    "io/anatomy.py": "io/test_schemes.py",
    "io/itkfiles.py": "io/test_volumes.py",
    "phantom/arch.py": "phantom/test_patient.py",
    "phantom/body.py": "phantom/test_patient.py",
    "phantom/fracture.py": "phantom/test_patient.py",
    "phantom/reference.py": "phantom/test_patient.py",
    "phantom/spine.py": "phantom/test_patient.py",
    "phantom/surface.py": "phantom/test_patient.py",
    "pipeline.py": "test_results.py",
    "vertebra.py": "test_results.py",
}
"""Modules that no test imports by name, and where what they do is tested."""
MAX_LINES, MAX_METHODS = 400, 20


@cache
def modules_in_tests() -> frozenset[str]:
    """Modules that a test imports, or whose names it imports from the folder above."""
    named = set()
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                named |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "shapekit":
                source = importlib.import_module(node.module)
                named.add(node.module)
                for alias in node.names:
                    found = getattr(source, alias.name, None)
                    named |= {f"{node.module}.{alias.name}", getattr(found, "__module__", None) or ""}
    return frozenset(named)


@pytest.mark.parametrize("module", [module for module in MODULES if module not in ONLY_CONSTANTS], ids=str)
def test_a_module_has_a_test_beside_it_or_one_that_imports_it(module):
    mirrored = ROOT / "tests" / module.parent / f"test_{module.name}"
    dotted = ".".join(("shapekit", *module.with_suffix("").parts))
    through = TESTED_THROUGH.get(module.as_posix())
    assert mirrored.is_file() or dotted in modules_in_tests() or (through is not None and (ROOT / "tests" / through).is_file())


def test_only_constants_means_only_constants():
    for module in ONLY_CONSTANTS:
        tree = ast.parse((PACKAGE / module).read_text())
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)]


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_no_file_and_no_class_outgrows_a_reading(module):
    text = (PACKAGE / module).read_text()
    assert len(text.splitlines()) <= MAX_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef):
            methods = {part.name for part in node.body if isinstance(part, ast.FunctionDef)}
            assert len(methods) <= MAX_METHODS, node.name


def test_every_folder_says_what_comes_in_and_what_goes_out():
    folders = sorted({module.parent for module in MODULES} - {Path()})
    assert len(folders) >= 10
    for folder in folders:
        said = ast.get_docstring(ast.parse((PACKAGE / folder / "__init__.py").read_text())) or ""
        assert said.startswith("In: "), folder
        assert " Out: " in said, folder


def test_test_folders_mirror_the_packages():
    known = {path.name for path in PACKAGE.iterdir() if path.is_dir()} | {"benchmarks", "laws", "oracles", "real"}
    assert {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and not path.name.startswith("__")} <= known


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_of_the_pages_outside_the_guide_lead_to_files(page):
    """Those of the guide are Sphinx's business: `make docs` fails on them."""
    links = re.findall(r"\]\((?!https?://)([^)#]+)", (ROOT / page).read_text())
    assert [link for link in links if not (ROOT / link).is_file()] == []
    assert len(links) > 10 or page != "README.md"


def test_no_file_knows_the_machine_it_was_written_on():
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    listed = subprocess.run(
        [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
    ).stdout.split(b"\0")
    slash = b"/"
    forbidden = [slash + word + slash for word in (b"work", b"root", b"Users")]
    found = []
    for name in filter(None, listed):
        path = ROOT / name.decode()
        if path.is_file() and path.suffix in (".py", ".md", ".toml", ".txt", ".cfg", ".yml", ".json", ".csv", ".svg", ".html", ".cff", ""):
            content = path.read_bytes()
            found += [f"{name.decode()}: {word.decode()}" for word in forbidden if word in content]
    assert found == []
