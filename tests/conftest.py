"""A small lumbar spine of bodies whose middle one has lost height, as users would have it on disk."""

import pytest

import shapekit as sk
from shapekit.io.nifti import write_label_map
from tests.factories import body_spine


@pytest.fixture(scope="session")
def crushed_spine():
    return body_spine(crushed=sk.Level.L3, keep=0.75)[0]


@pytest.fixture(scope="session")
def crushed_mask(crushed_spine, tmp_path_factory):
    path = tmp_path_factory.mktemp("masks") / "lumbar.nii.gz"
    write_label_map(path, crushed_spine.array, crushed_spine.grid)
    return path


@pytest.fixture(scope="session")
def crushed_result(crushed_spine):
    return sk.score(crushed_spine, predictor="neighbours")  # its bodies are no vertebrae
