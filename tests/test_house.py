"""The house keeps its own rules: names, docstrings, file sizes, what is shipped."""

import hashlib
import importlib
import inspect
import pkgutil
import warnings
from pathlib import Path

import pytest

import shapekit as sk

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted(module.name for module in pkgutil.walk_packages(sk.__path__, "shapekit.") if "__main__" not in module.name)
# numpydoc's checks of what a docstring says against the signature: missing, unknown and misordered parameters, missing summary
RULES = {"GL08", "PR02", "PR03", "PR10", "SS01", "SS05", "YD01"}


def public_things():
    for name in MODULES:
        module = importlib.import_module(name)
        for attribute, value in vars(module).items():
            if attribute.startswith("_") or getattr(value, "__module__", None) != name:
                continue
            if inspect.isclass(value) or inspect.isfunction(value):
                yield f"{name}.{attribute}"


def test_every_public_name_is_there():
    for name in sk.__all__:
        assert getattr(sk, name) is not None
        assert name in dir(sk)
    with pytest.raises(AttributeError, match="nosuch"):
        sk.nosuch  # noqa: B018


def test_every_public_docstring_agrees_with_its_signature():
    from numpydoc.validate import validate

    wrong = []
    for name in public_things():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpydoc's own
            found = validate(name)
        wrong += [f"{name}: {code} {text}" for code, text in found["errors"] if code in RULES]
    assert not wrong, "\n".join(wrong)


def test_every_folder_says_what_comes_in_and_what_goes_out():
    for path in (ROOT / "shapekit").glob("*/__init__.py"):
        first = path.read_text().split('"""')[1]
        assert first.startswith("In:"), path.parent.name
        assert "Out:" in first, path.parent.name


def test_no_file_grows_beyond_four_hundred_lines():
    long = {path.name: count for path in (ROOT / "shapekit").rglob("*.py") if (count := len(path.read_text().splitlines())) > 400}
    assert not long


def test_shipped_files_have_the_checksums_they_are_listed_with():
    listed = dict(reversed(line.split()) for line in (ROOT / "data" / "SHA256SUMS").read_text().splitlines())
    shipped = {str(path.relative_to(ROOT / "data")) for path in (ROOT / "data").glob("*/*") if path.is_file() and path.suffix != ".py"}
    assert set(listed) == shipped
    for name, checksum in listed.items():
        assert hashlib.sha256((ROOT / "data" / name).read_bytes()).hexdigest() == checksum, name
