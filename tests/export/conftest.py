"""The session's crushed spine as solids, and every file that they give."""

import pytest

from shapekit.export import FORMATS, solids_of, write_meshes

NASTY = "<img src=x onerror=alert(1)>&\"'\n../../etc"


@pytest.fixture(scope="session")
def scored(crushed_result):
    return [vertebra._scored for vertebra in crushed_result]


@pytest.fixture(scope="session")
def solids(scored):
    return {solid.name: solid for solid in solids_of(scored)}


@pytest.fixture(scope="session")
def written(scored, tmp_path_factory):
    """All formats and plates of the spine, under a name that would do harm if it were not text."""
    folder = tmp_path_factory.mktemp("meshes")
    write_meshes(folder, scored, tuple(FORMATS), print=True, case=NASTY)
    return folder
