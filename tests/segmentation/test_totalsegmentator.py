import stat
import sys

import numpy as np
import pytest

from shapekit.core.checks import InputError, MissingPackageError
from shapekit.core.grid import Grid
from shapekit.io.nifti import write_label_map
from shapekit.segmentation import run_totalsegmentator


def installed(folder, script, monkeypatch):
    """A program of that name on the path, as an installation leaves it."""
    program = folder / "TotalSegmentator"
    program.write_text(f"#!{sys.executable}\n{script}")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder))


def test_its_masks_become_a_label_map(tmp_path, monkeypatch):
    array = np.zeros((20, 22, 24), np.uint8)
    array[4:14, 5:15, 6:12] = 1
    write_label_map(tmp_path / "l1.nii.gz", array, Grid(array.shape, np.diag([2.0, 2.0, 3.0, 1.0])))
    script = f"""
import pathlib, shutil, sys
given = dict(zip(sys.argv[1:5:2], sys.argv[2:5:2]))
out = pathlib.Path(given["-o"]); out.mkdir()
assert given["-i"].endswith("case.nii.gz") and "vertebrae_L1" in sys.argv and sys.argv[-1] == "cpu"
shutil.copy({str(tmp_path / "l1.nii.gz")!r}, out / "vertebrae_L1.nii.gz")
"""
    installed(tmp_path, script, monkeypatch)
    labels = run_totalsegmentator(tmp_path / "case.nii.gz")
    assert [str(level) for level in labels.levels.values()] == ["L1"]
    assert labels.name == "case"
    assert int((labels.array > 0).sum()) == 600
    assert "segmented by TotalSegmentator" in labels.notes


def test_without_it_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingPackageError, match="pip install TotalSegmentator"):
        run_totalsegmentator("case.nii.gz")


def test_its_failure_is_told_with_its_last_line(tmp_path, monkeypatch):
    installed(tmp_path, "import sys; sys.exit('first\\nno licence')", monkeypatch)
    with pytest.raises(InputError, match=r"could not segment case\.nii\.gz .*no licence"):
        run_totalsegmentator("case.nii.gz")
