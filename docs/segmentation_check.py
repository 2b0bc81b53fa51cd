"""How well a trained network segments CTs that it has never seen.

    python docs/segmentation_check.py --weights segmentation.safetensors --phantoms 40
    python docs/segmentation_check.py --weights segmentation.safetensors --data shared/data

Phantoms: cut and oblique fields of view, 0.8-3 mm slices, random looks; the truth is the phantom's. Real cases: bodies cut from their
masks by ``shapekit.spine`` stand for the truth. Nothing is learnt from either.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

import shapekit as sk
from shapekit.core.values import Image, LabelMap
from shapekit.datasets.phantom import draw_scan
from shapekit.io.volumes import on_grid, read_volume
from shapekit.ops.sampling import resample_field
from shapekit.phantom import draw_look, simulate_ct
from shapekit.segmentation import Quality, judge, segment_ct
from shapekit.segmentation.looks import new_intensities, worse_scanner
from shapekit.spine import extract_bodies

REAL = {
    "verse19/sub-verse005_ct.nii.gz": "verse19/sub-verse005_seg-vert_msk.nii.gz",
    "verse19/sub-verse014_ct.nii.gz": "verse19/sub-verse014_seg-vert_msk.nii.gz",
    "tptbox/sub-ct_label-22_ct.nii.gz": "tptbox/sub-ct_seg-vert_label-22_msk.nii.gz",
    "totalsegmentator/example_ct.nii.gz": "totalsegmentator/example_vertebrae_verse-labels_v1.nii.gz",
}


def phantom_ct(index: int, seed: int) -> tuple[Image, LabelMap, frozenset[int]]:
    """An unseen phantom's CT with a random look, its true bodies, and which of them are cut."""
    scan = draw_scan(index, seed=seed, acquisition="varied")
    generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index, 4)))
    hu = simulate_ct(scan.patient, scan.labels.grid, draw_look(scan.patient, generator=generator), generator=generator).array.astype(np.float32)
    bone = (scan.labels.array > 0).astype(np.float32)
    body = np.asarray(scan.labels.body_mask, np.float32)
    hu = worse_scanner(new_intensities(hu, body, bone, generator), generator)
    return Image(hu.round().astype(np.int16), scan.labels.grid), scan.labels, scan.cut


def real_ct(folder: Path, ct: str, mask: str) -> tuple[Image, LabelMap]:
    """A real CT and the bodies of its mask, on the CT's grid."""
    image, spine = read_volume(folder / ct), sk.load(folder / mask)
    bodies, _, _ = extract_bodies(spine)
    array = np.zeros(spine.grid.shape, np.uint8)
    for body in bodies:
        array[resample_field(body.sdf.values, body.sdf.grid, spine.grid) < 0] = body.label
    turned = on_grid(array, spine.grid, image.grid, tolerance_mm=0.5)
    if turned is None:
        raise SystemExit(f"{mask} lies on another grid than its CT.")
    levels = {body.label: body.level for body in bodies}
    return image, LabelMap(turned, image.grid, levels, partial=frozenset(body.label for body in bodies if body.partial))


def told(name: str, quality: Quality, seconds: float) -> None:
    """Print one scan's row."""
    dice = " ".join(f"{level} {value:.3f}" for level, value in quality.dice.items())
    wrong = " ".join(level for level, right in quality.named.items() if not right)
    print(f"{name} ({seconds:.0f} s): {dice}; missed: {' '.join(quality.missed)}; invented: {' '.join(quality.invented)}; misnamed: {wrong}")


def summed(rows: list[Quality]) -> None:
    """Print the figures of all scans."""
    dice, surface = (np.array([value for row in rows for value in getattr(row, name).values()]) for name in ("dice", "surface_mm"))
    named, right = ([value for row in rows for value in getattr(row, name).values()] for name in ("named", "told"))
    cut = [row.told[level] for row in rows for level in row.cut if level in row.told]
    missed, invented = (sum(len(getattr(row, name)) for row in rows) for name in ("missed", "invented"))
    if not len(dice):
        print(f"{len(rows)} scans: nothing found, {missed} missed, {invented} invented")
        return
    print(f"{len(rows)} scans, {len(dice)} bodies found, {missed} missed, {invented} invented")
    print(f"Dice: mean {dice.mean():.3f}, 5th percentile {np.percentile(dice, 5):.3f}; surface distance: mean {surface.mean():.2f} mm")
    print(f"levels right {np.mean(named):.1%}; whole or cut rightly told {np.mean(right):.1%}; cut ones recognised {np.mean(cut or [np.nan]):.1%}")


def main() -> None:
    """Run either check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--phantoms", type=int, default=0)
    parser.add_argument("--seed", type=int, default=77_000)
    parser.add_argument("--data", type=Path, help="folder that holds verse19/, tptbox/ and totalsegmentator/")
    options = parser.parse_args()
    rows = []
    for index in range(options.phantoms):
        image, truth, cut = phantom_ct(index, options.seed)
        begun = time.perf_counter()
        found = segment_ct(image, name=truth.name, weights=options.weights)
        seconds = time.perf_counter() - begun
        rows.append(judge(found.labels, truth, cut=cut))
        told(truth.name, rows[-1], seconds)
    for ct, mask in REAL.items() if options.data else ():
        if not (options.data / ct).exists():
            print(f"{ct} is not there")
            continue
        image, truth = real_ct(options.data, ct, mask)
        begun = time.perf_counter()
        found = segment_ct(image, weights=options.weights)
        seconds = time.perf_counter() - begun
        rows.append(judge(found.labels, truth))
        told(ct, rows[-1], seconds)
    summed(rows)


if __name__ == "__main__":
    main()
