"""Whole runs of the command: the same tables from one worker, from two, from Ray, and after any interruption."""

import random
import shutil
import subprocess
import time

import pytest

from shapekit.cohort import in_shard
from shapekit.cohort.store import RECORD
from tests.cli.test_bad_files import BAD
from tests.cohort.conftest import FLAGS, descendants, end, run, start, tree, until, write_masks


def test_one_worker_writes_all_that_is_promised(scored_once):
    out, _ = scored_once
    names = {name for name in tree(out) if "/" not in name}
    assert names == {
        "dataset_description.json",
        "desc-vcf_scores.json",
        "failures.tsv",
        "group_desc-vcf_scores.parquet",
        "group_desc-vcf_scores.tsv",
        "group_report.html",
    }
    place = out / "sub-01" / "ses-a" / "sub-01_ses-a_seg-vert_msk"
    expected = {"deficit.nii.gz", "expected.nii.gz", "scores.csv", "scores.json", "sub-01_ses-a_desc-vcf_scores.tsv", RECORD}
    assert {path.name for path in place.iterdir()} == expected
    assert len((out / "group_desc-vcf_scores.tsv").read_text().splitlines()) == 1 + 3 * 2


def test_a_second_run_does_nothing_and_says_so(masks, scored_once):
    out, _ = scored_once
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    code, said, err = run("cohort", masks, out, *FLAGS, "--workers", 1)
    assert (code, err) == (0, "")
    assert said.splitlines() == ["3 scans are finished already: nothing to do.", "3 of 3 scans scored; tables and report are as they were."]
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_ray_writes_the_same_bytes_though_an_actor_is_lost(masks, scored_once, tmp_path):
    pytest.importorskip("ray")
    process = start("cohort", masks, tmp_path / "out", *FLAGS, "--ray", "local", "--workers", 2)
    end(until(lambda: (tmp_path / "out" / "dataset_description.json").exists() and descendants(process, "ray::Held"))[0])
    said, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, "")
    assert "3 of 3 scans scored; 6 vertebrae in group_desc-vcf_scores.tsv." in said
    assert tree(tmp_path / "out") == tree(scored_once[0])


def test_a_run_killed_at_any_moment_goes_on_and_ends_with_the_same_tables(masks, scored_once, tmp_path):
    out, generator, interrupted = tmp_path / "out", random.Random(8), 0

    def finished():
        return list(out.glob(f"sub-*/*/*/{RECORD}"))

    for begun in ((out / "dataset_description.json").exists, finished):  # before the first scan ends, and before the last does
        process = start("cohort", masks, out, *FLAGS, "--workers", 1)
        until(begun)
        time.sleep(generator.uniform(0.0, 0.2))
        end(process.pid)
        process.communicate()
        for record in finished():  # whatever is there is the finished thing
            assert tree(record.parent) == tree(scored_once[0] / record.parent.relative_to(out))
        interrupted += len(finished()) < 3
    assert interrupted  # the second time the last scan may have been quicker
    code, _, err = run("cohort", masks, out, *FLAGS, "--workers", 2)
    assert (code, err) == (0, "")
    assert tree(out) == tree(scored_once[0])


def test_two_workers_of_which_one_is_lost_and_a_second_run_beside_them_write_the_same_bytes(masks, scored_once, tmp_path):
    first = start("cohort", masks, tmp_path / "out", *FLAGS, "--workers", 2)
    end(until(lambda: (tmp_path / "out" / "dataset_description.json").exists() and descendants(first, "popen_loky_posix"))[0])
    second = start("cohort", masks, tmp_path / "out", *FLAGS, "--workers", 1)
    for process in (first, second):
        said, err = process.communicate(timeout=300)
        assert (process.returncode, err) == (0, "")
        assert "3 of 3 scans scored" in said
    assert tree(tmp_path / "out") == tree(scored_once[0])


def test_broken_inputs_of_every_kind_are_listed_and_the_rest_is_scored(scored_once, tmp_path):
    bids = write_masks(tmp_path / "bids", 1)
    shutil.move(bids / "sub-00_ses-a_seg-vert_msk.nii.gz", bids / "good.nii.gz")
    broken = {}
    for n, (make, suffix, word) in enumerate(BAD):
        if suffix not in (".png", "", ".dcm", ".ply") or make.__name__ != "text":  # those are no files of images
            (tmp_path / "one").mkdir()
            made = make(tmp_path / "one", suffix)
            ending = "".join(made.suffixes)
            shutil.move(made, bids / f"bad{n:02d}{ending}")
            broken[f"bad{n:02d}"] = word
            shutil.rmtree(tmp_path / "one")
    assert len(broken) > 15
    code, said, err = run("cohort", bids, tmp_path / "out", *FLAGS, "--workers", 1)
    assert code == 0
    assert f"1 of {len(broken) + 1} scans scored" in said
    header, *rows = [line.split("\t") for line in (tmp_path / "out" / "failures.tsv").read_text().splitlines()]
    assert header == ["participant_id", "case", "status", "reason"]
    reasons = {case: reason for _, case, status, reason in rows if status == "failed"}
    assert set(reasons) == set(broken)
    for name, word in broken.items():
        assert reasons[name].startswith(name)
        assert word in reasons[name]
        assert reasons[name] in err
    code, again, _ = run("cohort", bids, tmp_path / "out", *FLAGS, "--workers", 1)
    assert code == 0
    assert "1 scans are finished already" in again
    assert "tables and report are as they were" in again


def test_a_shard_leaves_the_rest_to_others_and_a_changed_mask_is_scored_again(masks, scored_once, tmp_path):
    bids, out = tmp_path / "bids", tmp_path / "out"
    shutil.copytree(masks, bids)
    names = [f"sub-{n:02d}_ses-a_seg-vert_msk" for n in range(3)]
    own = [name for name in names if in_shard(name, (1, 3))]
    assert 0 < len(own) < 3
    code, said, err = run("cohort", bids, out, *FLAGS, "--workers", 1, "--shard", "1/3")
    assert (code, err) == (0, "")
    assert [line.partition(":")[0] for line in said.splitlines()[:-1]] == own
    assert not (out / "failures.tsv").exists()
    code, said, err = run("cohort", bids, out, *FLAGS, "--workers", 1)
    assert (code, err) == (0, "")
    assert said.startswith(f"{len(own)} scans are finished already.\n")
    theirs, ours, page = tree(scored_once[0]), tree(out), "group_report.html"
    assert {name: ours[name] for name in ours if name != page} == {name: theirs[name] for name in theirs if name != page}
    shutil.copy(bids / f"{names[2]}.nii.gz", bids / f"{names[0]}.nii.gz")
    code, said, err = run("cohort", bids, out, "group")
    assert "2 of 3 scans scored" in said
    assert f"the mask of {names[0]} has changed since it was scored" in err
    code, said, err = run("cohort", bids, out, *FLAGS, "--workers", 1)
    assert (code, err) == (0, "")
    assert said.startswith(f"2 scans are finished already.\n{names[0]}: 2 of 2 vertebrae scored")
    score = [line.split("\t")[9] for line in (out / "group_desc-vcf_scores.tsv").read_text().splitlines()[1:]]
    assert score[:2] == score[4:]


def test_a_full_disk_is_told_and_nothing_half_written_counts(masks, scored_once, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    if mount is None or subprocess.run([mount, "-t", "tmpfs", "-o", "size=60k", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("may not mount a small disk here")
    try:
        code, _, err = run("cohort", masks, disk / "out", *FLAGS, "--workers", 1)
        assert code == 2
        *_, last = err.splitlines()
        assert "No space left on device" in err or "is full" in err
        assert last.startswith("shapekit: ")
        assert str(tmp_path) not in err
        finished = list((disk / "out").glob(f"sub-*/*/*/{RECORD}"))
        for record in finished:
            assert tree(record.parent) == tree(scored_once[0] / record.parent.relative_to(disk / "out"))
        assert len(finished) < 3
        subprocess.run([mount, "-o", "remount,size=20m", str(disk)], check=True)
        code, _, err = run("cohort", masks, disk / "out", *FLAGS, "--workers", 1)
        assert (code, err) == (0, "")
        assert tree(disk / "out") == tree(scored_once[0])
    finally:
        subprocess.run(["umount", str(disk)], check=True)
