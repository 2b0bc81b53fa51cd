import os
from pathlib import Path

import pytest

from shapekit.core.checks import InputError
from shapekit.datasets import tree
from shapekit.datasets.tree import left_out, list_tree, split_of


def relative(found):
    return [str(file.relative_to(found.root)) for file in found.files]


def test_files_stand_in_the_order_of_folders_and_names(tmp_path):
    for name in ("b/z.txt", "b/a/1.txt", "a.txt", "c.txt", "b/k.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    assert relative(list_tree(tmp_path)) == ["a.txt", "c.txt", "b/k.txt", "b/z.txt", "b/a/1.txt"]


def test_links_are_followed_and_circles_end(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mask.nii.gz").write_bytes(b"1")
    root = tmp_path / "root"
    root.mkdir()
    (root / "there").symlink_to(outside, target_is_directory=True)
    (root / "again").symlink_to(outside, target_is_directory=True)
    (outside / "back").symlink_to(root, target_is_directory=True)
    (root / "self").symlink_to(root / "self")
    found = list_tree(root)
    assert relative(found) == ["self", "again/mask.nii.gz"]
    assert [file.name for file in found.volumes] == ["mask.nii.gz"]


def test_a_folder_that_may_not_be_listed_is_a_note(tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()
    (tmp_path / "a.txt").write_text("")
    real = os.scandir

    def scandir(place):
        if Path(place).name == "closed":
            raise PermissionError(13, "Permission denied")
        return real(place)

    monkeypatch.setattr(os, "scandir", scandir)
    found = list_tree(tmp_path)
    assert (relative(found), len(found.notes)) == (["a.txt"], 1)
    with pytest.raises(InputError, match="may not be listed"):
        list_tree(tmp_path / "closed")


def test_what_is_no_folder_or_far_too_much_is_refused(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("")
    (tmp_path / "b.txt").write_text("")
    for wrong in (tmp_path / "a.txt", tmp_path / "gone", tmp_path / ("n" * 300), "a\0b"):
        with pytest.raises(InputError, match="is no folder"):
            list_tree(wrong)
    monkeypatch.setattr(tree, "MAX_FILES", 1)
    with pytest.raises(InputError, match="more than 1 files"):
        list_tree(tmp_path)


@pytest.mark.parametrize(
    ("folder", "split"),
    [
        ("dataset-verse19training", "train"),
        ("dataset-02validation", "validation"),
        ("03_test", "test"),
        ("training/rawdata/sub-verse004", "train"),
        ("test/derivatives", "test"),
        ("latest", ""),
        ("retrain", ""),
        ("interval", ""),
        ("test_results", ""),
    ],
)
def test_the_nearest_folder_named_for_a_split_says_it(folder, split):
    root = Path("data")
    assert split_of(root / folder / "a.nii.gz", root) == split
    assert split_of(Path("train") / folder / "a.nii.gz", Path("train")) == (split or "train")
    assert split_of(Path("03_test/data/a.nii.gz"), Path("03_test/data")) == ""


def test_one_note_names_three_and_counts_the_rest():
    assert left_out([], "why") == []
    assert left_out([Path(f"x/{n}.nii") for n in range(5)], "why") == ["left out: 0.nii, 1.nii, 2.nii and 2 more (why)"]
    assert left_out(["a\nb"], "why") == ["left out: a?b (why)"]
