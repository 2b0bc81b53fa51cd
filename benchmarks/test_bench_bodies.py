"""Vertebrae to bodies: components, canals, cuts, signed distances. ``make bench``."""

import cc3d
import numpy as np
import pytest
from scipy import ndimage

from shapekit.spine import extract_bodies

WHOLE = {
    "scipy": lambda spine: [ndimage.label(spine.array == value, np.ones((3, 3, 3)))[1] for value in list(spine.levels)[:2]],
    "cc3d": lambda spine: [cc3d.connected_components(spine.array, connectivity=26, return_N=True)[1]],
}


def test_bench_bodies(benchmark, spine, count):
    bodies, missing, _ = extract_bodies(spine)
    assert len(bodies) == count
    assert not missing
    benchmark.pedantic(extract_bodies, (spine,), rounds=5)


@pytest.mark.parametrize("library", WHOLE)
def test_bench_components_of_the_whole_scan(benchmark, spine, library):
    """What labelling costs without crops, of two labels by SciPy and of all by cc3d: the largest piece of each comes later."""
    assert min(WHOLE[library](spine)) >= 1
    benchmark.pedantic(WHOLE[library], (spine,), rounds=2)
