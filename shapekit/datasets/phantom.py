"""Cohorts of synthetic patients on disk: masks labelled as the field's tools do, with their truth beside them."""

from __future__ import annotations

import csv
import json
import secrets
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from shapekit.core.checks import InputError, OutputError, check_choice
from shapekit.core.levels import Level
from shapekit.core.values import LabelMap
from shapekit.datasets.case import Case
from shapekit.datasets.workers import in_processes
from shapekit.io.nifti import write_ct, write_label_map
from shapekit.io.schemes import SCHEMES
from shapekit.phantom.acquisition import Scan, acquire, scan_grid
from shapekit.phantom.ct import draw_look, simulate_ct
from shapekit.phantom.patient import Patient, draw_patient, patient_generator

LABELLINGS = ("verse", "totalsegmentator", "spineps")
ACQUISITIONS = ("plain", "varied")
SPLITS = (("train", 0.8), ("validation", 0.1), ("test", 0.1))
SUBREGION_ARCH, SUBREGION_BODY = 41, 50
TILT_DEG = 12.0
"""Standard deviation over three of an oblique scan's angle in a varied acquisition."""


def write_cohort(
    folder: str | Path,
    count: int,
    *,
    seed: int,
    labels: str = "verse",
    acquisition: str = "plain",
    ct: bool = False,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
) -> list[Case]:
    """Draw synthetic patients and write them as a BIDS-like tree.

    Each patient depends on ``seed`` and its own number alone, so a longer cohort begins with a shorter one's patients, and
    the files are the same for any number of workers::

        folder/dataset_description.json, participants.tsv, truth.csv
        folder/derivatives/sub-phantom0001/sub-phantom0001_seg-vert_msk.nii.gz, ..._truth.json
                                           (spineps: also ..._seg-spine_msk.nii.gz)
        folder/rawdata/sub-phantom0001/sub-phantom0001_ct.nii.gz (where a CT is asked for)

    Parameters
    ----------
    folder : path
        Made when it does not exist.
    count : int
        Patients.
    seed : int
    labels : {"verse", "totalsegmentator", "spineps"}
        Whose label values the masks carry. TotalSegmentator knows no T13 and L6: they stay unlabelled, as it leaves them.
    acquisition : {"plain", "varied"}
        ``"plain"``: the whole spine at 1 mm along the patient's axes. ``"varied"``: slices of 0.8-3 mm, oblique, and fields of view
        that end within the spine, cutting vertebrae.
    ct : bool
        Whether to simulate a CT on each mask's grid; how it was drawn stands in the truth. The other files stay the same.
    workers : int
        Processes.
    progress : callable, optional
        Told how many patients are done.

    Returns
    -------
    list of Case

    Raises
    ------
    UsageError
        For unknown options.
    InputError
        If ``count`` or ``workers`` is below 1, or the seed negative.
    OutputError
        If the folder cannot be written.
    """
    check_choice("labels", labels, LABELLINGS)
    check_choice("acquisition", acquisition, ACQUISITIONS)
    if count < 1 or workers < 1 or seed < 0:
        raise InputError(f"a cohort needs at least one patient and one worker and a seed of 0 or more, not {count}, {workers} and {seed}.")
    root = Path(folder)
    try:
        root.mkdir(parents=True, exist_ok=True)
        people: list[dict[str, Any]] = []
        write = partial(_write_patient, root, seed=seed, labels=labels, acquisition=acquisition, ct=ct)
        for person in in_processes(write, range(count), workers=workers):
            people.append(person)
            if progress is not None:
                progress(len(people))
        description: dict[str, object] = {
            "Name": "shapekit phantom cohort",
            "BIDSVersion": "1.10.0",
            "DatasetType": "derivative",
            "License": "CC BY 4.0",
        }
        description |= {"Seed": seed, "Labels": labels, "Acquisition": acquisition}
        _write_table(root / "participants.tsv", [{k: v for k, v in person.items() if k != "vertebrae"} for person in people], "\t")
        rows = [{"participant_id": person["participant_id"], **_flat(row)} for person in people for row in person["vertebrae"]]
        _write_table(root / "truth.csv", rows, ",")
        _write_text(root / "dataset_description.json", json.dumps(description, indent=1) + "\n")
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"{root.name} cannot be written ({error.strerror or error}); choose a folder that you may write.") from error
    return read_cohort(root)


def read_cohort(folder: str | Path) -> list[Case]:
    """Read what ``write_cohort`` wrote.

    Parameters
    ----------
    folder : path

    Returns
    -------
    list of Case
        In the patients' order; grades are the true ones.

    Raises
    ------
    InputError
        If the folder holds no such cohort, or a file of it is missing or damaged.
    """
    root = Path(folder)
    try:
        labels = check_choice("labels", json.loads((root / "dataset_description.json").read_text())["Labels"], LABELLINGS)
        with (root / "participants.tsv").open(newline="") as file:
            people = [(row["participant_id"], row["split"]) for row in csv.DictReader(file, delimiter="\t")]
        return [_read_case(root, subject, split, labels) for subject, split in people]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{root.name} is no complete phantom cohort ({type(error).__name__}: {error}); make one with `shapekit phantom`.") from error


def draw_scan(index: int, *, seed: int, acquisition: str = "plain", build: str = "plain") -> Scan:
    """Draw patient ``index`` of the cohort of a seed and scan it; see ``write_cohort`` and, for the build, ``draw_patient``."""
    generator = patient_generator(seed, index)
    patient = draw_patient(generator, build=build, name=f"sub-phantom{index + 1:04d}")
    if acquisition == "plain":
        return acquire(patient, scan_grid(patient, 1.0), generator=generator)
    in_plane, slices = generator.uniform(0.6, 1.0), generator.choice([0.8, 1.0, 1.5, 2.0, 2.5, 3.0])
    spacing = [in_plane] * 3
    spacing[int(generator.choice([0, 2], p=[0.6, 0.4]))] = float(slices)  # sagittal as VerSe's masks, or axial
    rotation = Rotation.from_rotvec(np.radians(TILT_DEG / 3) * generator.standard_normal(3)).as_matrix()
    first, last = _field_of_view(patient, generator)
    overlap = float(generator.uniform(0.2, 0.8)) if generator.random() < 0.5 else 0.0
    grid = scan_grid(patient, (spacing[0], spacing[1], spacing[2]), rotation=rotation, first=first, last=last, overlap=overlap)
    return acquire(patient, grid, generator=generator)


def _field_of_view(patient: Patient, generator: np.random.Generator) -> tuple[str, str]:
    """First and last level: whole, thoracic, lumbar or anything of at least five."""
    count = len(patient)
    first, last = sorted(int(n) for n in generator.integers(0, count, 2))
    if last - first < 4:
        first, last = 0, count - 1
    return str(patient.levels[first]), str(patient.levels[last])


def _write_patient(root: Path, index: int, *, seed: int, labels: str, acquisition: str, ct: bool) -> dict[str, object]:
    """Write one patient's files; return its row of participants.tsv with its vertebrae's truth."""
    scan = draw_scan(index, seed=seed, acquisition=acquisition)
    subject = scan.patient.name
    folder = root / "derivatives" / subject
    folder.mkdir(parents=True, exist_ok=True)
    labelled = _relabelled(scan.labels, labels)
    write_label_map(folder / f"{subject}_seg-vert_msk.nii.gz", labelled.array, labelled.grid)
    if labels == "spineps":
        body = scan.labels.body_mask
        assert body is not None
        regions = np.where(body, np.uint8(SUBREGION_BODY), np.where(scan.labels.array > 0, np.uint8(SUBREGION_ARCH), np.uint8(0)))
        write_label_map(folder / f"{subject}_seg-spine_msk.nii.gz", regions, scan.labels.grid)
    present = set(scan.labels.levels.values())
    vertebrae: list[dict[str, object]] = []
    for vertebra in scan.patient:
        own = {"cut": vertebra.label in scan.cut, "defect": scan.defects.get(vertebra.label, ""), "in_scan": vertebra.level in present}
        vertebrae.append(_rounded(vertebra.truth()) | own)
    truth: dict[str, object] = {"sex": scan.patient.sex, "vertebrae": vertebrae}
    if ct:
        truth["ct"] = _write_ct(root / "rawdata" / subject, scan, np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index, 2))))
    _write_text(folder / f"{subject}_truth.json", json.dumps(truth, indent=1) + "\n")
    split = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index, 1))).choice([s for s, _ in SPLITS], p=[p for _, p in SPLITS])
    worst = max(vertebra.grade for vertebra in scan.patient)
    fractured = sum(vertebra.grade > 0 for vertebra in scan.patient)
    return {
        "participant_id": subject,
        "sex": scan.patient.sex,
        "split": str(split),
        "fractures": fractured,
        "worst_grade": worst,
        "spacing_mm": " ".join(f"{side:.3g}" for side in scan.labels.grid.spacing_mm),
        "vertebrae": vertebrae,
    }


def _write_ct(folder: Path, scan: Scan, generator: np.random.Generator) -> dict[str, object]:
    """Write a scan's CT; return how it was drawn."""
    folder.mkdir(parents=True, exist_ok=True)
    look = draw_look(scan.patient, generator=generator)
    write_ct(folder / f"{scan.patient.name}_ct.nii.gz", simulate_ct(scan.patient, scan.labels.grid, look, generator=generator))
    return look.truth()


def _relabelled(spine: LabelMap, labels: str) -> LabelMap:
    """Give a map the values of another scheme; levels that it does not know become background."""
    if labels != "totalsegmentator":
        return spine
    values = {level: value for value, level in SCHEMES[labels].levels.items()}
    table = np.zeros(256, dtype=np.uint8)
    for value, level in spine.levels.items():
        table[value] = values.get(level, 0)
    return replace(
        spine, array=table[spine.array], levels={values[level]: level for level in spine.levels.values() if level in values}, scheme=labels
    )


def _read_case(root: Path, subject: str, split: str, labels: str) -> Case:
    folder = root / "derivatives" / subject
    truth = folder / f"{subject}_truth.json"
    seen = {Level(row["level"]): row for row in json.loads(truth.read_text())["vertebrae"] if row["in_scan"]}
    grades = {level: int(row["grade"]) for level, row in seen.items()}
    mask = folder / f"{subject}_seg-vert_msk.nii.gz"
    if not mask.exists():
        raise FileNotFoundError(f"{mask.name} is missing")
    regions = folder / f"{subject}_seg-spine_msk.nii.gz"
    ct = root / "rawdata" / subject / f"{subject}_ct.nii.gz"
    return Case(
        f"{subject}_seg-vert_msk",
        subject,
        mask,
        labels,
        split,
        grades,
        ct=ct if ct.exists() else None,
        body_mask=regions if regions.exists() else None,
        truth=truth,
        deformities={level: str(row["deformity"]) for level, row in seen.items() if grades[level]},
    )


def _rounded(row: dict[str, object]) -> dict[str, object]:
    """Round a truth to the nanometre."""
    return {
        name: np.round(value, 6).tolist() if isinstance(value, list) else round(value, 6) if isinstance(value, float) else value
        for name, value in row.items()
    }


def _flat(row: dict[str, object]) -> dict[str, object]:
    """Spread a truth's vectors over columns."""
    flat: dict[str, object] = {}
    for name, value in row.items():
        if isinstance(value, list):
            numbers = np.ravel(np.array(value, dtype=np.float64))
            flat |= {f"{name}_{n}": float(number) for n, number in enumerate(numbers)}
        else:
            flat[name] = value
    return flat


def _write_table(path: Path, rows: list[dict[str, object]], delimiter: str) -> None:
    lines = [delimiter.join(rows[0])]
    lines += [delimiter.join(f"{value:.6g}" if isinstance(value, float) else str(value) for value in row.values()) for row in rows]
    _write_text(path, "\n".join(lines) + "\n")


def _write_text(path: Path, text: str) -> None:
    """Let a text appear under its name only when it is complete."""
    beside = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        beside.write_text(text)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
