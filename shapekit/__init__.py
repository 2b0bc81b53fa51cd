"""shapekit: how far a vertebral body departs from the shape it should have, from a segmentation mask.

``load`` opens a mask or meshes, ``score`` scores them, ``SpineScore`` holds what came out. Research software, not a medical device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shapekit.core.checks import (
        InputError,
        MissingPackageError,
        OutputError,
        SchemeError,
        ShapekitError,
        UsageError,
    )
    from shapekit.core.levels import Level
    from shapekit.io import load
    from shapekit.results import SpineScore, score
    from shapekit.version import __version__
    from shapekit.vertebra import VertebraScore

_WHERE = {
    "load": "shapekit.io",
    "score": "shapekit.results",
    "SpineScore": "shapekit.results",
    "VertebraScore": "shapekit.vertebra",
    "Level": "shapekit.core.levels",
    "ShapekitError": "shapekit.core.checks",
    "InputError": "shapekit.core.checks",
    "SchemeError": "shapekit.core.checks",
    "UsageError": "shapekit.core.checks",
    "OutputError": "shapekit.core.checks",
    "MissingPackageError": "shapekit.core.checks",
    "__version__": "shapekit.version",
}

__all__ = [
    "InputError",
    "Level",
    "MissingPackageError",
    "OutputError",
    "SchemeError",
    "ShapekitError",
    "SpineScore",
    "UsageError",
    "VertebraScore",
    "__version__",
    "load",
    "score",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that ``import shapekit`` is quick."""
    if name not in _WHERE:
        raise AttributeError(f"module 'shapekit' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
