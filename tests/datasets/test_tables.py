import sys
import warnings
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapekit.core.checks import InputError, MissingPackageError
from shapekit.core.levels import Level
from shapekit.datasets import tables
from shapekit.datasets.tables import grade_of, number_of, read_grades, read_rows
from tests.datasets.layouts import verse_rows, write_text_table, write_workbook

LONG = [["case", "label", "level", "genant_grade", "voxels"]]


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.binary(max_size=3)))
def test_only_the_four_grades_are_grades(cell):
    grade = grade_of(cell)
    assert grade in (None, 0, 1, 2, 3)
    if grade is not None:
        assert float(cell) == grade


@pytest.mark.parametrize("cell", ["", " ", "x", "X", None, float("nan"), "-1", "1-2", "2.5", 0.5, 4, "٣x", "None", True, False])
def test_what_is_no_grade_is_not_grade_0(cell):
    assert grade_of(cell) is None


def test_one_row_a_vertebra(tmp_path):
    rows = [*LONG, ["A", 20, "L1", 3, 1], ["a", 21, "L2", "", 1], ["A", 22, "L3", "x", 1], ["A", 23, "vertebrae_L4", 0, 1], ["b", 24, "L5", "", 1]]
    table = read_grades(write_text_table(tmp_path / "g.csv", rows))
    assert table.grades == {"a": {Level.L1: 3, Level.L4: 0}, "b": {}}
    assert table.notes == ()


def test_rows_that_contradict_each_other_grade_nothing_whatever_their_order(tmp_path):
    cells = [["a", 20, "L1", grade, 1] for grade in (1, 2, 1)] + [["a", 21, "L2", 1, 1]] * 2 + [["a", 22, "L3", "", 1], ["a", 22, "L3", 1, 1]]
    for n, rows in enumerate((cells, cells[::-1])):
        table = read_grades(write_text_table(tmp_path / f"{n}.csv", [*LONG, *rows]))
        assert table.grades == {"a": {Level.L2: 1}}
        assert any(note.startswith(f"{n}.csv: 2 vertebrae") for note in table.notes)


def test_odd_cells_and_rows_are_counted(tmp_path):
    rows = [*LONG, ["a", 20, "L1", "mild", 1], ["a", 21, "S1", 1, 1], ["", 21, "L2", 1, 1], ["a", 26, "L9", 1, 1]]
    table = read_grades(write_text_table(tmp_path / "g.csv", rows))
    assert table.grades == {"a": {}}
    assert [note.split(": ")[1][:1] for note in table.notes] == ["3", "1"]


def test_a_series_with_two_rows_is_graded_by_neither(tmp_path):
    rows = verse_rows((4, 4, {"L1": 1}), (4, 4, {"L1": 3}), (5, 5, {"L1": 2}))
    table = read_grades(write_text_table(tmp_path / "g.csv", rows))
    assert table.grades == {"verse004": {}, "verse005": {Level.L1: 2}}
    assert any("two rows" in note for note in table.notes)


def test_numbers_as_spreadsheets_write_them():
    assert [number_of(cell) for cell in (4, 4.0, "4", "4.0", "verse4", "sub-verse004", " VERSE004 ")] == ["verse004"] * 7
    assert [number_of(cell) for cell in (None, "", "sum", 4.5, -1, float("nan"), float("inf"), True)] == [""] * 8


def test_the_workbooks_own_sheet_is_read_wherever_it_stands_and_else_the_first(tmp_path):
    rows = verse_rows((4, 4, {"L1": 3}))
    one = write_workbook(tmp_path / "one.xlsx", rows)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_grades(one).grades == {"verse004": {Level.L1: 3}}
    with pytest.raises(InputError, match=r"two\.xlsx is no table of grades"):
        read_grades(write_workbook(tmp_path / "two.xlsx", rows, sheet="another"))
    assert read_grades(write_workbook(tmp_path / "three.xlsx", rows, first="another", sheet="VerSe_dataset")).grades


@pytest.mark.parametrize("content", [b"PK\x03\x04 cut off", b"no zip at all", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 an old .xls"])
def test_a_damaged_workbook_is_refused_in_one_sentence(tmp_path, content):
    path = tmp_path / "g.xlsx"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"g\.xlsx is no workbook"):
        read_grades(path)


def test_a_zip_that_is_no_workbook_or_far_too_large_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "g.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types")
    with pytest.raises(InputError, match="no workbook"):
        read_rows(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b"\0" * (tables.MAX_TABLE_BYTES + 1))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(InputError, match="unpacks to more than"):
        read_rows(path)


def test_text_that_is_no_table(tmp_path):
    path = tmp_path / "g.csv"
    path.write_bytes(b"\xff\xfe\x00c\x00a")
    with pytest.raises(InputError, match="UTF-8"):
        read_rows(path)
    path.write_text("a" * 200_000 + ",b\n")
    with pytest.raises(InputError, match="UTF-8"):
        read_rows(path)
    path.write_text("case,grade\na,1\n")
    with pytest.raises(InputError, match="case, level and grade"):
        read_grades(path)
    path.write_text("verse_ID,subject_ID\n1,1\n")
    with pytest.raises(InputError, match="T1_fx-g"):
        read_grades(path)
    path.write_text("," * 2000 + "a\n")
    with pytest.raises(InputError, match="more rows or columns"):
        read_rows(path)
    path.write_text("\n\n  ,\n")
    with pytest.raises(InputError, match="no table of grades"):
        read_grades(path)


def test_without_openpyxl_the_message_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "g.xlsx"
    path.write_bytes(b"any")
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(MissingPackageError, match=r"shapekit\[datasets\].*CSV"):
        read_grades(path)
