"""Heights of real bodies beside what others measured on the same files (shared/data): prints the last table of docs/morphometry.md."""

import json
import sys
from pathlib import Path

import shapekit as sk

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
if not DATA.exists():
    sys.exit("docs/frames/beside_others.py needs the real cases in shared/data beside the repository.")

verse = sk.score(sk.load(DATA / "verse19" / "sub-verse004_seg-vert_msk.nii.gz", scheme="verse"))["L1"].measures
report = json.loads((DATA / "totalsegmentator" / "spine_report.json").read_text())["results"]
folder = DATA / "totalsegmentator"
example = sk.score(
    sk.load(folder / "example_vertebrae_verse-labels_v1.nii.gz", scheme="verse", body_mask=folder / "spine_report_vertebrae_body.nii.gz")
)
print("| | Ha, mm | Hm, mm | Hp, mm |\n|---|---|---|---|")
print(f"| VerSe 004 L1 (grade 3), shapekit | {verse.ha_mm:.1f} | {verse.hm_mm:.1f} | {verse.hp_mm:.1f} |")
print("| measured by hand on the same mask | 17.2 | 9.2 | 20.5 |")
for vertebra in example:
    row, name = vertebra.measures, f"vertebrae_{vertebra.level}_height"
    if f"{name}_anterior_mm" in report:
        theirs = " | ".join(f"{report[f'{name}_{place}_mm']:.1f}" for place in ("anterior", "middle", "posterior"))
        print(f"| 3 mm example {row.level}, shapekit | {row.ha_mm:.1f} | {row.hm_mm:.1f} | {row.hp_mm:.1f} |")
        print(f"| TotalSegmentator's report | {theirs} |")
