"""Vertebrae to bodies: components, canals, cuts, signed distances. ``make bench``."""

import numpy as np
from scipy import ndimage

from shapekit.spine import extract_bodies


def test_bench_bodies(benchmark, spine, count):
    bodies, missing, _ = extract_bodies(spine)
    assert len(bodies) == count
    assert not missing
    benchmark.pedantic(extract_bodies, (spine,), rounds=5)


def test_bench_components_of_the_whole_scan(benchmark, spine, size):
    """What one pass of SciPy's labelling costs without crops: the largest piece of each label comes later."""

    def whole():
        return [ndimage.label(spine.array == value, np.ones((3, 3, 3)))[1] for value in list(spine.levels)[: 2 if size == "large" else None]]

    assert min(whole()) >= 1
    benchmark.pedantic(whole, rounds=2)
