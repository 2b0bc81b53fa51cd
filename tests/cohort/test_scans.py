from pathlib import Path

import numpy as np
import pytest
import SimpleITK

import shapekit as sk
from shapekit.cohort import in_shard, open_cohort, parse_shard
from shapekit.cohort.scans import input_digest, scan_of
from shapekit.datasets import Case


def place(name, subject, mask="a.nii.gz"):
    scan = scan_of(Case(name, subject, Path(mask), "auto"))
    return scan.place, scan.session, scan.table


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            ("sub-01_seg-vert_msk", "sub-01", "sub-01_seg-vert_msk.nii.gz"),
            ("sub-01/sub-01_seg-vert_msk", "", "sub-01_desc-vcf_scores.tsv"),
        ),
        (
            ("sub-01_ses-02_run-1_seg-vert_msk", "sub-01", "x/sub-01_ses-02_run-1_seg-vert_msk.nii.gz"),
            ("sub-01/ses-02/sub-01_ses-02_run-1_seg-vert_msk", "02", "sub-01_ses-02_run-1_desc-vcf_scores.tsv"),
        ),
        (
            ("sub-verse409_split-verse266_seg-vert_msk", "sub-verse409", "sub-verse409_split-verse266_seg-vert_msk.nii.gz"),
            ("sub-verse409/sub-verse409_split-verse266_seg-vert_msk", "", "sub-verse409_split-verse266_desc-vcf_scores.tsv"),
        ),
        (("s0011", "s0011", "s0011/segmentations"), ("s0011", "", "s0011_desc-vcf_scores.tsv")),
        (("verse266_seg", "sub-verse266", "verse266_seg.nii.gz"), ("sub-verse266/verse266_seg", "", "verse266_seg_desc-vcf_scores.tsv")),
        (("../../x", "sub-../../../etc", "a.nii.gz"), ("sub-.._.._.._etc/.._.._x", "", ".._.._x_desc-vcf_scores.tsv")),
    ],
)
def test_a_scan_has_one_place_and_it_leads_nowhere_else(given, expected):
    assert place(*given) == expected


def test_every_scan_is_in_one_shard_whatever_else_there_is():
    names = [f"sub-{n:03d}_seg-vert_msk" for n in range(200)]
    parts = [[name for name in names if in_shard(name, (n, 7))] for n in range(1, 8)]
    assert sorted(name for part in parts for name in part) == names
    assert min(map(len, parts)) > 10
    assert [name for name in names[50:] if in_shard(name, (3, 7))] == [name for name in parts[2] if name in names[50:]]


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "1/0", "-1/3", "a/b", "1/3/5", "1.5/3", "²/3"])
def test_a_shard_is_i_of_n(text):
    with pytest.raises(sk.UsageError, match="must be i/n"):
        parse_shard(text)


def touch(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"any")
    return folder


def test_results_inside_the_data_set_are_none_of_its_masks(tmp_path):
    bids = touch(tmp_path / "bids", "one.nii.gz", "two.nii.gz")
    before = open_cohort(bids, bids / "derivatives" / "shapekit")
    touch(bids / "derivatives", "shapekit/one/expected.nii.gz", "shapekit/one/deficit.nii.gz", "shapekit/two/expected.nii.gz")
    after = open_cohort(bids, bids / "derivatives" / "shapekit")
    assert [scan.place for scan in before.scans] == ["one", "two"]
    assert after == before
    with pytest.raises(sk.UsageError, match="own folder"):
        open_cohort(bids, tmp_path / "bids" / "." / "derivatives" / "..")


def test_participants_are_chosen_with_or_without_sub(tmp_path):
    bids = touch(tmp_path / "bids", *(f"sub-{n}_seg-vert_msk.nii.gz" for n in ("01", "02", "03")))
    (bids / "sub-03_seg-vert_msk.nii.gz").write_bytes(b"")
    chosen = open_cohort(bids, tmp_path / "out", labels=["01", "sub-03"])
    assert [scan.case.subject for scan in chosen.scans] == ["sub-01"]
    assert [one.case for one in chosen.faulty] == ["sub-03_seg-vert_msk"]
    with pytest.raises(sk.UsageError, match="participant 04, 99 is not in bids; its participants are 01, 02, 03"):
        open_cohort(bids, tmp_path / "out", labels=["99", "04"])


def test_a_mask_that_cannot_be_opened_is_told_with_its_reason(tmp_path):
    bids = touch(tmp_path / "bids", "sub-01_seg-vert_msk.nii.gz", "sub-02_seg-vert_msk.nii.gz")
    (bids / "sub-02_seg-vert_msk.nii.gz").write_bytes(b"")
    found = open_cohort(bids, tmp_path / "out")
    assert [(one.case, one.subject, one.status) for one in found.faulty] == [("sub-02_seg-vert_msk", "sub-02", "failed")]
    assert "is empty (0 bytes)" in found.faulty[0].reason
    assert not [note for note in found.notes if "is empty" in note]


def test_names_that_would_share_a_folder_are_told(tmp_path):
    found = open_cohort(touch(tmp_path / "bids", "a:b.nii.gz", "a_b.nii.gz", "c.nii.gz"), tmp_path / "out")
    assert len({scan.place for scan in found.scans}) == len(found.scans) >= 2


def test_the_checksum_is_of_every_byte_that_labels_come_from(tmp_path):
    image = SimpleITK.GetImageFromArray(np.zeros((4, 5, 6), np.uint8))
    SimpleITK.WriteImage(image, str(tmp_path / "a.mhd"))
    folder = touch(tmp_path / "s1", "vertebrae_L1.nii.gz", "vertebrae_L2.nii.gz", "notes.txt")
    body = touch(tmp_path, "body.nii.gz") / "body.nii.gz"
    cases = [Case("a", "a", tmp_path / "a.mhd", "auto"), Case("s1", "s1", folder, "auto"), Case("b", "b", body, "auto", body_mask=body)]
    before = [input_digest(case) for case in cases]
    assert len(set(before)) == 3
    (folder / "notes.txt").write_text("other")
    assert [input_digest(case) for case in cases] == before
    (tmp_path / "a.raw").write_bytes(bytes(119) + b"\1")
    (folder / "vertebrae_L2.nii.gz").write_bytes(b"other")
    body.write_bytes(b"other")
    assert not set(before) & {input_digest(case) for case in cases}
    assert input_digest(Case("gone", "gone", tmp_path / "gone.nii.gz", "auto")) == ""
