"""Slopes of a body's endplates and walls: ``make bench``. Answers are checked first; there is no library for it."""

import numpy as np
import pytest

from shapekit.ops import Faces, gather_evidence
from shapekit.phantom import draw_patient


@pytest.mark.parametrize("name", ["cpu", "reference"])
def test_bench_gather_evidence(benchmark, name):
    vertebra = draw_patient(23, levels=["L1"], fractures="none")["L1"]
    given = Faces.of(vertebra.mesh()), vertebra.frame()
    seen = gather_evidence(*given, backend=name)
    assert np.abs([*vars(seen).values()]).max() < 8.0
    benchmark.pedantic(gather_evidence, given, {"backend": name}, rounds=9, warmup_rounds=1)
