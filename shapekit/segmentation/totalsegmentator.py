"""An installed TotalSegmentator's masks as a LabelMap: a door to another program, which is neither shipped nor imported."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from shapekit.core.checks import InputError, MissingPackageError
from shapekit.core.values import LabelMap
from shapekit.io import load
from shapekit.io.paths import shown, stem
from shapekit.segmentation.labelling import USUAL

PROGRAM = "TotalSegmentator"
KNOWN = tuple(level for level in USUAL if str(level) != "L6")


def run_totalsegmentator(ct: str | Path, *, device: str = "cpu") -> LabelMap:
    """Let TotalSegmentator (Wasserthal et al. 2023) segment a CT's whole vertebrae.

    Parameters
    ----------
    ct : path
    device : str
        ``"cpu"`` or a CUDA device, as torch names it.

    Returns
    -------
    LabelMap

    Raises
    ------
    MissingPackageError
        If the program is not installed.
    InputError
        If it fails, or finds no vertebra.
    """
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    program = shutil.which(PROGRAM, path=places)
    if program is None:
        raise MissingPackageError(
            "TotalSegmentator is not installed here; install it (`pip install TotalSegmentator`) where its licence suits you, or use another mask."
        )
    classes = [f"vertebrae_{level}" for level in KNOWN]
    where = device.replace("cuda", "gpu")
    with tempfile.TemporaryDirectory(prefix="shapekit-") as folder:
        masks = Path(folder) / "masks"
        asked = [program, "-i", str(ct), "-o", str(masks), "--roi_subset", *classes, "--device", where]
        ended = subprocess.run(asked, capture_output=True, text=True, check=False)
        if ended.returncode:
            last = (ended.stderr.strip() or ended.stdout.strip() or "no message").splitlines()[-1]
            raise InputError(
                f"TotalSegmentator could not segment {shown(ct)} (it ended with {ended.returncode}: {last[:200]}); run it by itself first."
            )
        labels = load(masks, name=stem(ct))
    assert isinstance(labels, LabelMap)
    return replace(labels, notes=(f"segmented by {PROGRAM}", *labels.notes))
