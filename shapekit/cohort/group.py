"""The group level: what is finished becomes one table, and what is not is listed with its reason."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from shapekit.cohort.columns import GROUP_COLUMNS, MISSING, dictionary, kind_of
from shapekit.cohort.scans import Cohort, Outcome, Scan, input_digest
from shapekit.cohort.store import HIDDEN, RECORD, Store
from shapekit.core.checks import OutputError
from shapekit.core.values import COLUMNS
from shapekit.datasets import Participant, read_participants
from shapekit.io.paths import shown
from shapekit.version import __version__

TABLE = "group_desc-vcf_scores"
REPORT = "group_report.html"
FAILURES = "failures.tsv"
SIDECAR = "desc-vcf_scores.json"
FAILURE_COLUMNS = ("participant_id", "case", "status", "reason")
NO_PARQUET = f"{TABLE}.parquet was not written: pyarrow is not installed (pip install 'shapekit[cohort]'); the TSV holds the same."
_STATE = f"{HIDDEN}/group.json"

Row = dict[str, str]


@dataclass(frozen=True)
class Group:
    """What the group level found.

    Parameters
    ----------
    outcomes : tuple of Outcome
        One a scan, in the cohort's order; masks that are no scans come last.
    rows : int
        Vertebrae in the tables.
    written : bool
        False where the tables told all this already.
    notes : tuple of str
        Doubts about the table as a whole.
    """

    outcomes: tuple[Outcome, ...]
    rows: int
    written: bool
    notes: tuple[str, ...]

    @property
    def failures(self) -> tuple[Outcome, ...]:
        """Scans without a score."""
        return tuple(one for one in self.outcomes if one.status != "scored")


def write_group(cohort: Cohort) -> Group:
    """Write a cohort's tables and its report from what is finished; nothing is scored.

    Parameters
    ----------
    cohort : Cohort

    Returns
    -------
    Group

    Raises
    ------
    OutputError
        If the results' folder cannot be written.
    UsageError
        If it holds another data set.
    """
    store = Store(cohort.out)
    store.check()
    people, notes = read_participants(cohort.source)
    found, made_with = _found(cohort, store)
    outcomes = (*(outcome for outcome, _ in found), *cohort.faulty)
    rows = sum(outcome.found for outcome, _ in found)
    if len(made_with) > 1:
        notes = (*notes, f"scans were scored in {len(made_with)} ways (predictor, weights, options or version); run again with --overwrite.")
    notes = notes if find_spec("pyarrow") else (*notes, NO_PARQUET)
    state = _state(cohort, outcomes, found, people, notes)
    if _is_current(store, state):
        return Group(outcomes, rows, False, notes)
    store.open()
    table = list(_rows(cohort, [(scan, outcome) for scan, (outcome, _) in zip(cohort.scans, found, strict=True)], people))
    failures = [(one.subject, one.case, one.status, one.reason) for one in outcomes if one.status != "scored"]
    contents: dict[str, str | bytes] = {
        f"{TABLE}.tsv": _tsv(GROUP_COLUMNS, ([row[name] for name in GROUP_COLUMNS] for row in table)),
        FAILURES: _tsv(FAILURE_COLUMNS, failures),
        SIDECAR: json.dumps(dictionary(), indent=1) + "\n",
    }
    if find_spec("pyarrow"):
        contents[f"{TABLE}.parquet"] = _parquet(table)
    contents[REPORT] = _report(cohort, table, outcomes, notes, made_with)
    for name, content in contents.items():
        store.replace(name, content)
    sizes = {name: (cohort.out / name).stat().st_size for name in contents}
    store.replace(_STATE, json.dumps({"state": state, "files": sizes}) + "\n")
    return Group(outcomes, rows, True, notes)


def _found(cohort: Cohort, store: Store) -> tuple[list[tuple[Outcome, str]], list[dict[str, str]]]:
    """Return how each scan stands with its record's checksum, and the different ways in which scans were made."""
    noted, found, made_with = store.noted(), [], []
    for scan in cohort.scans:
        case, record = scan.case, store.record(scan)
        if case.name in noted:
            found.append((Outcome(case.name, case.subject, "failed", noted[case.name]), ""))
        elif record is None:
            found.append((Outcome(case.name, case.subject, "waiting", f"{case.name} has not been scored yet; run the participant level."), ""))
        elif record.input != input_digest(case):
            changed = f"the mask of {case.name} has changed since it was scored; run the participant level again."
            found.append((Outcome(case.name, case.subject, "waiting", changed), ""))
        else:
            digest = hashlib.sha256((cohort.out / scan.place / RECORD).read_bytes()).hexdigest()
            found.append((record.outcome(case.subject), digest))
            if record.made_with not in made_with:
                made_with.append(dict(record.made_with))
    return found, made_with


def _state(
    cohort: Cohort, outcomes: Iterable[Outcome], found: Iterable[tuple[Outcome, str]], people: dict[str, Participant], notes: Sequence[str]
) -> str:
    """Return the checksum of all that the tables are made of."""
    subjects = [(scan.case.subject, scan.session, str(people.get(scan.case.subject))) for scan in cohort.scans]
    told = [[one.case, one.subject, one.status, one.reason] for one in outcomes]
    whole = [__version__, [scan.place for scan in cohort.scans], subjects, told, [digest for _, digest in found], list(notes), list(cohort.notes)]
    return hashlib.sha256(json.dumps(whole).encode()).hexdigest()


def _is_current(store: Store, state: str) -> bool:
    try:
        said = json.loads((store.root / _STATE).read_bytes())
        return bool(said["state"] == state and all((store.root / name).stat().st_size == size for name, size in said["files"].items()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _rows(cohort: Cohort, found: Iterable[tuple[Scan, Outcome]], people: dict[str, Participant]) -> Iterable[Row]:
    """Read the scans' own tables, and set before each row whose it is."""
    for scan, outcome in found:
        if outcome.status not in ("scored", "unscored"):
            continue
        person = people.get(scan.case.subject, Participant())
        own = {
            "participant_id": scan.case.subject,
            "session": scan.session or MISSING,
            "age": MISSING if math.isnan(person.age) else f"{person.age:g}",
            "sex": person.sex or MISSING,
        }
        try:
            text = (cohort.out / scan.place / scan.table).read_text(encoding="utf-8")
        except OSError as error:
            raise OutputError(f"{scan.place} changed while the tables were made; run the group level again.") from error
        for row in csv.DictReader(io.StringIO(text), delimiter="\t"):
            yield own | {name: row.get(name) or MISSING for name in COLUMNS}


def _tsv(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(header)
    writer.writerows([shown_cell(cell) for cell in row] for row in rows)
    return text.getvalue()


def shown_cell(cell: str) -> str:
    r"""Return a cell's text without tabs and line breaks.

    Examples
    --------
    >>> shown_cell("a\tb"), shown_cell("")
    ('a b', 'n/a')
    """
    return " ".join(cell.split()) or MISSING


def _parquet(rows: Sequence[Row]) -> bytes:
    import pyarrow
    from pyarrow import parquet

    types = {float: pyarrow.float64(), int: pyarrow.int64(), str: pyarrow.string()}
    columns = {}
    for name in GROUP_COLUMNS:
        kind = kind_of(name)
        columns[name] = pyarrow.array([None if row[name] == MISSING else kind(row[name]) for row in rows], types[kind])
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.table(columns), sink)
    return bytes(sink.getvalue())


def _report(cohort: Cohort, table: Sequence[Row], outcomes: Sequence[Outcome], notes: Sequence[str], made_with: Sequence[dict[str, str]]) -> str:
    from shapekit.cohort.page import group_html

    reports = {scan.case.name: f"{scan.place}/report.html" for scan in cohort.scans if (cohort.out / scan.place / "report.html").is_file()}
    return group_html(shown(Path(cohort.source)), table, outcomes, notes=(*cohort.notes, *notes), made_with=made_with, reports=reports)
