"""Tables that come with data sets, as text or as a workbook: Genant grades by case and level, splits by case.

A cell that is blank, ``x`` (foreign material) or anything but 0 to 3 is a vertebra that nobody graded. It is never grade 0.
"""

from __future__ import annotations

import csv
import io
import math
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shapekit.core.checks import InputError, MissingPackageError
from shapekit.core.levels import Level
from shapekit.io.paths import require_file, shown
from shapekit.io.schemes import level_of_name

TABLE_SUFFIXES = (".xlsx", ".csv", ".tsv")
VERSE_SHEET = "VerSe_dataset"
MAX_TABLE_BYTES = 1 << 26
"""Packed or unpacked; the VerSe workbook has 60 kB."""
MAX_ROWS = 200_000
MAX_COLUMNS = 1000
_GRADE_COLUMN = re.compile(r"([TL]\d{1,2})_fx-g", re.IGNORECASE)
_SHAPE_COLUMN = re.compile(r"([TL]\d{1,2})_fx-s", re.IGNORECASE)
_GRADE_NAMES = ("grade", "genant_grade")
_DEFORMITIES = {1: "wedge", 2: "biconcave", 3: "crush"}
"""As VerSe's workbook and xVertSeg's scores number them; 0 is none."""

Row = Sequence[object]


@dataclass(frozen=True)
class GradeTable:
    """Genant grades by what a table calls its cases.

    Parameters
    ----------
    grades : mapping of str to mapping of Level to int
        Case (in small letters) → graded levels; a case without grades is there, empty.
    subjects : mapping of str to str
        Case → subject, where the table states it (VerSe: verse_ID → subject_ID).
    notes : tuple of str
        Cells and rows that were not understood.
    deformities : mapping of str to mapping of Level to str
        Case → type of each fractured vertebra, where the table states it (VerSe: T1_fx-s to L6_fx-s).
    """

    grades: Mapping[str, Mapping[Level, int]]
    subjects: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    deformities: Mapping[str, Mapping[Level, str]] = field(default_factory=dict)


def read_grades(path: str | Path) -> GradeTable:
    """Read a table of grades: VerSe's workbook, the same as text, or one row a vertebra (``case``, ``level``, ``grade`` or ``genant_grade``).

    Parameters
    ----------
    path : path to a ``.xlsx``, ``.csv`` or ``.tsv`` file

    Returns
    -------
    GradeTable

    Raises
    ------
    InputError
        If it is no such table.
    MissingPackageError
        If it is a workbook and openpyxl is not installed.
    """
    name = shown(path)
    rows = read_rows(path)
    header = [str(cell if cell is not None else "").strip().lower() for cell in rows[0]] if rows else []
    if "verse_id" in header:
        return _wide(header, rows[1:], name)
    grade = next((header.index(word) for word in _GRADE_NAMES if word in header), None)
    if "case" not in header or "level" not in header or grade is None:
        raise InputError(f"{name} is no table of grades; it needs the columns case, level and grade, or VerSe's verse_ID and T1_fx-g to L6_fx-g.")
    return _long(rows[1:], header.index("case"), header.index("level"), grade, name)


def grade_of(cell: object) -> int | None:
    """Return a cell's Genant grade; None where it is blank, ``x`` or no grade.

    Examples
    --------
    >>> grade_of(2.0), grade_of("0"), grade_of("x"), grade_of(""), grade_of(None), grade_of(float("nan")), grade_of(4), grade_of(True)
    (2, 0, None, None, None, None, None, None)
    """
    if isinstance(cell, str):
        match = re.fullmatch(r"([0-3])(?:\.0*)?", cell.strip())
        return int(match.group(1)) if match else None
    if isinstance(cell, bool) or not isinstance(cell, int | float) or not math.isfinite(cell):
        return None
    return int(cell) if cell in (0, 1, 2, 3) else None


def deformities_of(cells: Mapping[Level, object], grades: Mapping[Level, int]) -> dict[Level, str]:
    """Return the types of deformity (0 none, 1 wedge, 2 biconcave, 3 crush) of the vertebrae that were graded as fractured.

    Examples
    --------
    >>> deformities_of({Level.L1: 1.0, Level.L2: "3", Level.L3: 2, Level.L4: "x"}, {Level.L1: 1, Level.L2: 2, Level.L3: 0, Level.L4: 1})
    {<Level.L1: 'L1'>: 'wedge', <Level.L2: 'L2'>: 'crush'}
    """
    return {level: kind for level, cell in cells.items() if grades.get(level, 0) and (kind := _DEFORMITIES.get(grade_of(cell) or 0))}


def is_blank(cell: object) -> bool:
    """Tell whether a cell says nothing, or ``x``: not graded, and meant so."""
    return cell is None or (isinstance(cell, float) and math.isnan(cell)) or str(cell).strip().lower() in ("", "x", "nan", "na", "n/a", "-")


def read_rows(path: str | Path) -> list[Row]:
    """Read a table's cells as they are, header included; blank rows are passed by.

    Parameters
    ----------
    path : path to a ``.xlsx``, ``.csv`` or ``.tsv`` file
        Text is UTF-8; whichever of comma, semicolon and tab its first line holds most parts the cells. Of a workbook the sheet
        ``VerSe_dataset`` is read, or the first one; formulas are not computed.

    Returns
    -------
    list of sequence of object

    Raises
    ------
    InputError
        If it cannot be read, or is larger than any such table.
    MissingPackageError
        If it is a workbook and openpyxl is not installed.
    """
    path = Path(path)
    if require_file(path) > MAX_TABLE_BYTES:
        raise InputError(f"{shown(path)} has more than {MAX_TABLE_BYTES >> 20} MiB, too many for a table of cases; give the right file.")
    return _workbook_rows(path) if path.suffix.lower() == ".xlsx" else _text_rows(path)


def _limited(rows: Iterable[Row], name: str) -> list[Row]:
    kept: list[Row] = []
    for row in rows:
        if not any(str(cell).strip() for cell in row if cell is not None):
            continue
        if len(kept) >= MAX_ROWS or len(row) > MAX_COLUMNS:
            raise InputError(f"{name} has more rows or columns than a table of cases ({MAX_ROWS:,} x {MAX_COLUMNS:,}); give the right file.")
        kept.append(row)
    return kept


def _text_rows(path: Path) -> list[Row]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        first = text.partition("\n")[0]
        return _limited(csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count)), shown(path))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{shown(path)} is no table of plain UTF-8 text; save it again as CSV.") from error


def _workbook_rows(path: Path) -> list[Row]:
    try:
        from openpyxl import load_workbook
        from openpyxl.utils.exceptions import InvalidFileException
    except ImportError as error:
        raise MissingPackageError(
            f"{shown(path)} is a workbook, which needs openpyxl; install it with pip install 'shapekit[datasets]', or save the sheet as CSV."
        ) from error
    of_files = (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError)  # the last two: packed or encrypted oddly
    of_sheets = (InvalidFileException, KeyError, ValueError, TypeError, AttributeError, IndexError, SyntaxError)
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > MAX_TABLE_BYTES:
            raise InputError(f"{shown(path)} unpacks to more than {MAX_TABLE_BYTES >> 20} MiB, too many for a table of cases; give the right file.")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on formatting that openpyxl does not know
            book = load_workbook(path, read_only=True, data_only=True, keep_links=False)
            try:
                sheet = book[VERSE_SHEET] if VERSE_SHEET in book.sheetnames else book.worksheets[0]
                return _limited(sheet.iter_rows(values_only=True), shown(path))
            finally:
                book.close()
    except InputError:
        raise
    except (*of_files, *of_sheets) as error:
        raise InputError(f"{shown(path)} is no workbook that can be read; download it again, or save its sheet as CSV.") from error


def number_of(cell: object) -> str:
    """Return a series' or subject's number in VerSe's own writing, small letters; "" where a cell holds none.

    Examples
    --------
    >>> number_of(4), number_of(266.0), number_of("sub-verse004"), number_of("GL017"), number_of("healthy")
    ('verse004', 'verse266', 'verse004', 'gl017', '')
    """
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        return f"verse{int(cell):03d}" if math.isfinite(cell) and cell >= 0 and cell == int(cell) else ""
    match = re.fullmatch(r"(?:sub-)?(verse|gl|)(\d{1,6})(?:\.0)?", str(cell).strip(), re.IGNORECASE)
    return f"{match.group(1).lower() or 'verse'}{int(match.group(2)):03d}" if match else ""


def _wide(header: list[str], rows: list[Row], name: str) -> GradeTable:
    columns = {n: level for n, title in enumerate(header) if (match := _GRADE_COLUMN.fullmatch(title)) and (level := level_of_name(match.group(1)))}
    if not columns:
        raise InputError(f"{name} names verse_ID and no grades; it needs the columns T1_fx-g to L6_fx-g.")
    shapes = {n: level for n, title in enumerate(header) if (match := _SHAPE_COLUMN.fullmatch(title)) and (level := level_of_name(match.group(1)))}
    series, subject = header.index("verse_id"), header.index("subject_id") if "subject_id" in header else None
    grades: dict[str, dict[Level, int]] = {}
    subjects: dict[str, str] = {}
    deformities: dict[str, dict[Level, str]] = {}
    twice: set[str] = set()
    odd = 0
    for row in rows:
        case = number_of(_cell(row, series))
        if not case:
            continue  # sums and legends below the table
        if case in grades:
            twice.add(case)
            continue
        cells = {level: _cell(row, n) for n, level in columns.items()}
        grades[case] = {level: grade for level, cell in cells.items() if (grade := grade_of(cell)) is not None}
        deformities[case] = deformities_of({level: _cell(row, n) for n, level in shapes.items()}, grades[case])
        odd += sum(grade_of(cell) is None and not is_blank(cell) for cell in cells.values())
        if subject is not None and (own := number_of(_cell(row, subject))):
            subjects[case] = own
    for case in twice:
        grades[case], deformities[case] = {}, {}
    notes = [f"{name}: {len(twice)} series have two rows, so their grades are left out"] if twice else []
    return GradeTable(grades, subjects, (*notes, *_odd(odd, name)), deformities)


def _long(rows: list[Row], case: int, level: int, grade: int, name: str) -> GradeTable:
    grades: dict[str, dict[Level, int]] = {}
    read: dict[tuple[str, Level], int | None] = {}
    contradicted: set[tuple[str, Level]] = set()
    odd = unknown = 0
    for row in rows:
        key, place, cell = _text(_cell(row, case)), level_of_name(_text(_cell(row, level))), _cell(row, grade)
        if not key or place is None:
            unknown += 1
            continue
        found = grade_of(cell)
        odd += found is None and not is_blank(cell)
        grades.setdefault(key, {})
        if read.setdefault((key, place), found) != found:
            contradicted.add((key, place))
    for (key, place), found in read.items():
        if found is not None and (key, place) not in contradicted:
            grades[key][place] = found
    notes = [f"{name}: {unknown} rows name no case and level"] if unknown else []
    notes += [f"{name}: {len(contradicted)} vertebrae have rows that contradict each other, and count as not graded"] if contradicted else []
    return GradeTable(grades, {}, (*notes, *_odd(odd, name)))


def _cell(row: Row, column: int) -> object:
    return row[column] if column < len(row) else None


def _text(cell: object) -> str:
    """Return a cell as text in small letters; a number as spreadsheets keep it without its .0."""
    if isinstance(cell, float) and cell == int(cell if math.isfinite(cell) else 0):
        cell = int(cell)
    return "" if cell is None else str(cell).strip().lower()


def _odd(count: int, name: str) -> list[str]:
    return [f"{name}: {count} cells are neither a grade (0-3) nor blank nor x, and count as not graded"] if count else []
