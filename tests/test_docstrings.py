"""Every public docstring says what it takes, what it gives and what it raises, and agrees with the code (numpydoc's checks and two of our own)."""

import ast
import importlib
import inspect
import re
import textwrap
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

import shapekit
from shapekit.core import checks

SOURCES = Path(shapekit.__file__).parent
RULES = {
    "GL03": "no double blank lines",
    "GL05": "no tabs",
    "GL06": "only numpydoc's sections",
    "GL07": "sections in numpydoc's order",
    "GL08": "a docstring at all",
    "SS01": "a summary",
    "SS03": "the summary ends with a full stop",
    "SS04": "the summary is not indented",
    "PR01": "a Parameters section misses none",
    "PR02": "and invents none",
    "PR03": "and keeps their order",
    "PR05": "a type has no full stop",
    "PR09": "a description has one",
    "PR10": "a colon has a space before it",
    "RT05": "so does a return value's description",
}
OWED: dict[str, list[str]] = {}
"""Known to be missing; whoever writes it takes it off this list."""
COMPLAINTS = {name for name, kind in vars(checks).items() if inspect.isclass(kind) and issubclass(kind, checks.ShapekitError)}


def modules() -> list[str]:
    """By file: an editable install shows the project's folder as part of the package's path, too."""
    files = (file.relative_to(SOURCES.parent).with_suffix("").parts for file in SOURCES.rglob("*.py") if file.stem != "__main__")
    return sorted(".".join(parts[:-1] if parts[-1] == "__init__" else parts) for parts in files)


def public_objects(module: str) -> Iterator[tuple[str, object]]:
    """Functions, classes and their methods that a module defines and does not hide."""
    for name, found in vars(importlib.import_module(module)).items():
        if name.startswith("_") or getattr(found, "__module__", None) != module:
            continue
        if inspect.isfunction(found):
            yield f"{module}.{name}", found
        elif inspect.isclass(found):
            yield f"{module}.{name}", found
            for member, method in vars(found).items():
                plain = method.__func__ if isinstance(method, classmethod | staticmethod) else method
                if not member.startswith("_") and (inspect.isfunction(plain) or isinstance(plain, property)):
                    yield f"{module}.{name}.{member}", plain


def sections_of(text: str) -> dict[str, str]:
    parts = re.split(r"^([A-Z][A-Za-z ]+)\n-{3,}\n", inspect.cleandoc(text), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def raised_in(function: object) -> set[str]:
    """Our own exceptions that a function's body raises by name."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    calls = (node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call))
    return {call.func.id for call in calls if isinstance(call.func, ast.Name)} & COMPLAINTS


def complaints_about(name: str, found: object) -> list[str]:
    from numpydoc.validate import validate

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what numpydoc itself is deprecated for
        errors = dict(validate(name)["errors"])
    text = inspect.getdoc(found) or ""
    sections = sections_of(text)
    if "Parameters" not in sections:
        errors.pop("PR01", None)  # one line may say it all
    said = [f"{code} {message}" for code, message in errors.items() if code in RULES]
    if re.search(r"\b[Dd]efaults? (is|to|=)|, default\b", sections.get("Parameters", "")):
        said.append("a default stands in the docstring, where it will differ from the signature's one day")
    if inspect.isfunction(found):
        said += [f"raises {kind} and does not say so" for kind in sorted(raised_in(found)) if kind not in sections.get("Raises", "")]
    return said


@pytest.mark.parametrize("module", modules())
def test_public_docstrings_agree_with_the_code(module):
    first = (inspect.getdoc(importlib.import_module(module)) or "").split("\n\n")[0]
    assert first.endswith("."), f"{module} does not begin with a sentence"
    wrong = {name: said for name, found in public_objects(module) if (said := complaints_about(name, found))}
    assert wrong == {name: said for name, said in OWED.items() if name.rpartition(".")[0] == module}


@pytest.mark.parametrize("name", [name for name in shapekit.__all__ if inspect.isfunction(getattr(shapekit, name))])
def test_what_users_call_documents_every_parameter_what_it_returns_and_an_example(name):
    function = getattr(shapekit, name)
    sections = sections_of(function.__doc__)
    assert {"Parameters", "Returns", "Raises", "Examples"} <= set(sections)
    for parameter in inspect.signature(function).parameters:
        assert re.search(rf"^{parameter} : ", sections["Parameters"], re.MULTILINE), parameter


def test_the_checks_themselves_find_what_they_look_for():
    def silent(size_mm: float) -> None:
        """Refuse.

        Parameters
        ----------
        size_mm : float, default 3
        """
        raise checks.InputError("never") if size_mm else InputError("never")

    InputError = checks.InputError
    assert raised_in(silent) == set()
    assert "Parameters" in sections_of(silent.__doc__)

    def plain() -> None:
        raise InputError("never")

    assert raised_in(plain) == {"InputError"}
