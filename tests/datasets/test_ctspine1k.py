import pytest

from shapekit.core.checks import UsageError
from shapekit.datasets import open_dataset
from shapekit.datasets.ctspine1k import read_ctspine1k
from shapekit.datasets.tree import list_tree
from tests.datasets.layouts import lay_out, lumbar, write_spine

SPLIT = """trainset:
1.3.6.1.4.1.9328.50.4.0001.nii.gz
liver_106.nii.gz

test_public:
HN_P023.nii.gz

test_private:
CTC-1018399231.nii.gz
volume-covid19-A-0319_ct.nii.gzvolume-covid19-A-0319_ct.nii.gz
"""


@pytest.fixture
def ctspine1k(tmp_path):
    root = lay_out(
        tmp_path / "CTSpine1K",
        "labels/COLONOG/1.3.6.1.4.1.9328.50.4.0001_seg.nii.gz",
        "labels/COLONOG/CTC-1018399231_seg.nii.gz",
        "labels/MSD-T10/liver_106_seg.nii.gz",
        "labels/HNSCC-3DCT-RT/HN_P023_seg.nii.gz",
        "labels/COVID-19/volume-covid19-A-0319_ct_seg.nii.gz",
        "volumes/MSD-T10/liver_106.nii.gz",
    )
    (root / "data_split.txt").write_text(SPLIT)
    return root


def test_masks_their_scans_and_the_published_split(ctspine1k):
    dataset = open_dataset(ctspine1k)
    assert dataset.kind == "ctspine1k"
    assert {case.subject: case.split for case in dataset} == {
        "1.3.6.1.4.1.9328.50.4.0001": "train",
        "CTC-1018399231": "test",
        "liver_106": "train",
        "HN_P023": "test",
        "volume-covid19-A-0319_ct": "test",
    }
    assert [case.ct.name for case in dataset if case.ct] == ["liver_106.nii.gz"]
    assert {case.name for case in dataset} == {f"{case.subject}_seg" for case in dataset}
    assert dataset.notes == ("ctspine1k: 5 masks such as 1.3.6.1.4.1.9328.50.4.0001_seg.nii.gz",)


def test_values_are_read_as_verses(ctspine1k):
    write_spine(ctspine1k / "labels" / "MSD-T10" / "liver_106_seg.nii.gz", lumbar())
    case = next(case for case in open_dataset(ctspine1k) if case.subject == "liver_106")
    assert case.load().levels == lumbar().levels


def test_verses_masks_that_its_makers_completed_make_the_kind_doubtful(ctspine1k):
    lay_out(ctspine1k, "labels/VerSe/verse506_CT-iso_seg.nii.gz")
    with pytest.raises(UsageError, match=r"verse: 1 masks.*ctspine1k: 5 masks"):
        open_dataset(ctspine1k)
    dataset = open_dataset(ctspine1k, "ctspine1k")
    assert len(dataset) == 5
    assert any("verse506" in note for note in dataset.notes)
    assert [case.name for case in open_dataset(ctspine1k, "verse")] == ["verse506_CT-iso_seg"]


def test_a_scan_in_two_sections_or_in_none_has_no_split(ctspine1k):
    (ctspine1k / "data_split.txt").write_text(SPLIT.replace("HN_P023", "liver_106"))
    dataset = open_dataset(ctspine1k)
    assert {case.subject: case.split for case in dataset if not case.split} == {"liver_106": "", "HN_P023": ""}
    assert any("1 scans stand in two sections" in note for note in dataset.notes)
    assert any("2 scans are in no section" in note for note in dataset.notes)


def test_without_the_split_file_or_with_a_damaged_one(ctspine1k):
    (ctspine1k / "data_split.txt").write_bytes(b"\xff\xfe")
    assert any("cannot be read" in note for note in open_dataset(ctspine1k).notes)
    (ctspine1k / "data_split.txt").unlink()
    cases, notes = read_ctspine1k(list_tree(ctspine1k))
    assert not any(case.split for case in cases)
    assert any("no data_split.txt" in note for note in notes)
