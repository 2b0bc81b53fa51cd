"""``shapekit``'s own names: all there, nothing else, and imported only when they are used."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import shapekit

NAMES = (
    "InputError Level MissingPackageError OutputError SchemeError ShapekitError SpineScore UsageError VertebraScore __version__ load score"
).split()


def test_the_names_are_the_promised_ones():
    assert sorted(shapekit.__all__) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_leads_to_what_its_module_defines(name):
    found = getattr(shapekit, name)
    assert name in dir(shapekit)
    if name != "__version__":
        assert found.__name__ == name
        assert getattr(importlib.import_module(found.__module__), name) is found
        assert inspect.getdoc(found)


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(shapekit.__file__).read_text())
    (guarded,) = (node for node in tree.body if isinstance(node, ast.If))
    imported = {alias.name for node in guarded.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert imported == set(NAMES)


def test_a_star_import_brings_them_all():
    space: dict[str, object] = {}
    exec("from shapekit import *", space)
    assert set(NAMES) <= set(space)


@pytest.mark.parametrize("name", ["nosuch", "Spine", "__nosuch__"])
def test_an_unknown_name_is_an_attribute_error(name):
    with pytest.raises(AttributeError, match=f"module 'shapekit' has no attribute '{name}'"):
        getattr(shapekit, name)
    assert not hasattr(shapekit, name)


def test_exceptions_are_one_family_and_of_the_kinds_python_users_expect():
    for name, kind in {"InputError": ValueError, "UsageError": ValueError, "OutputError": OSError, "MissingPackageError": ImportError}.items():
        assert issubclass(getattr(shapekit, name), shapekit.ShapekitError)
        assert issubclass(getattr(shapekit, name), kind)
    assert issubclass(shapekit.SchemeError, shapekit.InputError)


def test_importing_and_asking_for_names_loads_nothing_heavy():
    probe = (
        "import sys, shapekit; dir(shapekit); shapekit.__version__; shapekit.Level; shapekit.InputError;"
        "print(sorted({'torch', 'pandas', 'scipy', 'nibabel', 'SimpleITK', 'trimesh', 'skimage'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_making_a_predictor_loads_none_of_what_compiles_networks():
    probe = (
        "import sys; from shapekit.predictors import make_predictor; make_predictor('generative');"
        "print(sorted({'torch._dynamo', 'torch._inductor', 'sympy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout == "[]\n"
