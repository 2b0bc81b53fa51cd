"""A file to a label map: ours (with its checks) beside nibabel with indexed_gzip and SimpleITK alone. ``make bench``."""

import nibabel
import numpy as np
import pytest
import SimpleITK

import shapekit as sk
from shapekit.io.volumes import read_volume

READERS = {
    "load": lambda path: sk.load(path).array,
    "volume": lambda path: read_volume(path).array,
    "nibabel": lambda path: np.asanyarray(nibabel.load(path).dataobj),
    "SimpleITK": lambda path: SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))).T,
}


@pytest.mark.parametrize("name", READERS)
def test_bench_read(benchmark, name, path, spine):
    assert np.array_equal(READERS[name](path), spine.array)
    benchmark.pedantic(READERS[name], (path,), rounds=5)
