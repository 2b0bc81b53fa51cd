import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import shapekit as sk
from shapekit.cli import main
from shapekit.datasets import read_cohort, write_cohort


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    return folder, write_cohort(folder, 2, seed=3)


@pytest.fixture(scope="module")
def varied(tmp_path_factory):
    folder = tmp_path_factory.mktemp("varied")
    return folder, write_cohort(folder, 2, seed=11, labels="spineps", acquisition="varied", workers=2)


def test_a_longer_cohort_begins_with_a_shorter_ones_patients_to_the_byte(cohort, tmp_path):
    write_cohort(tmp_path, 1, seed=3)
    longer, shorter = contents(cohort[0]), contents(tmp_path)
    own = [name for name in shorter if name.startswith("derivatives")]
    assert len(own) == 2
    assert all(shorter[name] == longer[name] for name in own)


def test_the_number_of_workers_does_not_change_a_byte(varied, tmp_path):
    write_cohort(tmp_path, 2, seed=11, labels="spineps", acquisition="varied", workers=1)
    assert contents(tmp_path) == contents(varied[0])


def test_what_was_written_is_read_back(cohort):
    folder, cases = cohort
    assert read_cohort(folder) == cases
    assert [case.subject for case in cases] == ["sub-phantom0001", "sub-phantom0002"]
    for case in cases:
        assert case.split in ("train", "validation", "test")
        spine = sk.load(case.mask)  # found without being told the scheme
        assert set(case.grades) == set(spine.levels.values())
        truth = json.loads(case.truth.read_text())["vertebrae"]
        broken = {row["level"]: row["deformity"] for row in truth if row["grade"] > 0}
        assert {str(level): kind for level, kind in case.deformities.items()} == broken
        assert set(broken.values()) <= {"wedge", "biconcave", "crush"}
        assert {row["level"]: row["label"] for row in truth} == {str(level): value for value, level in spine.levels.items()}


def test_the_truth_table_holds_every_vertebra_with_its_centre_inside_its_own_label(cohort):
    folder, cases = cohort
    with (folder / "truth.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for case in cases:
        image = nib.load(case.mask)
        array = np.asanyarray(image.dataobj)
        own = [row for row in rows if row["participant_id"] == case.subject]
        assert len(own) == len(case.grades)
        for row in own:
            centre = np.array([float(row[f"centre_mm_{n}"]) for n in range(3)])
            index = np.rint(np.linalg.inv(image.affine) @ [*centre, 1])[:3].astype(int)
            assert array[tuple(index)] == int(row["label"])


def test_totalsegmentator_labels_stand_for_the_same_levels(tmp_path):
    plain = write_cohort(tmp_path / "verse", 1, seed=5)[0]
    other = write_cohort(tmp_path / "ts", 1, seed=5, labels="totalsegmentator")[0]
    one, two = sk.load(plain.mask), sk.load(other.mask, scheme="totalsegmentator")
    values = {level: value for value, level in two.levels.items()}
    for value, level in one.levels.items():
        assert np.array_equal(one.array == value, two.array == values[level])


def test_spineps_masks_bring_their_sub_regions_and_these_give_the_bodies(varied):
    for case in varied[1]:
        spine = sk.load(case.mask, body_mask=case.body_mask)
        assert spine.body_source == "subregions"
        assert 0.3 < spine.body_mask.sum() / (spine.array > 0).sum() < 0.8


def test_a_ct_stands_beside_each_mask_on_its_grid_and_changes_nothing_else(cohort, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    (case, other) = write_cohort(one, 2, seed=3, ct=True)
    write_cohort(two, 2, seed=3, ct=True, workers=2)
    assert contents(one) == contents(two)
    images = {name for name in contents(one) if name.startswith("rawdata")}
    assert images == {f"rawdata/{c.subject}/{c.subject}_ct.nii.gz" for c in (case, other)}
    assert case.ct == one / "rawdata" / case.subject / f"{case.subject}_ct.nii.gz"
    plain = contents(cohort[0])
    assert all(plain[name] == content for name, content in contents(one).items() if name in plain and not name.endswith("_truth.json"))
    mask, ct = nib.load(case.mask), nib.load(case.ct)
    assert np.array_equal(mask.affine, ct.affine)
    assert ct.get_data_dtype() == np.int16
    look = json.loads(case.truth.read_text())["ct"]
    bone = np.asanyarray(ct.dataobj)[np.asanyarray(mask.dataobj) > 0]
    assert min(look["trabecular_hu"].values()) < bone.mean() < look["cortical_hu"]
    assert cohort[1][0].ct is None


def test_varied_scans_differ_in_spacing_and_cut_vertebrae_are_marked(varied):
    spacings = {tuple(np.round(nib.load(case.mask).header.get_zooms(), 3)) for case in varied[1]}
    assert len(spacings) == 2
    for case in varied[1]:
        rows = json.loads(case.truth.read_text())["vertebrae"]
        assert any(row["in_scan"] for row in rows)
        assert all(isinstance(row["cut"], bool) for row in rows)


def test_the_command_writes_a_cohort_and_refuses_nonsense(tmp_path, capsys):
    assert main(["phantom", "-n", "1", "-o", str(tmp_path / "c"), "--seed", "3"]) == 0
    assert capsys.readouterr() == ("", "")
    assert len(read_cohort(tmp_path / "c")) == 1
    assert main(["phantom", "-n", "1", "-o", str(tmp_path / "ct"), "--ct", "-q"]) == 0
    assert read_cohort(tmp_path / "ct")[0].ct.is_file()
    for wrong in (["-n", "0"], ["--seed", "-1"], ["--labels", "nosuch"], ["--acquisition", "nosuch"], ["--workers", "0"]):
        assert main(["phantom", "-o", str(tmp_path / "d"), *wrong]) == 2
        assert capsys.readouterr().err.count("\n") == 1
        assert not (tmp_path / "d").exists()


def test_a_damaged_or_foreign_folder_is_refused(cohort, tmp_path):
    with pytest.raises(sk.InputError, match="no complete phantom cohort"):
        read_cohort(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(sk.OutputError):
        write_cohort(tmp_path / "file", 1, seed=0)
