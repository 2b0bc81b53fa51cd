"""How well a trained network segments CTs that it has never seen, and what scores become of it; Markdown rows, each printed when it is known.

    python docs/segmentation_check.py --phantoms 40
    python docs/segmentation_check.py --phantoms 10 --from 40    # those after them
    python docs/segmentation_check.py --data ../shared/data      # every vertebra's score from CT and from mask
    python docs/segmentation_check.py --size out/size            # a large CT: wall time and peak memory
    python docs/segmentation_check.py --choices 34               # where surfaces are drawn and how much votes count, and why

with the networks that ship, or with those of ``--weights FILE ...``; ``--choices`` always with those that ship, on phantoms of its own.

Phantoms: cut and oblique fields of view, 0.8-3 mm slices, random looks, ribs, sacrum and neck as in training; the truth is the
phantom's. Real cases: bodies cut from their masks by ``shapekit.spine`` stand for the truth. Nothing is learnt, tuned or calibrated on
either. Ctrl-C ends a part with the sums of what is done.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import shapekit as sk
from shapekit.core.grid import Grid, centre_of
from shapekit.core.levels import Level
from shapekit.core.values import Image, LabelMap
from shapekit.datasets.phantom import draw_scan
from shapekit.io.nifti import write_ct
from shapekit.io.shipped import shipped_weights
from shapekit.io.volumes import on_grid, read_volume
from shapekit.ops.sampling import resample_field
from shapekit.phantom import draw_look, draw_patient, simulate_ct
from shapekit.segmentation import Quality, judge, segment_ct
from shapekit.segmentation.iterative import LEAST_CONFIDENCE, drawn_at
from shapekit.segmentation.labelling import candidates, vote_scores
from shapekit.segmentation.levels import read_levels
from shapekit.segmentation.looks import new_intensities, worse_scanner
from shapekit.segmentation.network import read_segmenter
from shapekit.segmentation.surroundings import surround
from shapekit.segmentation.traversal import THRESHOLD, Traversal
from shapekit.segmentation.views import view_of_pieces
from shapekit.segmentation.working import scaled, to_working
from shapekit.spine import extract_bodies

REAL = {
    "verse19/sub-verse005_ct.nii.gz": "verse19/sub-verse005_seg-vert_msk.nii.gz",
    "verse19/sub-verse014_ct.nii.gz": "verse19/sub-verse014_seg-vert_msk.nii.gz",
    "tptbox/sub-ct_label-22_ct.nii.gz": "tptbox/sub-ct_seg-vert_label-22_msk.nii.gz",
    "totalsegmentator/example_ct.nii.gz": "totalsegmentator/example_vertebrae_verse-labels_v1.nii.gz",
}
SURFACES, VOTE_WEIGHTS, CHOICES_SEED = (0.5, 0.45, 0.4, 0.35, 0.3), (0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 2.0), 79_000
LARGE, LARGE_MM = (512, 512, 600), (0.8, 0.8, 1.0)
MOST_SECONDS, MOST_GB = 180, 3.0
SCAN_COLUMNS = (
    "scan",
    "s",
    "bodies",
    "missed",
    "invented",
    "levels right",
    "whole or cut rightly told",
    "Dice",
    "surface distance, mm",
    "scores apart",
    "largest",
)
VERTEBRA_COLUMNS = ("level", "taken for", "whole or cut", "Dice", "surface distance, mm", "score of the mask", "score of the CT", "apart")


@dataclass(frozen=True)
class Checked:
    """One scan: how well it was segmented, and by true level the scores of the mask and of the CT's segmentation (NaN: not scored)."""

    name: str
    seconds: float
    quality: Quality
    scores: dict[str, tuple[float, float]]

    def apart(self) -> list[float]:
        """How far scores lie apart where both are there."""
        return [abs(a - b) for a, b in self.scores.values() if not math.isnan(a + b)]


def phantom_ct(index: int, seed: int, *, bare: bool = False) -> tuple[Image, LabelMap, frozenset[int]]:
    """An unseen phantom's CT with a random look, its true bodies, and which of them are cut; bare: without ribs, sacrum, neck and organs."""
    scan = draw_scan(index, seed=seed, acquisition="varied")
    generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index, 4)))
    hu = simulate_ct(scan.patient, scan.labels.grid, draw_look(scan.patient, generator=generator), generator=generator).array.astype(np.float32)
    bone = (scan.labels.array > 0).astype(np.float32)
    body = np.asarray(scan.labels.body_mask, np.float32)
    if not bare:
        surround(hu, scan.patient, scan.labels.grid, bone > 0, np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index, 5))))
    hu = worse_scanner(new_intensities(hu, body, bone, generator), generator)
    return Image(hu.round().astype(np.int16), scan.labels.grid), scan.labels, scan.cut


def bodies_on(image: Image, spine: LabelMap) -> LabelMap:
    """The bodies of a mask, on the CT's grid."""
    bodies, _, _ = extract_bodies(spine)
    array = np.zeros(spine.grid.shape, np.uint8)
    for body in bodies:
        array[resample_field(body.sdf.values, body.sdf.grid, spine.grid) < 0] = body.label
    turned = on_grid(array, spine.grid, image.grid, tolerance_mm=0.5)
    if turned is None:
        raise SystemExit(f"{spine.name} lies on another grid than its CT.")
    levels = {body.label: body.level for body in bodies}
    return LabelMap(turned, image.grid, levels, partial=frozenset(body.label for body in bodies if body.partial))


def checked(name: str, image: Image, truth: LabelMap, given: LabelMap, options: argparse.Namespace, *, cut: frozenset[int] | None = None) -> Checked:
    """Segment a CT, compare it with the true bodies, and score both it and the given mask."""
    begun = time.perf_counter()
    found = segment_ct(image, name=name, weights=options.weights)
    seconds = time.perf_counter() - begun
    quality = judge(found.labels, truth, cut=cut)
    if options.no_scores:
        return Checked(name, seconds, quality, {})
    of_mask, of_ct = scores(given), scores(found.labels)
    levels = [str(level) for level in sorted(truth.levels.values())]
    pairs = {level: (of_mask.get(level, math.nan), of_ct.get(quality.taken_for.get(level, ""), math.nan)) for level in levels}
    return Checked(name, seconds, quality, pairs)


def scores(spine: LabelMap) -> dict[str, float]:
    """Every vertebra's score by level, as `shapekit score` gives it."""
    return {str(vertebra.level): vertebra.score for vertebra in sk.score(spine, device="cpu")} if spine.levels else {}


def row(*cells: object) -> None:
    """Print a row of a Markdown table at once."""
    print("|", " | ".join(str(cell) for cell in cells), "|", flush=True)


def header(columns: tuple[str, ...]) -> None:
    """Print the head of a Markdown table."""
    row(*columns)
    row(*("---" for _ in columns))


def number(value: float, digits: int = 1) -> str:
    """A number, or a dash where there is none."""
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def mean(values: list[float]) -> float:
    """The mean of what there is."""
    return float(np.mean(values)) if values else math.nan


def scan_row(rows: list[Checked], name: str) -> None:
    """Print the figures of one scan, or of several together."""
    all_of = [one.quality for one in rows]
    named, told = ([value for quality in all_of for value in getattr(quality, part).values()] for part in ("named", "told"))
    dice, surface = ([value for quality in all_of for value in getattr(quality, part).values()] for part in ("dice", "surface_mm"))
    missed, invented = ([level for quality in all_of for level in getattr(quality, part)] for part in ("missed", "invented"))
    apart = [value for one in rows for value in one.apart()]
    listed = len(rows) == 1
    row(
        name,
        f"{mean([one.seconds for one in rows]):.0f}",
        len(dice) + len(missed),
        " ".join(missed) if listed else len(missed),
        " ".join(invented) if listed else len(invented),
        f"{sum(named)} of {len(named)}",
        f"{sum(told)} of {len(told)}",
        number(mean(dice), 3),
        number(mean(surface), 2),
        number(mean(apart)),
        number(max(apart, default=math.nan)),
    )


def vertebra_rows(one: Checked) -> None:
    """Print every vertebra of a scan: what its segmentation is like, and its score from the mask beside that from the CT."""
    quality = one.quality
    print(f"\n**{one.name}**\n")
    header(VERTEBRA_COLUMNS)
    for level in dict.fromkeys([*one.scores, *quality.dice, *quality.missed]):
        mask, ct = one.scores.get(level, (math.nan, math.nan))
        if level not in quality.dice:
            row(level, "missed" if level in quality.missed else "–", "", "", "", number(mask), "", "")
            continue
        told = "right" if quality.told[level] else "wrong"
        sizes = (f"{quality.dice[level]:.3f}", f"{quality.surface_mm[level]:.2f}")
        row(level, quality.taken_for[level], told, *sizes, number(mask), number(ct), number(abs(mask - ct)))
    if quality.invented:
        print(f"\ninvented: {' '.join(quality.invented)}")
    print(flush=True)


def phantoms(options: argparse.Namespace) -> None:
    """Check unseen phantoms: a row a scan."""
    rows: list[Checked] = []
    header(SCAN_COLUMNS)
    with interruptible():
        for index in range(options.start, options.start + options.phantoms):
            image, truth, cut = phantom_ct(index, options.seed, bare=options.bare)
            try:
                rows.append(checked(truth.name, image, truth, truth, options, cut=cut))
            except sk.InputError as error:
                row(truth.name, f"refused: {error}")
                continue
            scan_row(rows[-1:], rows[-1].name)
    if rows:
        scan_row(rows, f"**{len(rows)} phantoms**")
    dice = [value for one in rows for value in one.quality.dice.values()]
    of_cut = [value for one in rows for level, value in one.quality.dice.items() if level in one.quality.cut]
    of_whole = [value for one in rows for level, value in one.quality.dice.items() if level not in one.quality.cut]
    cut_told = [one.quality.told[level] for one in rows for level in one.quality.cut if level in one.quality.told]
    if dice:
        print(f"\nDice of whole bodies {mean(of_whole):.3f}, of cut ones {mean(of_cut):.3f}")
        print(f"5th percentile of Dice {np.percentile(dice, 5):.3f}; cut bodies recognised: {sum(cut_told)} of {len(cut_told)}")


def choices(count: int, seed: int) -> None:
    """Print what two choices rest on: where a body's surface is drawn, and how much bodies' own votes count beside the network of levels."""
    eye, reader = read_segmenter(shipped_weights("segmentation")), read_levels([shipped_weights("levels")])
    drawn: dict[float, list[tuple[float, float, float]]] = {level: [] for level in SURFACES}
    told: dict[float, list[tuple[float, int, int]]] = {weight: [] for weight in VOTE_WEIGHTS}
    for index in range(count):
        image, truth, cut = phantom_ct(index, seed)
        real = np.where(truth.body_mask, truth.array, 0)
        working = to_working(image, eye.sizes.spacing_mm)
        found = Traversal(scaled(working.array), eye, patch=eye.sizes.patch, spacing_mm=eye.sizes.spacing_mm).run()
        pieces = sorted((one for one in found if one.confidence >= LEAST_CONFIDENCE), key=lambda one: -(centre_of(one.mask) + one.start)[2])
        values = []
        for surface, rows in drawn.items():
            for piece in pieces:
                box, mask = drawn_at(piece, working.grid, image.grid, surface=surface)
                value = int(np.bincount(real[box][mask], minlength=1)[1:].argmax()) + 1 if real[box][mask].any() else 0
                values += [value] if surface == SURFACES[0] else []
                if value and value not in cut:
                    own = np.zeros(real.shape, np.uint8)
                    own[box] = mask
                    one = {value: truth.levels[value]}
                    quality = judge(LabelMap(own * np.uint8(value), truth.grid, one), LabelMap(np.where(real == value, real, 0), truth.grid, one))
                    share = np.count_nonzero(mask) / np.count_nonzero(real == value)
                    rows += [(share, *quality.dice.values(), *quality.surface_mm.values())] if quality.dice else []
        levels = tuple(truth.levels[value] if value else (None if n else Level.C7) for n, value in enumerate(values))
        sequences, _ = candidates(len(pieces))
        if levels in sequences:
            votes = vote_scores([one.value for one in pieces], [one.complete > THRESHOLD for one in pieces], sequences, eye.scatter)
            scores = reader.scores(view_of_pieces(working, pieces))
            for weight, lines in told.items():
                sums = scores + weight * votes
                best = sequences[int(sums.argmax())]
                right = sum(one is other for one, other in zip(best, levels, strict=True))
                lines.append((float(sums[sequences.index(levels)] - np.logaddexp.reduce(sums)), right, len(levels)))
    header(("probability at the surface", "whole bodies", "volume for the true one's", "Dice", "surface distance, mm"))
    for surface, rows in drawn.items():
        row(f"{surface:g}", len(rows), *(f"{value:.3f}" for value in np.mean(rows, axis=0)) if rows else "–––")
    print()
    header(("weight of the votes", "scans", "log-probability of the true levels", "levels right"))
    for weight, lines in told.items():
        row(
            f"{weight:g}",
            len(lines),
            f"{mean([line[0] for line in lines]):.3f}",
            f"{sum(line[1] for line in lines)} of {sum(line[2] for line in lines)}",
        )


def real_cases(options: argparse.Namespace) -> None:
    """Check the real cases: a row a vertebra, then a row a scan."""
    rows: list[Checked] = []
    with interruptible():
        for ct, mask in REAL.items():
            there = [(options.data / path).exists() for path in (ct, mask)]
            if not all(there):
                print(f"\n**{ct}**: {'its mask is' if there[0] else ''}{' ' if there[0] else ''}not there\n", flush=True)
                continue
            image, given = read_volume(options.data / ct), sk.load(options.data / mask)
            assert isinstance(given, LabelMap)
            rows.append(checked(ct.split("/")[-1].removesuffix(".nii.gz"), image, bodies_on(image, given), given, options))
            vertebra_rows(rows[-1])
    header(SCAN_COLUMNS)
    for one in rows:
        scan_row([one], one.name)


def large_ct(path: Path, seed: int) -> None:
    """Write a phantom's CT of the full field of view, a slab at a time: 157 million voxels are too many to work on at once."""
    patient = draw_patient(seed, fractures="none")
    middle = np.mean([vertebra.placement.origin for vertebra in patient], axis=0)
    affine = np.diag([*LARGE_MM, 1.0])
    affine[:3, 3] = middle + np.array([0.0, 40.0, 0.0]) - 0.5 * np.array(LARGE_MM) * (np.array(LARGE) - 1)
    grid, look = Grid(LARGE, affine), draw_look(patient, generator=np.random.default_rng(seed))
    array = np.zeros(LARGE, np.int16)
    step = 60
    for k in range(0, LARGE[2], step):
        part = grid.crop((0, 0, k), (LARGE[0], LARGE[1], step))
        array[:, :, k : k + step] = simulate_ct(patient, part, look, generator=np.random.default_rng((seed, k))).array
    path.parent.mkdir(parents=True, exist_ok=True)
    write_ct(path, Image(array, grid))


def size(options: argparse.Namespace) -> None:
    """Run `shapekit segment` on a large CT and print its wall time and peak memory."""
    path = options.size / "large.nii.gz"
    if not path.exists():
        large_ct(path, options.seed)
    command = [sys.executable, "-m", "shapekit", "segment", str(path), "-o", str(options.size), "-d", "cpu", "-q"]
    command += [word for file in options.weights or () for word in ("--weights", str(file))]
    begun = time.perf_counter()
    running = subprocess.Popen(command)
    _, status, usage = os.wait4(running.pid, 0)
    seconds, peak = time.perf_counter() - begun, usage.ru_maxrss / 2**20  # KiB on Linux
    running.returncode = os.waitstatus_to_exitcode(status)
    table = options.size / "large_seg.csv"
    bodies = len(table.read_text().splitlines()) - 1 if running.returncode in (0, 1) and table.exists() else "–"
    header(("CT", "cores", "exit code", "bodies", f"wall time, s (at most {MOST_SECONDS})", f"peak memory, GB (at most {MOST_GB:g})", "within both"))
    within = "yes" if running.returncode == 0 and seconds <= MOST_SECONDS and peak <= MOST_GB else "no"
    row(" × ".join(map(str, LARGE)), len(os.sched_getaffinity(0)), running.returncode, bodies, f"{seconds:.0f}", f"{peak:.2f}", within)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C end a part with the sums of what is done."""
    try:
        yield
    except KeyboardInterrupt:
        print("\nstopped here\n", flush=True)


def main() -> None:
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, nargs="+", metavar="FILE", help="networks that look together; those that ship by default")
    parser.add_argument("--phantoms", type=int, default=0, metavar="N")
    parser.add_argument("--from", dest="start", type=int, default=0, metavar="K", help="begin with phantom K")
    parser.add_argument("--bare", action="store_true", help="phantoms without ribs, sacrum, neck and organs")
    parser.add_argument("--seed", type=int, default=77_000, help="of the phantoms")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder that holds verse19/, tptbox/ and totalsegmentator/")
    parser.add_argument("--no-scores", action="store_true", help="segmentations only")
    parser.add_argument("--size", type=Path, metavar="DIR", help="make a large CT in this folder, unless it is there, and segment it")
    parser.add_argument("--choices", type=int, default=0, metavar="N", help="on N phantoms")
    options = parser.parse_args()
    for file in options.weights or ():
        if not file.exists():
            parser.error(f"{file.name} is not there; train it with `shapekit train --task segmentation`.")
    if options.phantoms:
        phantoms(options)
    if options.data:
        real_cases(options)
    if options.size:
        size(options)
    if options.choices:
        choices(options.choices, CHOICES_SEED)


if __name__ == "__main__":
    main()
