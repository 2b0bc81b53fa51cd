"""The session's crushed spine as a report's subject."""

import pytest


@pytest.fixture(scope="session")
def subject(crushed_result):
    return crushed_result._subject()
