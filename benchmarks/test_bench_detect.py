"""Labels to levels: one pass over the array for boxes and counts, then the scheme. ``make bench``."""

import cc3d
import numpy as np
from scipy import ndimage

from shapekit.core.labels import summarise_labels
from shapekit.io.schemes import detect


def test_bench_summarise(benchmark, spine):
    summaries = summarise_labels(spine.array, spine.grid)
    assert all(summaries[value].count == np.count_nonzero(spine.array == value) for value in spine.levels)
    benchmark.pedantic(summarise_labels, (spine.array, spine.grid), rounds=7)


def test_bench_find_objects(benchmark, spine):
    """SciPy's boxes alone, without counts and centroids."""
    boxes = ndimage.find_objects(spine.array)
    assert sum(box is not None for box in boxes) == len(spine.levels)
    benchmark.pedantic(ndimage.find_objects, (spine.array,), rounds=7)


def test_bench_cc3d_statistics(benchmark, spine):
    """Boxes, counts and centroids by the library that is made for it."""
    found = cc3d.statistics(spine.array)
    assert all(found["voxel_counts"][value] == np.count_nonzero(spine.array == value) for value in spine.levels)
    benchmark.pedantic(cc3d.statistics, (spine.array,), rounds=7)


def test_bench_limit_of_summarise(benchmark, spine):
    """The array read once, and nothing else: no way of summarising it takes less."""
    assert spine.array.max() == max(spine.levels)
    benchmark.pedantic(spine.array.max, rounds=7)


def test_bench_detect(benchmark, spine):
    summaries = summarise_labels(spine.array, spine.grid)
    assert detect(summaries).levels == spine.levels
    benchmark.pedantic(detect, (summaries,), rounds=15)
