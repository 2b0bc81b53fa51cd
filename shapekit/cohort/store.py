"""A cohort's results on disk: a scan's folder appears whole, by one rename, with the record that says what it was made of.

Two runs on one folder cannot mix their files: each lays its own folder ready and moves it in, and the last one stays. A folder
without a record is nobody's finished scan and is never replaced.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from shapekit.cohort.scans import Outcome, Scan
from shapekit.core.checks import OutputError, ShapekitError, UsageError
from shapekit.io.paths import shown
from shapekit.version import __version__

RECORD = "record.json"
DESCRIPTION = "dataset_description.json"
HIDDEN = ".shapekit"
NAME = "shapekit scores"
STALE_S = 86_400.0
"""What a run on another machine was writing is litter after so long; a scan takes seconds to write."""
_ATTEMPTS = 20
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Record:
    """What a finished scan was made of, and what came out.

    Parameters
    ----------
    case : str
    input : str
        Checksum of the mask's bytes.
    made_with : dict
        Options, weights, version; see ``Options.identity``.
    scored, found : int
        Vertebrae.
    worst, remark : str
        The highest score, and why there is none.
    files : dict of str to int
        Everything beside the record, in bytes.
    """

    case: str
    input: str
    made_with: Mapping[str, str]
    scored: int
    found: int
    worst: str
    remark: str
    files: Mapping[str, int]

    def outcome(self, subject: str) -> Outcome:
        """Say how the scan ended."""
        status = "scored" if self.scored else "unscored"
        return Outcome(self.case, subject, status, self.remark, self.scored, self.found, self.worst)


class Store:
    """The results' folder.

    Parameters
    ----------
    root : Path
        Made by ``open``.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.hidden = root / HIDDEN

    def check(self) -> None:
        """Refuse a folder that is somebody else's.

        Raises
        ------
        UsageError
            If it holds another data set.
        """
        said = _json(self.root / DESCRIPTION)
        if said is not None and said.get("Name") != NAME:
            raise UsageError(f"{shown(self.root)} holds another data set, as its {DESCRIPTION} says; give the results a folder of their own.")

    def open(self) -> None:
        """Make the folder and say what it is; clear away what killed runs were writing.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        with self.writing():
            self.root.mkdir(parents=True, exist_ok=True)
            self._sweep()
            self.replace(DESCRIPTION, json.dumps(_description(), indent=1) + "\n")

    def record(self, scan: Scan) -> Record | None:
        """Return the record of a scan whose files are all there; None otherwise."""
        folder = self.root / scan.place
        said = _json(folder / RECORD)
        try:
            record = Record(**{field.name: said[field.name] for field in fields(Record)}) if said is not None else None
            complete = record is not None and all((folder / name).stat().st_size == size for name, size in record.files.items())
        except (KeyError, TypeError, AttributeError, OSError, ValueError):
            return None
        return record if complete else None

    @contextmanager
    def stage(self) -> Iterator[Path]:
        """Lend a folder on the same disk that is gone afterwards."""
        with self.writing():
            self.hidden.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.hidden, prefix=f"part-{_namespace()}-{os.getpid()}-", ignore_cleanup_errors=True) as stage:
                yield Path(stage)

    def publish(self, scan: Scan, folder: Path, record: Record) -> None:
        """Move a scan's finished folder to its place, in one step.

        Parameters
        ----------
        scan : Scan
        folder : Path
            In a stage, complete but for the record, which is added.
        record : Record
            Its ``files`` are taken from the folder.

        Raises
        ------
        OutputError
            If something stands there that no run has written.
        """
        sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in sorted(folder.rglob("*")) if path.is_file()}
        (folder / RECORD).write_text(json.dumps(asdict(record) | {"files": sizes}, indent=1) + "\n", encoding="utf-8")
        target = self.root / scan.place
        target.parent.mkdir(parents=True, exist_ok=True)
        for attempt in range(_ATTEMPTS):
            try:
                folder.rename(target)
                return
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                    raise
            with suppress(FileNotFoundError):  # another run was quicker
                if self._is_ours(scan, target):
                    target.rename(folder.with_name(f"old-{attempt}"))
        raise OutputError(f"{scan.place} is being written by other runs all the time; let one of them finish.")

    def _is_ours(self, scan: Scan, target: Path) -> bool:
        """Tell whether what stands at a scan's place was written by a run; False where another run replaced it meanwhile.

        Raises
        ------
        OutputError
            If something is there that no run has written.
        FileNotFoundError
            If another run took it away meanwhile.
        """
        seen = target.stat().st_ino
        said = _json(target / RECORD)
        ours = {RECORD, *(said.get("files") or {})} if said is not None else set()
        there = {path.relative_to(target).as_posix() for path in target.rglob("*") if not path.is_dir()} if target.is_dir() else {""}
        if target.stat().st_ino != seen:  # record and files may be of different runs
            return False
        if strangers := sorted(there - ours):
            what = shown(strangers[0]) or "a file"
            raise OutputError(f"{scan.place} holds what no cohort run has written ({what}); move it away, then run again.")
        return True

    def replace(self, name: str, content: str | bytes) -> None:
        """Let a file of the whole cohort appear when it is complete; the same bytes are not written again."""
        path, data = self.root / name, content.encode("utf-8") if isinstance(content, str) else content
        with suppress(OSError):
            if path.read_bytes() == data:
                return
        with self.stage() as stage:
            (stage / "file").write_bytes(data)
            path.parent.mkdir(parents=True, exist_ok=True)
            (stage / "file").replace(path)

    def note(self, outcome: Outcome) -> None:
        """Remember why a scan failed, for the group's tables."""
        self.replace(_note_of(outcome.case), json.dumps({"case": outcome.case, "reason": outcome.reason}) + "\n")

    def forget(self, case: str) -> None:
        """Forget that a scan has failed, before it is published: what is remembered is what came last."""
        (self.root / _note_of(case)).unlink(missing_ok=True)

    def noted(self) -> dict[str, str]:
        """Return the reasons that are remembered, by case."""
        notes = (_json(path) or {} for path in sorted(self.hidden.glob("failed-*.json")))
        return {str(note["case"]): str(note["reason"]) for note in notes if {"case", "reason"} <= set(note)}

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Turn what the system says about a write into one sentence.

        Raises
        ------
        OutputError
            In the place of what was raised inside.
        """
        try:
            yield
        except OSError as error:
            system = _system_error(error)
            if system is None:  # a sentence of ours already
                raise
            advice = "free space, then run again: finished scans are kept" if is_full(error) else "give a folder that you may write"
            raise OutputError(f"{shown(self.root)} cannot be written ({system.strerror or type(system).__name__}); {advice}.") from error

    def _sweep(self) -> None:
        """Delete what runs were writing that are no more: on this machine at once, on others when it is old."""
        here = _namespace()
        for part in self.hidden.glob("part-*"):
            _, namespace, process, *_ = [*part.name.split("-"), "", ""]
            with suppress(OSError):
                gone = not _alive(int(process)) if namespace == here and process.isdecimal() else time.time() - part.stat().st_mtime > STALE_S
                if gone:
                    shutil.rmtree(part, ignore_errors=True)


def _note_of(case: str) -> str:
    return f"{HIDDEN}/failed-{hashlib.sha256(case.encode('utf-8', 'surrogatepass')).hexdigest()[:20]}.json"


def is_full(error: BaseException) -> bool:
    """Tell whether a full disk is behind an exception."""
    system = _system_error(error)
    return system is not None and system.errno in _FULL


def _system_error(error: BaseException | None) -> OSError | None:
    """Return what the operating system said, however many sentences of ours are wrapped around it."""
    while error is not None:
        if isinstance(error, OSError) and not isinstance(error, ShapekitError):
            return error
        error = error.__cause__
    return None


def _description() -> dict[str, object]:
    made = {"Name": "shapekit", "Version": __version__, "Description": "vertebral shape scores from masks"}
    return {"Name": NAME, "BIDSVersion": "1.10.0", "DatasetType": "derivative", "GeneratedBy": [made]}


def _json(path: Path) -> dict[str, Any] | None:
    """Read an object of ours; None where there is none."""
    try:
        said = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _namespace() -> str:
    """Name the set of processes whose numbers mean the same: a machine, or a container on it."""
    marks = [platform.node()]
    with suppress(OSError):  # only Linux has them
        marks += [Path("/proc/sys/kernel/random/boot_id").read_text(), str(Path("/proc/self/ns/pid").readlink())]
    return hashlib.sha256("\0".join(marks).encode()).hexdigest()[:12]


def _alive(process: int) -> bool:
    if os.name == "nt":  # where signal 0 is no question
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
