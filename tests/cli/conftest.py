"""The command in this process, with everything it writes to either stream, also below Python."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from shapekit.cli import main
from tests.cli.spines import lumbar_score, write


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


@pytest.fixture(scope="session")
def mask(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("masks") / "sub-1_seg.nii.gz")


@pytest.fixture
def scored_before(monkeypatch) -> None:
    """Let the command take the spine's scores from an earlier run: for tests of what happens around the scoring."""
    monkeypatch.setattr("shapekit.results.score", lambda spine, **options: replace(lumbar_score(), name=spine.name, notes=spine.notes))


def files_in(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if not file.is_dir())
