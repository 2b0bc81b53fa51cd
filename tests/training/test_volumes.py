import dataclasses
import shutil

import nibabel as nib
import numpy as np
import pytest

from shapekit.cli import main
from shapekit.core.checks import InputError
from shapekit.core.values import Image
from shapekit.datasets import Case
from shapekit.io.nifti import write_ct, write_label_map
from shapekit.networks import read_weights
from shapekit.phantom import acquire, draw_look, draw_patient, scan_grid, simulate_ct
from shapekit.segmentation import read_segmenter
from shapekit.training import SegmenterConfig, read_scans, train_segmenter
from shapekit.training.volumes import divided

TINY = SegmenterConfig(width=4, patch=32, spacing_mm=4.0, batch=1, steps=4, checkpoint_every=2, watched=2)
PERSON = "DOUGHERTY^JANETTE MCMXLIX"


@pytest.fixture(scope="module")
def scans():
    """Three phantoms' CTs with masks of whole vertebrae."""
    made = []
    for seed in range(3):
        patient = draw_patient(seed, levels=["T12", "L1", "L2"], fractures="none")
        grid = scan_grid(patient, (1.5, 2.0, 2.5))
        generator = np.random.default_rng(seed)
        labels = acquire(patient, grid, generator=generator).labels
        made.append((simulate_ct(patient, grid, draw_look(patient, generator=generator), generator=generator), labels))
    return made


def verse_pair(root, number, ct, labels, *, split=None):
    """One series as VerSe lays it out."""
    name = f"sub-verse{number}" if split is None else f"sub-verse{number}_split-verse{split}"
    folders = [root / part / f"sub-verse{number}" for part in ("rawdata", "derivatives")]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    if ct is not None:
        write_ct(folders[0] / f"{name}_ct.nii.gz", ct)
    write_label_map(folders[1] / f"{name}_seg-vert_msk.nii.gz", labels.array, labels.grid)
    return folders[0] / f"{name}_ct.nii.gz", folders[1] / f"{name}_seg-vert_msk.nii.gz"


@pytest.fixture(scope="module")
def verse(scans, tmp_path_factory):
    """VerSe's layout: three patients, one of them with two series; and four that cannot be learnt from."""
    root = tmp_path_factory.mktemp("data") / "mine"
    for number, (ct, labels) in zip((101, 102, 103), scans, strict=True):
        verse_pair(root, number, ct, labels)
    ct, labels = scans[0]
    for series in (301, 302):
        verse_pair(root, 300, ct, labels, split=series)
    verse_pair(root, 201, None, labels)
    verse_pair(root, 202, Image(np.abs(ct.array), ct.grid), labels)
    verse_pair(root, 203, ct, labels)[0].write_bytes(b"no image")
    verse_pair(root, 204, ct, labels)[1].write_bytes(b"no mask")
    return root


@pytest.fixture(scope="module")
def read(verse, tmp_path_factory):
    return read_scans(verse, tmp_path_factory.mktemp("samples"), TINY)


def test_scans_that_can_be_learnt_from_are_divided_by_patient(read):
    assert (len(read.learnt), len(read.watched)) in ((4, 1), (3, 2))
    assert all(volume.order == (19, 20, 21) for volume in (*read.learnt, *read.watched))
    assert "5 CTs of 4 patients, 1 of whom only watched; mine" in read.cohort


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (201, "has no CT beside its mask"),
        (202, "none of them negative"),
        (203, "ct.nii.gz is not a valid gzip"),
        (204, "msk.nii.gz is not a valid gzip"),
    ],
)
def test_others_are_named_with_their_reason(read, number, why):
    (note,) = (note for note in read.notes if f"verse{number}" in note)
    assert why in note
    assert len(read.notes) == 4


def test_what_was_read_is_kept_and_read_again_until_a_file_changes(verse, tmp_path):
    data = tmp_path / "mine"
    shutil.copytree(verse, data)
    first = read_scans(data, tmp_path / "samples", TINY)
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "samples").iterdir()}
    assert len(kept) == 5
    assert not any("verse" in name for name in kept)
    again = read_scans(data, tmp_path / "samples", TINY)
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "samples").iterdir()} == kept
    assert again.cohort == first.cohort
    for one, other in zip((*first.learnt, *first.watched), (*again.learnt, *again.watched), strict=True):
        assert np.array_equal(one.hu, other.hu)
        assert one.partial == other.partial
    (data / "rawdata" / "sub-verse101" / "sub-verse101_ct.nii.gz").touch()
    assert read_scans(data, tmp_path / "samples", TINY).cohort != first.cohort


def test_a_network_learns_from_them_and_says_so(read, tmp_path):
    path, identity = train_segmenter(TINY, read.learnt, tmp_path, watched=read.watched, cohort=read.cohort)
    assert read_segmenter(path).identity == identity
    card = read_weights(path, "segmentation")[1]
    assert card["cohort"] == read.cohort
    assert "synthetic" not in str(card)
    assert set(card["validation"]) <= {"dice", "levels_off", "complete"}
    other = dataclasses.replace(read, cohort="others")
    with pytest.raises(InputError, match="was trained on other scans"):
        train_segmenter(TINY, other.learnt, tmp_path, watched=other.watched, cohort=other.cohort)
    with pytest.raises(InputError, match="was trained on other scans"):
        train_segmenter(TINY, read.learnt, tmp_path)


def case(name, subject, split=""):
    from pathlib import Path

    return Case(name, subject, Path(f"{name}.nii.gz"), "verse", split)


def test_no_patient_is_on_both_sides_and_one_in_twenty_watches():
    cases = [case(f"s{n}", f"p{n // 2}") for n in range(80)]
    learnt, watched = divided(cases, 1)
    assert (len(learnt), len(watched)) == (76, 4)
    assert not {one.subject for one in learnt} & {one.subject for one in watched}
    assert [one.name for one in divided(cases[::-1], 1)[1]] == [one.name for one in watched]
    assert [one.name for one in divided(cases, 2)[1]] != [one.name for one in watched]


@pytest.mark.parametrize(
    ("splits", "learnt", "watched"),
    [
        (["train", "train", "validation", ""], 3, 1),
        (["train", "train", "train"], 2, 1),
        (["validation", "validation"], 1, 1),
        (["train"], 1, 0),
        (["validation"], 1, 0),
    ],
)
def test_a_published_split_counts_as_long_as_both_sides_have_somebody(splits, learnt, watched):
    sides = divided([case(f"s{n}", f"p{n}", split) for n, split in enumerate(splits)], 3)
    assert [len(side) for side in sides] == [learnt, watched]
    if set(splits) > {"validation"}:
        assert all(one.split == "validation" for one in sides[1])


def test_patients_published_for_testing_are_left_out(scans, tmp_path):
    ct, labels = scans[1]
    verse_pair(tmp_path / "dataset-training", 11, ct, labels)
    verse_pair(tmp_path / "dataset-training", 12, ct, labels, split=13)
    verse_pair(tmp_path / "dataset-test", 12, ct, labels, split=14)
    read = read_scans(tmp_path, tmp_path / "samples", TINY)
    assert (len(read.learnt), len(read.watched)) == (1, 0)
    assert read.notes == ("patients whom the data set publishes for testing: 1",)


def test_totalsegmentators_folders_and_plain_pairs_are_read_too(scans, tmp_path):
    ct, labels = scans[2]
    folder = tmp_path / "ts" / "s0001" / "segmentations"
    folder.mkdir(parents=True)
    write_ct(folder.parent / "ct.nii.gz", ct)
    for value, level in labels.levels.items():
        write_label_map(folder / f"vertebrae_{level}.nii.gz", (labels.array == value).astype(np.uint8), labels.grid)
    (tmp_path / "plain").mkdir()
    write_ct(tmp_path / "plain" / "a_ct.nii.gz", ct)
    write_label_map(tmp_path / "plain" / "a_seg.nii.gz", labels.array, labels.grid)
    volumes = [read_scans(tmp_path / name, tmp_path / f"kept-{name}", TINY).learnt[0] for name in ("ts", "plain")]
    assert volumes[0].order == (19, 20, 21)
    assert np.array_equal(volumes[0].body, volumes[1].body)


def test_nothing_to_learn_from_is_told_in_one_sentence(scans, tmp_path):
    verse_pair(tmp_path / "mine", 201, None, scans[0][1])
    with pytest.raises(InputError, match=r"mine holds no CT with labelled bodies to learn from .*verse201.* has no CT beside its mask"):
        read_scans(tmp_path / "mine", tmp_path / "samples", TINY)


def test_headers_about_a_person_reach_no_output(scans, tmp_path, capfd):
    ct, labels = scans[0]
    paths = verse_pair(tmp_path / "mine", 101, ct, labels)
    for path, array in zip(paths, (ct.array, labels.array), strict=True):
        image = nib.Nifti1Image(array, labels.grid.affine)
        for field in ("descrip", "aux_file", "intent_name", "db_name"):
            image.header[field] = PERSON
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", PERSON.encode()))
        image.to_filename(path)
    verse_pair(tmp_path / "mine", 202, None, labels)
    config = tmp_path / "tiny.yaml"
    config.write_text("width: 4\npatch: 32\nspacing_mm: 4.0\nsteps: 2\ncheckpoint_every: 2\nwatched: 1\nbatch: 1\n")
    out = tmp_path / "out"
    assert main(["train", "--task", "segmentation", "--data", str(tmp_path / "mine"), "--config", str(config), "-o", str(out)]) == 0
    said = capfd.readouterr()
    assert said.err == "shapekit: left out: sub-verse202_seg-vert_msk has no CT beside its mask.\n"
    written = [path for path in out.rglob("*") if path.is_file()]
    assert {path.suffix for path in written} == {".safetensors"}
    assert len(written) == 3  # the kept scan, checkpoint and weights
    for content in (*(path.read_bytes() for path in written), said.out.encode(), said.err.encode()):
        assert b"DOUGHERTY" not in content
        assert b"sub-verse101" not in content
        assert str(tmp_path).encode() not in content


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--devices", "2"], "leave --devices out"),
        (["--data", "there", "--patients", "3"], "leave --patients or --data out"),
        (["--data", "there"], "there is no folder"),
    ],
)
def test_what_does_not_go_together_is_told_in_one_line(tmp_path, capsys, arguments, said):
    assert main(["train", "--task", "segmentation", "-o", str(tmp_path / "out"), *arguments]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
