from dataclasses import replace

import pytest

from shapekit.core.checks import InputError
from shapekit.core.levels import Level
from shapekit.datasets import Case
from shapekit.study.scans import fingerprint, keep_rows, keep_samples
from tests.datasets.layouts import tiny


@pytest.fixture
def case(tmp_path):
    return Case("a", "s", tiny(tmp_path / "masks" / "a.nii.gz"), "verse", grades={Level.L1: 1})


def test_a_fingerprint_changes_with_everything_a_result_depends_on(case):
    first = fingerprint(case, "linear")
    assert first == fingerprint(replace(case, grades=dict(case.grades)), "linear")
    others = {
        fingerprint(case),
        fingerprint(case, "neighbours"),
        fingerprint(replace(case, subject="t"), "linear"),
        fingerprint(replace(case, grades={Level.L1: 2}), "linear"),
        fingerprint(replace(case, deformities={Level.L1: "wedge"}), "linear"),
        fingerprint(replace(case, body_mask=case.mask), "linear"),
    }
    tiny(case.mask, value=21)
    others.add(fingerprint(case, "linear"))
    assert len(others | {first}) == 8


def test_a_headers_voxels_and_a_folders_files_count(case, tmp_path):
    header = tmp_path / "b.mhd"
    header.write_text("ElementDataFile = b.raw")
    (tmp_path / "b.raw").write_bytes(b"1")
    first = fingerprint(replace(case, mask=header))
    (tmp_path / "b.raw").write_bytes(b"2")
    assert fingerprint(replace(case, mask=header)) != first
    whole = fingerprint(replace(case, mask=case.mask.parent))
    tiny(case.mask.parent / "c.nii.gz")
    assert fingerprint(replace(case, mask=case.mask.parent)) != whole


def test_a_case_that_cannot_be_used_is_a_reason_not_an_end(case, tmp_path):
    gone = replace(case, mask=tmp_path / "gone.nii.gz")
    with pytest.raises(InputError, match="a cannot be read"):
        fingerprint(gone)
    assert keep_samples(gone, folder=tmp_path)[0] == ""
    bad = tmp_path / "bad.nii.gz"
    bad.write_text("no image")
    kept = keep_rows(replace(case, mask=bad), group="internal", predictor="neighbours", weights=None, identity="", folder=tmp_path)
    assert kept.rows == []
    assert "bad.nii.gz" in kept.reason
    assert str(tmp_path) not in kept.reason
