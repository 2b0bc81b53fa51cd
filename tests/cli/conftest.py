"""The command in this process, with everything that reaches either stream, also from below Python."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from shapekit.cli import main
from shapekit.io.nifti import write_label_map


class Ended(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def command(capfd) -> Callable[..., Ended]:
    def run(*arguments: object) -> Ended:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        return Ended(code, *capfd.readouterr())

    return run


@pytest.fixture
def scored_before(monkeypatch, crushed_result) -> None:
    """Let the command take the scores of the session's spine: for tests of what happens around the scoring."""
    monkeypatch.setattr("shapekit.results.score", lambda spine, **options: replace(crushed_result, name=spine.name, notes=spine.notes))


@pytest.fixture
def only(crushed_spine, tmp_path) -> Callable[..., Path]:
    """Write a mask of some of the session's vertebrae."""

    def write(name: str, *labels: int) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = np.isin(crushed_spine.array, labels) if labels else crushed_spine.array > 0
        write_label_map(path, np.where(kept, crushed_spine.array, 0).astype(np.uint8), crushed_spine.grid)
        return path

    return write


def files_in(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if not file.is_dir())
