"""Trees of files as data sets' makers lay them out: real masks, tiny ones."""

from pathlib import Path

import numpy as np
import SimpleITK

from shapekit.core.grid import Grid
from shapekit.core.levels import Level
from shapekit.core.values import LabelMap
from shapekit.io.nifti import write_label_map
from tests.factories import body_spine

WORKBOOK = "ryai190138_appendixe1.xlsx"
GRADED = [f"T{n}" for n in range(1, 13)] + [f"L{n}" for n in range(1, 7)]


def tiny(path, value=20):
    """A mask of 3 x 4 x 5 voxels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.zeros((3, 4, 5), np.uint8)
    array[1, 1:3, 1:4] = value
    write_label_map(path, array, Grid(array.shape, np.diag([1.1, 0.9, 1.6, 1.0])))
    return path


def lay_out(root, *names):
    """Write a tiny mask under each name."""
    for name in names:
        tiny(root / name)
    return root


def lumbar() -> LabelMap:
    """L2 to L5 on an oblique anisotropic grid, VerSe's values 21 to 24."""
    return body_spine((2.2, 1.8, 3.1))[0]


def write_spine(path: Path, spine: LabelMap, values: dict[Level, int] | None = None) -> Path:
    """Write a spine with other label values."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.zeros(spine.array.shape, np.uint8)
    for value, level in spine.levels.items():
        array[spine.array == value] = values[level] if values else value
    write_label_map(path, array, spine.grid)
    return path


def verse_rows(*cases):
    """VerSe's table: a header, a row a series (verse_ID, subject_ID, grades), and what stands below it in the workbook."""
    header = ["verse_ID", "subject_ID", "Sex", "N_Fx", *(f"{level}_fx-g" for level in GRADED), *(f"{level}_fx-s" for level in GRADED)]
    rows = []
    for series, subject, grades in cases:
        cells = [grades.get(level) for level in GRADED]
        rows.append([series, subject, "f", None, *cells, *(None if cell is None else 0 for cell in cells)])
    return [header, *rows, [None] * len(header), ["sum", None, None, 12], ["x = foreign material"]]


def write_workbook(path, rows, *, first="legend", sheet="VerSe_dataset"):
    import openpyxl

    book = openpyxl.Workbook()
    book.active.title = first
    book.active.append(["not this sheet"])
    page = book.create_sheet(sheet)
    for row in rows:
        page.append(row)
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(path)
    return path


def write_text_table(path, rows, delimiter=","):
    lines = (delimiter.join("" if cell is None else str(cell) for cell in row) for row in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\ufeff" + "\r\n".join(lines) + "\r\n", encoding="utf-8", newline="")
    return path


def write_xvertseg(path, array, grid):
    """A header and its .raw beside it, as xVertSeg has them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    flip = np.diag([-1.0, -1.0, 1.0])
    image = SimpleITK.GetImageFromArray(array.transpose())
    image.SetSpacing(grid.spacing_mm.tolist())
    image.SetDirection((flip @ grid.affine[:3, :3] / grid.spacing_mm).ravel().tolist())
    image.SetOrigin((flip @ grid.affine[:3, 3]).tolist())
    SimpleITK.WriteImage(image, str(path))
