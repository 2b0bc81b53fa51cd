"""The session's crushed spine as a report's subject, with the intervals of a predictor whose spread was not measured: none."""

from dataclasses import replace

import pytest


@pytest.fixture(scope="session")
def subject(crushed_result):
    subject = crushed_result._subject()
    none = {"score_lo": float("nan"), "score_hi": float("nan")}
    return replace(subject, scored=tuple(replace(one, measures=replace(one.measures, **none)) for one in subject.scored))
