import numpy as np
import pytest

from shapekit.core.checks import InputError
from shapekit.core.grid import Grid
from shapekit.core.levels import Level
from shapekit.datasets import Case, load_each
from shapekit.datasets.case import Case as Defined
from shapekit.io.nifti import write_label_map
from tests.datasets.layouts import lumbar, tiny, write_spine


def cervical_and_thoracic(path, values=(6, 7, 8)):
    array = np.zeros((40, 42, 90), np.uint8)
    for n, value in enumerate(values):
        array[8:32, 10:35, 66 - 20 * n : 78 - 20 * n] = value
    write_label_map(path, array, Grid(array.shape, np.diag([1.1, 0.9, 1.0, 1.0])))
    return path


def test_a_case_is_read_under_its_own_name_by_its_own_scheme(tmp_path):
    spine = lumbar()
    path = write_spine(tmp_path / "m.nii.gz", spine)
    labels = Case("mine", "sub-1", path, "verse").load()
    assert (labels.name, labels.scheme, labels.levels) == ("mine", "verse", spine.levels)
    assert Defined is Case


def test_cervical_vertebrae_are_left_out_where_asked(tmp_path):
    case = Case("neck", "sub-1", cervical_and_thoracic(tmp_path / "m.nii.gz"), "verse")
    whole, rest = case.load(), case.load(exclude_cervical=True)
    assert set(whole.levels.values()) == {Level.C6, Level.C7, Level.T1}
    assert rest.levels == {8: Level.T1}
    assert np.array_equal(whole.array, rest.array)
    assert any("cervical" in note for note in rest.notes)
    assert not any("cervical" in note for note in whole.notes)


def test_nothing_is_left_out_where_there_is_nothing_cervical(tmp_path):
    case = Case("back", "sub-1", write_spine(tmp_path / "m.nii.gz", lumbar()), "verse")
    assert case.load(exclude_cervical=True).notes == case.load().notes


def test_a_neck_alone_cannot_be_read_without_its_neck(tmp_path):
    case = Case("neck", "sub-1", cervical_and_thoracic(tmp_path / "m.nii.gz", (5, 6, 7)), "verse")
    with pytest.raises(InputError, match="neck shows cervical vertebrae only"):
        case.load(exclude_cervical=True)


def test_cases_that_cannot_be_read_are_passed_by(tmp_path):
    (tmp_path / "text.nii.gz").write_text("no image")
    paths = [write_spine(tmp_path / "good.nii.gz", lumbar()), tmp_path / "text.nii.gz", tmp_path / "gone.nii.gz", tiny(tmp_path / "odd.nii.gz", 77)]
    cases = [Case(path.name.partition(".")[0], "s", path, "auto") for path in paths]
    read = list(load_each(cases))
    assert [case for case, _, _ in read] == cases
    assert [labels is not None for _, labels, _ in read] == [True, False, False, False]
    assert read[0][2] == ""
    for (case, _, reason), path in zip(read[1:], paths[1:], strict=True):
        assert path.name in reason, case
        assert str(tmp_path) not in reason
