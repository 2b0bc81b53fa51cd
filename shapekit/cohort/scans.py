"""Which scans a cohort has, where the results of each belong, and how each ended."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from shapekit.core.checks import UsageError
from shapekit.datasets import Case, Dataset, open_dataset
from shapekit.datasets.tree import entities_of
from shapekit.io.itkfiles import data_file
from shapekit.io.paths import VOLUME_SUFFIXES, folder_name, shown, stem, suffix_of

TABLE = "_desc-vcf_scores.tsv"
_DETACHED = (".mhd", ".nhdr")


@dataclass(frozen=True)
class Scan:
    """One scan and the place of its results.

    Parameters
    ----------
    case : Case
    place : str
        Folder below the results': ``sub-X[/ses-Y]/<case>`` for a subject named as BIDS does, else ``<case>``.
    session : str
        The entity ``ses``; "" without one.
    table : str
        Name of its table of scores there.
    """

    case: Case
    place: str
    session: str
    table: str


@dataclass(frozen=True)
class Outcome:
    """How one scan ended.

    Parameters
    ----------
    case, subject : str
    status : {"scored", "unscored", "failed", "waiting"}
        ``"unscored"``: it has its tables, but no vertebra of it could be scored; ``"waiting"``: nobody has tried yet.
    reason : str
        One sentence wherever there is no score.
    scored, found : int
        Vertebrae.
    worst : str
        The highest score and its level.
    seconds : float
        It took in its worker.
    peak_mb, resident_mb : float
        The worker's memory: the most it ever held, and what it holds now.
    full : bool
        Whether the disk of the results is full.
    """

    case: str
    subject: str
    status: str
    reason: str = ""
    scored: int = 0
    found: int = 0
    worst: str = ""
    seconds: float = 0.0
    peak_mb: float = 0.0
    resident_mb: float = 0.0
    full: bool = False


@dataclass(frozen=True)
class Cohort:
    """The scans of a data set that results are wanted of.

    Parameters
    ----------
    source : Path
        The data set's folder.
    out : Path
        The results' folder.
    scans : tuple of Scan
        In the data set's order; every place once.
    faulty : tuple of Outcome
        Masks that are no scans, since they cannot be opened or named apart.
    notes : tuple of str
        What the data set's kind was told by, and what was left out.
    """

    source: Path
    out: Path
    scans: tuple[Scan, ...]
    faulty: tuple[Outcome, ...]
    notes: tuple[str, ...]


def open_cohort(folder: str | Path, out: str | Path, *, kind: str = "auto", labels: Iterable[str] = ()) -> Cohort:
    """Find the scans of a data set, and where their results go; nothing is written.

    Parameters
    ----------
    folder : path
        Any data set that ``shapekit.datasets.open_dataset`` opens.
    out : path
        Folder of the results. It may lie inside the data set (``derivatives/shapekit``) and is then none of its masks.
    kind : str
        See ``open_dataset``.
    labels : iterable of str
        Participants, with or without ``sub-``; all of them where there is none.

    Returns
    -------
    Cohort

    Raises
    ------
    UsageError
        If both folders are one, a participant is not there, or the kind is in doubt.
    InputError
        If the folder holds no case.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "sub-01_ses-a_seg-vert_msk.nii.gz").write_bytes(b"any")
    >>> [(scan.place, scan.table) for scan in open_cohort(folder, folder / "out").scans]
    [('sub-01/ses-a/sub-01_ses-a_seg-vert_msk', 'sub-01_ses-a_desc-vcf_scores.tsv')]
    """
    source, target = Path(folder).absolute(), Path(out)
    if os.path.realpath(source) == os.path.realpath(target):
        raise UsageError(
            f"results cannot go into the data set's own folder {shown(source)}; give another, such as a folder derivatives/shapekit in it."
        )
    dataset = open_dataset(source, kind, without=target)
    scans: dict[str, Scan] = {}
    faulty = [_unreadable(note.path, note.reason) for note in dataset.unreadable]
    for case in dataset:
        scan = scan_of(case)
        if scan.place in scans:
            reason = f"{case.name} would share its folder {scan.place} with another scan; rename one of them."
            faulty.append(Outcome(case.name, case.subject, "failed", reason))
        else:
            scans[scan.place] = scan
    notes = tuple(note for note in dataset.notes if note not in dataset.unreadable)
    wanted = _wanted(dataset, faulty, labels)
    kept = [scan for scan in scans.values() if wanted is None or _plain(scan.case.subject) in wanted]
    return Cohort(source, target, tuple(kept), tuple(one for one in faulty if wanted is None or _plain(one.subject) in wanted), notes)


def scan_of(case: Case) -> Scan:
    """Give a case its place; what it is called cannot lead elsewhere."""
    entities, _ = entities_of(Path(case.name))
    session = entities_of(case.mask)[0].get("ses", "")
    name, subject = folder_name(case.name), folder_name(case.subject)
    parts = [subject, *([f"ses-{folder_name(session)}"] if session else []), name] if subject.startswith("sub-") else [name]
    kept = [f"{key}-{value}" for key, value in entities.items() if key not in ("seg", "desc")] if "sub" in entities else [name]
    return Scan(case, "/".join(parts), session, folder_name("_".join(kept)) + TABLE)


def in_shard(name: str, shard: tuple[int, int]) -> bool:
    """Tell whether a scan belongs to part ``i`` of ``n``: by its name alone, whatever else is in the cohort.

    Examples
    --------
    >>> sum(in_shard("sub-01_seg-vert_msk", (part, 3)) for part in (1, 2, 3))  # one part and no other
    1
    """
    part, parts = shard
    return int(hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest(), 16) % parts == part - 1


def input_digest(case: Case) -> str:
    """Return the checksum of all bytes that a case's labels are read from; "" where they cannot be read."""
    whole = hashlib.sha256()
    try:
        for path in _inputs(case):
            with path.open("rb") as file:
                whole.update(f"{path.name}\0".encode("utf-8", "surrogatepass") + hashlib.file_digest(file, "sha256").digest())
    except (OSError, ValueError):
        return ""
    return whole.hexdigest()


def _inputs(case: Case) -> Sequence[Path]:
    files = [case.mask]
    if case.mask.is_dir():
        files = sorted(file for file in case.mask.iterdir() if suffix_of(file) in VOLUME_SUFFIXES)
    elif suffix_of(case.mask) in _DETACHED:
        files.append(data_file(case.mask))
    return [*files, *([case.body_mask] if case.body_mask is not None else [])]


def _unreadable(path: Path, reason: str) -> Outcome:
    subject = entities_of(path)[0].get("sub", "")
    return Outcome(stem(path), f"sub-{subject}" if subject else stem(path), "failed", reason)


def _wanted(dataset: Dataset, faulty: Iterable[Outcome], labels: Iterable[str]) -> set[str] | None:
    asked = {_plain(label) for label in labels}
    known = {_plain(case.subject) for case in dataset} | {_plain(one.subject) for one in faulty}
    missing = sorted(asked - known)
    if missing:
        raise UsageError(f"participant {', '.join(map(shown, missing[:3]))} is not in {dataset.name}; its participants are {_some(known)}.")
    return asked or None


def _plain(label: str) -> str:
    return label.removeprefix("sub-")


def _some(known: set[str]) -> str:
    first = sorted(known)
    return ", ".join(map(shown, first[:3])) + (f" and {len(first) - 3} more" if len(first) > 3 else "")


def parse_shard(text: str) -> tuple[int, int]:
    """Read ``i/n``: part ``i`` (from 1) of ``n``.

    Raises
    ------
    UsageError
        For anything else.

    Examples
    --------
    >>> parse_shard("2/20")
    (2, 20)
    """
    part, slash, parts = text.partition("/")
    if not (slash and part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise UsageError(f"shard is {text!r}, but must be i/n with i from 1 to n, such as 2/20.")
    return int(part), int(parts)
