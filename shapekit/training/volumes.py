"""What a segmentation is trained on, kept on disk: phantoms drawn here, or a user's CTs with their masks, divided by patient."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from joblib import cpu_count

from shapekit.core.checks import InputError
from shapekit.datasets import Case, in_processes, open_dataset, split_by_patient
from shapekit.io.paths import shown
from shapekit.io.volumes import read_volume
from shapekit.networks import read_weights, write_weights
from shapekit.segmentation import Volume, draw_volume, volume_of_scan
from shapekit.training.config import LevelConfig, SegmenterConfig
from shapekit.training.steps import HELD_OUT

PHANTOM, SCAN = "segmentation phantom", "segmentation scan"
"""What the cards of volumes on disk call them."""
ARRAYS = ("hu", "labels", "body", "bone")
COARSE_MM = 2.0
"""From this spacing on every core draws a phantom at once; finer ones take so much memory that fewer do."""
EDITION, PHANTOM_EDITION = "1", "3"
"""Of what scans and phantoms become; part of the names of kept ones, so that old ones are not taken for new ones."""


@dataclass(frozen=True, eq=False)
class Scans:
    """CTs with known bodies.

    Parameters
    ----------
    learnt, watched : tuple of Volume
        To learn from, and to watch the training on: no patient is in both.
    cohort : str
        What they are, in one line, with a checksum of all of them.
    notes : tuple of str
        What was left out, and why.
    """

    learnt: tuple[Volume, ...]
    watched: tuple[Volume, ...]
    cohort: str
    notes: tuple[str, ...]


def draw_volumes(folder: Path, config: SegmenterConfig | LevelConfig, *, progress: Callable[[int], None] | None = None) -> list[Volume]:
    """Draw the phantoms of a configuration, in a process a core, or read those that an earlier run left.

    Parameters
    ----------
    folder : Path
    config : SegmenterConfig or LevelConfig
    progress : callable, optional
        Told how many are there.

    Returns
    -------
    list of Volume

    Raises
    ------
    InputError
        If a file that is there is damaged.
    OutputError
        If the folder cannot be written.
    """
    name = f"volume{PHANTOM_EDITION}-{config.seed}-{config.spacing_mm:g}mm"
    paths = [folder / f"{name}-{index:04d}.safetensors" for index in range(config.patients)]
    missing = [index for index, path in enumerate(paths) if not path.exists()]
    draw = partial(_draw, folder=folder, name=name, seed=config.seed, spacing_mm=config.spacing_mm)
    if progress is not None:
        progress(len(paths) - len(missing))
    workers = max(int(cpu_count() * min(config.spacing_mm / COARSE_MM, 1.0) ** 3), 1)
    for n, _ in enumerate(in_processes(draw, missing, workers=workers)):
        if progress is not None:
            progress(len(paths) - len(missing) + n + 1)
    return [_read(path, PHANTOM, config.spacing_mm) for path in paths]


def _draw(index: int, *, folder: Path, name: str, seed: int, spacing_mm: float) -> None:
    _write(folder / f"{name}-{index:04d}.safetensors", PHANTOM, draw_volume(index, seed=seed, spacing_mm=spacing_mm))


def read_scans(
    data: str | Path, folder: Path, config: SegmenterConfig | LevelConfig, *, kind: str = "auto", progress: Callable[[int], None] | None = None
) -> Scans:
    """Cut the bodies out of every mask of a data set that has a CT beside it, and bring both onto the working grid.

    What becomes of a scan is kept under a name that says nothing of it, and read again as long as its files stay as they are.

    Parameters
    ----------
    data : path
        Anything ``shapekit.datasets.open_dataset`` reads.
    folder : Path
        Where scans are kept.
    config : SegmenterConfig or LevelConfig
    kind : str
        See ``open_dataset``.
    progress : callable, optional
        Told how many cases are done.

    Returns
    -------
    Scans
        Patients whom the data set publishes for testing are left out; those published for validation watch, else one in twenty.

    Raises
    ------
    UsageError, InputError
        If the folder is no data set, or none of its scans can be learnt from.
    OutputError
        If the folder cannot be written.
    """
    dataset = open_dataset(data, kind=kind)
    tested = {case.subject for case in dataset if case.split == "test"}
    notes = [note.reason for note in dataset.unreadable]
    notes += [f"patients whom the data set publishes for testing: {len(tested)}"] if tested else []
    found: dict[str, tuple[Case, Path]] = {}
    for n, case in enumerate(dataset):
        if case.subject not in tested:
            try:
                found[case.name] = case, _kept(case, folder, config.spacing_mm)
            except InputError as error:
                notes.append(str(error))
        if progress is not None:
            progress(n + 1)
    if not found:
        reason = f" (the first left out: {notes[0].rstrip('.')})" if notes else ""
        raise InputError(
            f"{shown(data)} holds no CT with labelled bodies to learn from{reason}; give CTs and masks as docs/datasets.md lays them out."
        )
    sides = divided([case for case, _ in found.values()], config.seed)
    paths = [[found[case.name][1] for case in side] for side in sides]
    digest = hashlib.sha256("\n".join("/".join(path.stem for path in side) for side in paths).encode()).hexdigest()[:12]
    learnt, watched = ([_read(path, SCAN, config.spacing_mm) for path in side] for side in paths)
    patients = [len({case.subject for case in side}) for side in sides]
    cohort = f"{len(found)} CTs of {sum(patients)} patients, {patients[1]} of whom only watched; {shown(data)}, checksum {digest}"
    return Scans(tuple(learnt), tuple(watched), cohort, tuple(notes))


def divided(cases: Sequence[Case], seed: int) -> tuple[list[Case], list[Case]]:
    """Say who is learnt from and who only watches.

    Parameters
    ----------
    cases : sequence of Case
        None of them for testing.
    seed : int

    Returns
    -------
    learnt, watched : list of Case
        Patients published for validation watch; where this leaves nobody on one side, one patient in twenty does, at least one of several.
    """
    published = {case.subject for case in cases if case.split == "validation"}
    everybody = {case.subject for case in cases}
    if published and published != everybody:
        parts = split_by_patient(cases, {"train": 1.0, "validation": 0.0}, seed)
    else:
        share = max(len(everybody) // HELD_OUT, 1) / len(everybody) if len(everybody) > 1 else 0.0
        parts = split_by_patient([replace(case, split="") for case in cases], {"train": 1.0 - share, "validation": share}, seed)
    return parts["train"], parts["validation"]


def _kept(case: Case, folder: Path, spacing_mm: float) -> Path:
    """Return where a scan is kept, after reading it if it is not there."""
    if case.ct is None:
        raise InputError(f"{case.name} has no CT beside its mask.")
    path = folder / f"scan-{_digest(case, case.ct, spacing_mm)}.safetensors"
    if not path.exists():
        _write(path, SCAN, volume_of_scan(read_volume(case.ct), case.load(), spacing_mm=spacing_mm))
    return path


def _digest(case: Case, ct: Path, spacing_mm: float) -> str:
    """Checksum of everything that a kept scan depends on: files by name, size and time."""
    whole = hashlib.sha256(f"{EDITION}\0{spacing_mm:g}\0{case.scheme}".encode())
    try:
        masks = sorted(case.mask.iterdir()) if case.mask.is_dir() else [case.mask]
        for path in (ct, *masks, *([case.body_mask] if case.body_mask else [])):
            stat = path.stat()
            whole.update(f"\0{path.name}\0{stat.st_size}\0{stat.st_mtime_ns}".encode("utf-8", "surrogatepass"))
    except OSError as error:
        raise InputError(f"{case.name} cannot be read ({error.strerror or error}); check its files.") from error
    return whole.hexdigest()[:24]


def _write(path: Path, kind: str, volume: Volume) -> None:
    partial = {"partial": sorted(volume.partial)} if kind == SCAN else {}
    write_weights(path, {name: torch.from_numpy(getattr(volume, name)) for name in ARRAYS}, {"kind": kind, **partial})


def _read(path: Path, kind: str, spacing_mm: float) -> Volume:
    tensors, card, _ = read_weights(path, kind)
    partial = card.get("partial", [])
    assert isinstance(partial, list)
    return Volume(**{name: tensors[name].numpy() for name in ARRAYS}, spacing_mm=spacing_mm, partial=frozenset(int(value) for value in partial))
