"""The scans of the experiment: VerSe and xVertSeg as they were published, or phantoms; an internal and an external set."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

from shapekit.core.checks import InputError
from shapekit.datasets import Case, open_dataset, read_cohort, write_cohort
from shapekit.study.fitting import Counting, uncounted

EXTERNAL_SHARE = 20 / 115
"""The paper's external CTs for each internal one; phantoms keep the proportion."""


def published_sets(
    verse: str | Path, xvertseg: str | Path, *, external: str | Path | None = None, grades: str | Path | None = None
) -> tuple[dict[str, list[Case]], list[str]]:
    """Open VerSe and xVertSeg as the experiment's internal and external sets.

    Parameters
    ----------
    verse : path
        VerSe'19 or '20 in either structure; see ``docs/datasets.md``.
    xvertseg : path
    external : path, optional
        A third graded data set of any kind. The paper took VerSe and xVertSeg together as its internal set, and 20 CTs that it does not
        name as its external one: with a third set this is done; without it xVertSeg is the external set.
    grades : path, optional
        VerSe's workbook, where it does not lie in its folder.

    Returns
    -------
    sets : dict of str to list of Case
        ``"internal"`` and ``"external"``, the cases with a grade of a thoracic or lumbar vertebra; published splits are taken off,
        because the paper drew its own.
    notes : list of str

    Raises
    ------
    InputError, UsageError, MissingPackageError
        As ``open_dataset`` says, or if one of the sets has no grades.
    """
    opened = {"verse": open_dataset(verse, kind="verse", grades=grades), "xvertseg": open_dataset(xvertseg, kind="xvertseg")}
    if external is not None:
        opened["external"] = open_dataset(external)
    notes = [f"{name}: {note}" for name, dataset in opened.items() for note in dataset.notes]
    sets: dict[str, list[Case]] = {"internal": [], "external": []}
    for name, dataset in opened.items():
        chosen = [replace(case, split="") for case in dataset if any(not level.is_cervical for level in case.grades)]
        if not chosen:
            raise InputError(f"{dataset.name} ({name}) has no graded vertebra; add its table of grades (see docs/reproduce.md).")
        if len(chosen) < len(dataset):
            notes.append(f"{name}: {len(dataset) - len(chosen)} of {len(dataset)} scans have no grade and are left out")
        outside = name == "external" or (name == "xvertseg" and external is None)
        sets["external" if outside else "internal"] += chosen
    return sets, notes


def phantom_sets(
    output: str | Path, count: int, *, seed: int = 2022, workers: int | None = None, counting: Counting = uncounted
) -> tuple[dict[str, list[Case]], list[str]]:
    """Draw phantoms for the same experiment: an internal cohort as scanners differ, and a smaller one of another acquisition and seed.

    Parameters
    ----------
    output : path
        Folder for ``phantoms/internal`` and ``phantoms/external``; what an earlier call drew there is kept.
    count : int
        Internal patients (0.6-1 mm in plane, slices of 0.8-3 mm, oblique, fields of view that cut vertebrae); for 115 of them 20 external ones (1 mm,
        whole spines), at least one.
    seed : int
        Of the internal cohort; the external one's is the next.
    workers : int, optional
    counting : callable
        See ``shapekit.study.fitting.Counting``.

    Returns
    -------
    sets, notes
        As :func:`published_sets`.

    Raises
    ------
    InputError
        If ``count`` is below 2.
    OutputError
        If the folder cannot be written.
    """
    if count < 2:
        raise InputError(f"{count} phantoms were asked for, but a split by patient needs at least 2.")
    wanted = {"internal": (count, seed, "varied"), "external": (max(round(count * EXTERNAL_SHARE), 1), seed + 1, "plain")}
    sets = {}
    for name, (number, own, acquisition) in wanted.items():
        folder = Path(output) / "phantoms" / name
        cases = _drawn(folder, number, own, acquisition)
        if cases is None:
            with counting(f"drawing {name} phantoms", number) as done:
                cases = write_cohort(folder, number, seed=own, acquisition=acquisition, workers=_processes(workers), progress=done)
        sets[name] = [replace(case, split="") for case in cases]
    told = [f"{name}: {number} synthetic patients, seed {own}, acquisition {acquisition}" for name, (number, own, acquisition) in wanted.items()]
    return sets, [
        *told,
        "phantoms know their truth: what they show is that the protocol runs and what the method does to known losses, not how patients score",
    ]


def _drawn(folder: Path, count: int, seed: int, acquisition: str) -> list[Case] | None:
    """Read a cohort that is there already, whole and the same; its description is written last."""
    try:
        said = json.loads((folder / "dataset_description.json").read_bytes())
        cases = read_cohort(folder) if (said["Seed"], said["Acquisition"]) == (seed, acquisition) else []
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return cases if len(cases) == count else None


def _processes(workers: int | None) -> int:
    return workers or os.cpu_count() or 1
