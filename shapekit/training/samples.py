"""What networks learn from: every vertebra of a spine as it was measured, and the healthy shape it should have, on half-resolution patches."""

from __future__ import annotations

import secrets
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.random import Generator, SeedSequence
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from shapekit.core.checks import InputError
from shapekit.core.conventions import COARSE_SHAPE, COARSE_SPACING_MM
from shapekit.core.frame import Frame
from shapekit.core.grid import Grid
from shapekit.core.levels import Level
from shapekit.core.values import LabelMap
from shapekit.datasets import in_processes, load_each, open_dataset
from shapekit.phantom import acquire, body_patch, draw_patient, patient_generator, scan_grid
from shapekit.phantom.fracture import KINDS, MAX_LOSS
from shapekit.phantom.patient import Patient
from shapekit.sdf import resample_sdf
from shapekit.spine import extract_bodies, vertebra_frames

EDITION = 2
"""Counted up whenever training patients are drawn otherwise, so that those which an earlier version left are not taken for these."""
KEPT_MM = 12.0
"""Distances are kept up to here; what lies farther from the surface tells nothing more."""
WHOLE_SHARE = 0.35
"""Training patients without a fracture; as many again have theirs as often as people, the others far more often."""
BROKEN_SHARE = 0.35
"""Share of bodies deformed in those."""
BROKEN_LOSS = 0.05
"""Height loss beyond which a body counts as broken."""
GIVEN_SHARE = 0.6
"""Spines whose masks hold bodies already; the others' bodies are cut from whole vertebrae."""

Half = NDArray[np.float16]


@dataclass(frozen=True, eq=False)
class Samples:
    """The vertebrae of one spine, from the head downward.

    Parameters
    ----------
    subject : str
    ranks : (n,) int16
        ``Level.rank`` of each.
    measured : (n, 40, 32, 32) float16
        Signed distance (mm, within 12 mm) of each body as a mask shows it, on the 2 mm patch of the frame found for it.
    healthy : (n, 40, 32, 32) float16
        Of the shape it should have, on the patch about that shape's own centre.
    is_target : (n,) bool
        Whether the healthy shape is known.
    is_context : (n,) bool
        Whether the body is whole.
    loss : (n,) float32
        Worst height loss, 0-1; NaN where nobody knows.
    expected : mapping of int to (40, 32, 32) float16
        How broken bodies should look as far as their neighbours tell, by position here; not kept in files.
    """

    subject: str
    ranks: NDArray[np.int16]
    measured: Half
    healthy: Half
    is_target: NDArray[np.bool_]
    is_context: NDArray[np.bool_]
    loss: NDArray[np.float32]
    expected: Mapping[int, Half] = field(default_factory=dict)

    @property
    def broken(self) -> NDArray[np.bool_]:
        """Which bodies are broken and have a known healthy shape; (n,) bool."""
        return np.asarray(self.is_target & (self.loss > BROKEN_LOSS))

    def save(self, path: Path) -> None:
        """Write an ``.npz`` that appears when it is complete."""
        beside = path.with_name(f".{secrets.token_hex(8)}.npz")
        try:
            np.savez(
                beside,
                ranks=self.ranks,
                measured=self.measured,
                healthy=self.healthy,
                is_target=self.is_target,
                is_context=self.is_context,
                loss=self.loss,
            )
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)

    @classmethod
    def read(cls, path: Path) -> Samples:
        """Read what ``save`` wrote.

        Raises
        ------
        InputError
            If the file is none or is damaged.
        """
        try:
            with path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
                return cls(path.stem, **{name: file[name] for name in ("ranks", "measured", "healthy", "is_target", "is_context", "loss")})
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise InputError(f"{path.name} holds no samples ({type(error).__name__}); delete it and let them be drawn again.") from error


def coarse_grid(frame: Frame) -> Grid:
    """Grid of the 40 x 32 x 32 patch of 2 mm voxels along a frame: each voxel is eight of the 1 mm patch."""
    return Grid.from_frame(frame, COARSE_SHAPE, COARSE_SPACING_MM)


def samples_of_phantom(index: int, *, seed: int, varied: float = 0.0) -> Samples:
    """Draw patient ``index`` of a training cohort, scan it, cut its bodies out of the mask as any user's, and add the true healthy shapes.

    Parameters
    ----------
    index, seed : int
    varied : float
        Share of the cohort that is of a varied build.

    Returns
    -------
    Samples
    """
    generator = patient_generator(seed, index)
    patient = draw_training_patient(generator, varied=varied)
    in_plane, slices = generator.uniform(0.8, 1.1), generator.choice([1.0, 1.5, 2.0, 3.0])
    spacing = [in_plane] * 3
    spacing[int(generator.choice([0, 2], p=[0.6, 0.4]))] = float(slices)
    rotation = Rotation.from_rotvec(np.radians(4.0) * generator.standard_normal(3)).as_matrix()
    scan = acquire(patient, scan_grid(patient, (spacing[0], spacing[1], spacing[2]), rotation=rotation), generator=generator)
    truth = {vertebra.level: vertebra for vertebra in patient}
    labels, bodies = scan.labels, "split"
    if generator.random() < GIVEN_SHARE:
        labels, bodies = (
            replace(labels, array=np.where(scan.labels.body_mask == 1, labels.array, 0).astype(labels.array.dtype), body_mask=None, body_source=""),
            "given",
        )

    def healthy(level: Level) -> NDArray[np.float32]:
        return body_patch(truth[level], truth[level].frame("healthy"), which="healthy", shape=COARSE_SHAPE, spacing_mm=COARSE_SPACING_MM).values

    return _samples(
        f"phantom{index:05d}", labels, healthy, {level: max(v.loss.ha, v.loss.hm, v.loss.hp) for level, v in truth.items()}, bodies=bodies
    )


def samples_of_spine(spine: LabelMap, grades: dict[Level, int], *, subject: str, bodies: str = "auto") -> Samples:
    """Cut the bodies out of a mask; those that a reader called unfractured are targets as they are.

    Parameters
    ----------
    spine : LabelMap
    grades : dict of Level to int
        Genant grades; a level without one is no target.
    subject : str
        Whose spine it is.
    bodies : str
        See ``shapekit.score``.
    """
    return _samples(subject, spine, None, {level: 0.0 if grade == 0 else np.nan for level, grade in grades.items()}, bodies=bodies)


def samples_of_dataset(folder: str | Path, *, kind: str = "auto", progress: Callable[[int], None] | None = None) -> tuple[list[Samples], list[str]]:
    """Cut the bodies out of every mask of a data set but those it publishes for testing.

    Parameters
    ----------
    folder : path
        Anything ``shapekit.datasets.open_dataset`` reads; only bodies that it grades as 0 become targets.
    kind : str
        See ``open_dataset``.
    progress : callable, optional
        Told how many cases are done.

    Returns
    -------
    samples : list of Samples
    notes : list of str
        What was left out, and why.

    Raises
    ------
    UsageError, InputError
        If the folder is no data set, or none of its cases has a grade of 0.
    """
    cases = [case for case in open_dataset(folder, kind=kind) if case.split != "test"]
    found, notes = [], []
    for n, (case, spine, reason) in enumerate(load_each(cases)):
        try:
            if spine is None:
                raise InputError(reason)
            found.append(samples_of_spine(spine, dict(case.grades), subject=case.subject))
        except InputError as error:
            notes.append(str(error))
        if progress is not None:
            progress(n + 1)
    if not any(one.is_target.any() for one in found):
        raise InputError(f"{Path(folder).name} has no vertebra with a grade of 0 to learn from; add a table of grades (case, level, grade).")
    return found, notes


def _samples(
    subject: str, spine: LabelMap, healthy: Callable[[Level], NDArray[np.float32]] | None, loss: dict[Level, float], *, bodies: str = "auto"
) -> Samples:
    found, _, _ = extract_bodies(spine, bodies=bodies)
    frames = vertebra_frames(found)
    chosen = [(body, frame) for body, frame in zip(found, frames, strict=True) if not body.level.is_cervical]
    measured = np.stack([resample_sdf(body.sdf, coarse_grid(frame)).values for body, frame in chosen])
    twins = measured if healthy is None else np.stack([healthy(body.level) for body, _ in chosen])
    losses = np.array([loss.get(body.level, np.nan) for body, _ in chosen], dtype=np.float32)
    whole = np.array([not body.partial for body, _ in chosen])
    known = ~np.isnan(losses) & (whole if healthy is None else True)
    ranks = np.array([body.level.rank for body, _ in chosen], dtype=np.int16)
    return Samples(subject, ranks, as_held(measured), as_held(twins), known, whole, losses)


def draw_training_patient(generator: Generator, *, varied: float = 0.0) -> Patient:
    """Draw a patient: a third whole, a third fractured as people are, the rest with a third of all bodies deformed by 8-60 %.

    A share of them is of a varied build; see ``shapekit.phantom.draw_patient``.
    """
    build = "varied" if varied and generator.random() < varied else "plain"
    way = generator.random()
    if way < WHOLE_SHARE:
        return draw_patient(generator, fractures="none", build=build)
    if way < 2 * WHOLE_SHARE:
        return draw_patient(generator, build=build)
    plain = draw_patient(generator, fractures="none", build=build)
    broken: dict[Level | str, tuple[str, float]] = {
        level: (str(generator.choice(KINDS)), float(generator.uniform(0.08, min(0.6, MAX_LOSS))))
        for level in plain.levels
        if generator.random() < BROKEN_SHARE
    }
    return draw_patient(generator, levels=plain.levels, sex=plain.sex, fractures=broken, build=build)


def as_held(values: NDArray[np.floating]) -> Half:
    """Bring distances into the form that samples hold."""
    return np.asarray(np.clip(values, -KEPT_MM, KEPT_MM), dtype=np.float16)


def draw_samples(
    folder: Path, count: int, *, seed: int, varied: float = 0.0, workers: int | None = None, progress: Callable[[int], None] | None = None
) -> list[Path]:
    """Draw a training cohort to disk, one file a patient; those that are there already, drawn with the same options, are kept.

    Parameters
    ----------
    folder : Path
    count : int
    seed : int
        A patient depends on it, on the share and on its own number alone.
    varied : float
        Share of a varied build.
    workers : int, optional
        Processes; by default one a core.
    progress : callable, optional
        Told how many patients are done.

    Returns
    -------
    list of Path
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / _file_name(index, seed, varied) for index in range(count)]
    missing = [index for index, path in enumerate(paths) if not path.exists()]
    for n, _ in enumerate(in_processes(partial(_draw, folder=folder, seed=seed, varied=varied), missing, workers=workers)):
        if progress is not None:
            progress(count - len(missing) + n + 1)
    return paths


def _draw(index: int, *, folder: Path, seed: int, varied: float) -> None:
    samples_of_phantom(index, seed=seed, varied=varied).save(folder / _file_name(index, seed, varied))


def _file_name(index: int, seed: int, varied: float) -> str:
    return f"phantom{EDITION}-{seed}-{varied:g}-{index:05d}.npz"


def seeded(seed: int, *key: int) -> Generator:
    """Return random numbers that belong to a seed and a purpose."""
    return np.random.default_rng(SeedSequence(seed, spawn_key=key))


def read_samples(paths: Sequence[Path]) -> list[Samples]:
    """Read many files; see ``Samples.read``."""
    return [Samples.read(path) for path in paths]
