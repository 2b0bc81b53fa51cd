"""Real patients, read in place beside the repository; every test that needs one skips with a reason where they are absent."""

import functools
from pathlib import Path

import pytest

import shapekit as sk

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
VERSE004 = "verse19/sub-verse004_seg-vert_msk.nii.gz"


def real_file(name):
    path = DATA / name
    if not path.exists():
        pytest.skip(f"needs the real case shared/data/{name} beside the repository")
    return path


@functools.cache
def scored(name):
    """Each case is scored once for all tests."""
    return sk.score(sk.load(real_file(name)))
