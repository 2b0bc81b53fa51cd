"""Make data/demo/: the synthetic patient of `shapekit demo` as a mask, with its truth. The same bytes every time."""

import json
from pathlib import Path

import numpy as np

from shapekit.io.nifti import write_label_map
from shapekit.phantom.acquisition import acquire, scan_grid
from shapekit.phantom.patient import demo_patient

FOLDER = Path(__file__).resolve().parent / "demo"

patient = demo_patient()
scan = acquire(patient, scan_grid(patient, (0.8, 0.8, 1.2)), generator=np.random.default_rng(2022))
write_label_map(FOLDER / "demo_spine.nii.gz", scan.labels.array, scan.labels.grid)
truth = {str(vertebra.level): vertebra.truth() for vertebra in patient}
(FOLDER / "demo_truth.json").write_text(json.dumps(truth, indent=1) + "\n")
