"""One scan of a study: the samples to learn from, or its rows of scores beside the reader's grades; kept on disk, so that a stopped study goes on."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path

from shapekit.core.checks import InputError, ShapekitError
from shapekit.core.levels import Level, typical_gap
from shapekit.datasets import Case
from shapekit.io.paths import folder_name
from shapekit.pipeline import Scored, measure
from shapekit.predictors import make_predictor
from shapekit.training import samples_of_spine
from shapekit.version import __version__

MEASURED = (
    *("status", "reason", "score", "score_lo", "score_hi", "relative_loss", "height_loss", "genant_grade", "deformity"),
    *("neighbours_used", "predictor", "weights_id"),
)
"""Columns of ``Measures`` that a study's rows keep."""
EXAMPLES = (0.0, 25.0, 50.0, 75.0, 100.0)
"""A study's figure shows the vertebrae whose scores are nearest to these."""
Row = dict[str, object]


@dataclass(frozen=True, eq=False)
class Kept:
    """What one scan gave to a study.

    Parameters
    ----------
    rows : list of dict
        One a vertebra: ``group, case, subject, level, grade`` (None where nobody graded), ``type``, ``beside_fracture`` (whether a direct
        neighbour is graded as fractured), and what was measured.
    reason : str
        Why there are none.
    shown : dict of str to Scored
        Level → shapes of the graded vertebrae nearest to ``EXAMPLES``; empty where the rows were there from an earlier run.
    """

    rows: list[Row]
    reason: str = ""
    shown: dict[str, Scored] = field(default_factory=dict)


def fingerprint(case: Case, *more: object) -> str:
    """Checksum of a case's mask, of what is known of it, and of anything else that a result depends on.

    Parameters
    ----------
    case : Case
    *more : objects
        Told apart by their text.

    Returns
    -------
    str
        Sixteen digits.

    Raises
    ------
    InputError
        If a file of the case cannot be read.
    """
    whole = hashlib.sha256()
    known = sorted((str(level), grade, case.deformities.get(level, "")) for level, grade in case.grades.items())
    whole.update(repr((__version__, case.name, case.subject, case.scheme, known, more)).encode("utf-8", "surrogatepass"))
    try:
        for file in [*_files(case.mask), *(_files(case.body_mask) if case.body_mask else [])]:
            whole.update(f"\0{file.name}\0".encode("utf-8", "surrogatepass"))
            with file.open("rb") as handle:
                whole.update(hashlib.file_digest(handle, "sha256").digest())
    except OSError as error:
        raise InputError(f"{case.name} cannot be read ({error.strerror or error}); check its files.") from error
    return whole.hexdigest()[:16]


def _files(mask: Path) -> list[Path]:
    """List what a mask consists of: a folder's files, or the file and the voxels that a header keeps beside it."""
    if mask.is_dir():
        return sorted(file for file in mask.iterdir() if file.is_file())
    return [mask, *sorted(file for suffix in (".raw", ".zraw", ".raw.gz") if (file := mask.with_suffix(suffix)) != mask and file.is_file())]


def keep_samples(case: Case, *, folder: Path) -> tuple[str, str]:
    """Cut the bodies out of a case's mask and keep them on disk; the vertebrae graded 0 are targets.

    Parameters
    ----------
    case : Case
    folder : Path
        Where ``<case>-<fingerprint>.npz`` is, or will be.

    Returns
    -------
    name : str
        The file's; empty where the case cannot be used.
    reason : str
        Why it cannot.
    """
    try:
        path = folder / f"{folder_name(case.name)}-{fingerprint(case)}.npz"
        if not path.exists():
            samples_of_spine(case.load(exclude_cervical=True), dict(case.grades), subject=case.subject).save(path)
    except InputError as error:
        return "", str(error)
    return path.name, ""


def keep_rows(case: Case, *, group: str, predictor: str, weights: str | None, identity: str, folder: Path) -> Kept:
    """Score a case without its cervical vertebrae and lay every vertebra's row beside the reader's grade; both are kept on disk.

    Parameters
    ----------
    case : Case
    group : str
        Which set of the study it belongs to.
    predictor, weights : str
        See ``shapekit.predictors.make_predictor``.
    identity : str
        Of the weights.
    folder : Path
        Where ``<case>-<fingerprint>.json`` is, or will be.

    Returns
    -------
    Kept
    """
    shown: dict[str, Scored] = {}
    try:
        path = folder / f"{folder_name(case.name)}-{fingerprint(case, predictor, identity)}.json"
        kept = _read(path)
        if kept is None:
            scored = score_case(case, predictor, weights)
            kept = [_row(case, one) for one in scored]
            _write(path, kept)
            known = [one for one in scored if one.expected is not None and Level(one.measures.level) in case.grades]
            nearest = [min(known, key=lambda one: abs(one.measures.score - wanted)) for wanted in EXAMPLES if known]
            shown = {one.measures.level: one for one in nearest}
    except ShapekitError as error:
        return Kept([], str(error))
    return Kept([{"group": group, **row} for row in kept], shown=shown)


def score_case(case: Case, predictor: str, weights: str | None) -> list[Scored]:
    """Score a case without its cervical vertebrae, from the head downward."""
    return measure(case.load(exclude_cervical=True), predictor=make_predictor(predictor, weights))[0]


def _row(case: Case, one: Scored) -> Row:
    level, measured = Level(one.measures.level), asdict(one.measures)
    broken = [other for other, grade in case.grades.items() if grade > 0 and abs(typical_gap(level, other)) == 1]
    row: Row = {"case": case.name, "subject": case.subject, "level": str(level), "grade": case.grades.get(level)}
    row |= {"type": case.deformities.get(level, ""), "beside_fracture": bool(broken)}
    return row | {name: None if measured[name] != measured[name] else measured[name] for name in MEASURED}


def _read(path: Path) -> list[Row] | None:
    """Return the rows kept under a fingerprint; None where there are none, or no whole ones."""
    try:
        kept = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return kept if isinstance(kept, list) and all(isinstance(row, dict) for row in kept) else None


def _write(path: Path, rows: list[Row]) -> None:
    beside = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        beside.write_text(json.dumps(rows, allow_nan=False))
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
