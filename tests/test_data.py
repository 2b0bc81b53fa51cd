import hashlib
import importlib.util
import json
from pathlib import Path

import numpy as np

import shapekit as sk

ROOT = Path(__file__).resolve().parents[1]


def test_shipped_files_have_the_checksums_they_are_listed_with():
    listed = dict(reversed(line.split()) for line in (ROOT / "data" / "SHA256SUMS").read_text().splitlines())
    shipped = {str(path.relative_to(ROOT / "data")) for path in (ROOT / "data").glob("*/*") if path.is_file() and path.suffix != ".py"}
    assert set(listed) == shipped
    for name, checksum in listed.items():
        assert hashlib.sha256((ROOT / "data" / name).read_bytes()).hexdigest() == checksum, name


def test_the_shipped_patient_is_what_its_maker_makes():
    specification = importlib.util.spec_from_file_location("make_demo", ROOT / "data" / "make_demo.py")
    maker = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(maker)
    scan = maker.demo_scan()
    shipped = sk.load(ROOT / "data" / "demo" / "demo_spine.nii.gz")
    assert shipped.grid.is_close(scan.labels.grid)
    assert np.mean(shipped.array != scan.labels.array) < 1e-5  # another machine may round a voxel on the surface the other way
    truth = json.loads((ROOT / "data" / "demo" / "demo_truth.json").read_text())
    assert [truth[level]["grade"] for level in ("T8", "T12", "L3")] == [2, 3, 1]
    assert list(truth) == [str(level) for level in shipped.levels.values()]
