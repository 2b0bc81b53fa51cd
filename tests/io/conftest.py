"""Volumes that no convention survives by luck: unequal sides, unequal spacing, an oblique affine."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from shapekit.core.grid import Grid

SHAPE = (37, 52, 41)
SPACING_MM = (0.7, 1.3, 2.9)


def rotation(angles_deg: tuple[float, float, float]) -> np.ndarray:
    turned = np.eye(3)
    for axis, angle in enumerate(np.radians(angles_deg)):
        step = np.eye(3)
        a, b = [n for n in range(3) if n != axis]
        step[a, a] = step[b, b] = np.cos(angle)
        step[a, b], step[b, a] = -np.sin(angle), np.sin(angle)
        turned = step @ turned
    return turned


def affine_of(spacing_mm=SPACING_MM, angles_deg=(12.0, -7.0, 23.0), origin_mm=(-31.0, 17.5, 240.25)) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = rotation(angles_deg) * np.asarray(spacing_mm)
    affine[:3, 3] = origin_mm
    return affine


@pytest.fixture
def grid() -> Grid:
    return Grid(SHAPE, affine_of())


@pytest.fixture
def labels() -> np.ndarray:
    array = np.zeros(SHAPE, np.uint8)
    array[5:30, 8:45, 3:12] = 20
    array[7:28, 10:40, 15:24] = 21
    array[6:33, 9:47, 27:39] = 22
    return array


@pytest.fixture
def refuses() -> Callable[..., str]:
    """Check that a call raises one sentence that names the file and holds some words."""

    def check(kind: type[Exception], name: str, call: Callable[[], object], *words: str) -> str:
        with pytest.raises(kind) as caught:
            call()
        text = str(caught.value)
        assert "\n" not in text
        assert name in text
        assert text.endswith(".")
        for word in words:
            assert word in text
        return text

    return check


@pytest.fixture(scope="session")
def real_data() -> Path:
    folder = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real cases are not beside this checkout")
    return folder
