"""Make data/demo/: the synthetic patient of `shapekit demo` as a mask, with its truth, and the checksums of all that ships."""

import hashlib
import json
from pathlib import Path

import numpy as np

from shapekit.io.nifti import write_label_map
from shapekit.phantom.acquisition import Scan, acquire, scan_grid
from shapekit.phantom.patient import demo_patient

DATA = Path(__file__).resolve().parent


def demo_scan() -> Scan:
    """Scan the demonstration's patient: 0.8 × 0.8 × 1.2 mm, segmentation noise, a fixed seed."""
    patient = demo_patient()
    return acquire(patient, scan_grid(patient, (0.8, 0.8, 1.2)), generator=np.random.default_rng(2022))


if __name__ == "__main__":
    scan = demo_scan()
    write_label_map(DATA / "demo" / "demo_spine.nii.gz", scan.labels.array, scan.labels.grid)
    truth = {str(vertebra.level): vertebra.truth() for vertebra in scan.patient}
    (DATA / "demo" / "demo_truth.json").write_text(json.dumps(truth, indent=1) + "\n")
    shipped = sorted(path for path in DATA.glob("*/*") if path.is_file() and path.suffix != ".py")
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(DATA).as_posix()}\n" for path in shipped]
    (DATA / "SHA256SUMS").write_text("".join(sums))
