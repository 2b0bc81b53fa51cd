"""``shapekit cohort`` as a command line: levels, labels, complaints and exit codes; whole runs are in tests/cohort."""

import pytest

from tests.cli.conftest import files_in

MASKS = ("sub-01_seg-vert_msk.nii.gz", "sub-02_seg-vert_msk.nii.gz")


@pytest.fixture
def bids(tmp_path):
    folder = tmp_path / "bids"
    folder.mkdir()
    for name in MASKS:
        (folder / name).write_bytes(b"any")
    return folder


@pytest.mark.parametrize("words", [("nosuch",), ("group", "participant"), ("participant", "participant")])
def test_an_unknown_level_is_refused(command, bids, tmp_path, words):
    ended = command("cohort", bids, tmp_path / "out", *words)
    assert ended == (2, "", f"shapekit: the level is {' '.join(words)!r}, but must be one of: participant, group.\n")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("labels", [("--participant-label", "01", "02", "99"), ("--participant_label", "sub-99"), ("--participant-label=99",)])
def test_labels_are_read_as_bids_apps_are_called(command, bids, tmp_path, labels):
    ended = command("cohort", bids, tmp_path / "out", "group", *labels)
    assert ended == (2, "", "shapekit: participant 99 is not in bids; its participants are 01, 02.\n")


def test_the_group_level_alone_lists_what_waits_and_ends_with_1(command, bids, tmp_path):
    ended = command("cohort", bids, tmp_path / "out", "group", "--participant-label", "02")
    assert ended.code == 1
    assert ended.out == "0 of 1 scans scored; 0 vertebrae in group_desc-vcf_scores.tsv.\n"
    assert "sub-02_seg-vert_msk (waiting): sub-02_seg-vert_msk has not been scored yet; run the participant level." in ended.err
    assert ended.err.endswith("shapekit: no scan of bids was scored; failures.tsv says why.\n")
    assert (tmp_path / "out" / "failures.tsv").read_text().count("\n") == 2


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--shard", "3/2"), "shard is '3/2', but must be i/n"),
        (("--kind", "nosuch"), "kind is 'nosuch', but must be one of"),
        (("--weights", "gone.safetensors"), "the weights gone.safetensors cannot be read"),
        (("--workers", "-1"), "--workers"),
    ],
)
def test_a_wrong_option_is_told_in_one_line_before_anything_is_written(command, bids, tmp_path, option, said):
    ended = command("cohort", bids, tmp_path / "out", *option)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert said in ended.err
    assert not (tmp_path / "out").exists()


def test_what_a_worker_finds_wrong_is_told_in_one_line_before_anything_is_written(command, bids, tmp_path):
    ended = command("cohort", bids, tmp_path / "out", "--predictor", "nosuch", "--workers", 1)
    assert ended == (2, "", "shapekit: predictor is 'nosuch', but must be one of: generative, coarse, linear, neighbours.\n")
    assert not (tmp_path / "out").exists()


def test_nothing_goes_into_the_data_set_or_into_another_one(command, bids, tmp_path):
    assert "own folder bids" in command("cohort", bids, bids).err
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "dataset_description.json").write_text('{"Name": "their study"}')
    for level in ("participant", "group"):
        ended = command("cohort", bids, theirs, level)
        assert (ended.code, ended.out) == (2, "")
        assert "theirs holds another data set" in ended.err
    assert files_in(theirs) == ["dataset_description.json"]
    assert files_in(bids) == sorted(MASKS)


def test_a_shard_without_a_scan_is_no_failure(command, bids, tmp_path):
    from shapekit.cohort import in_shard

    names = [name.removesuffix(".nii.gz") for name in MASKS]
    empty = next(n for n in range(1, 4) if not any(in_shard(name, (n, 3)) for name in names))
    assert command("cohort", bids, tmp_path / "out", "--shard", f"{empty}/3") == (0, "", "")
    assert not (tmp_path / "out").exists()
