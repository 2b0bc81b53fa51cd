import re
import stat

import pytest
import torch
from safetensors.torch import save_file

from shapekit.core.checks import InputError, OutputError
from shapekit.networks import read_weights, write_weights


@pytest.fixture
def tensors():
    return {"b": torch.arange(6.0).reshape(2, 3), "a": torch.tensor([1, 2], dtype=torch.int64), "none": torch.zeros(0)}


def test_what_is_written_is_read(tmp_path, tensors):
    path = tmp_path / "new" / "w.safetensors"
    identity = write_weights(path, tensors, {"kind": "linear", "ridge": 25.0})
    found, card, same = read_weights(path, "linear")
    assert (identity, card) == (same, {"kind": "linear", "ridge": 25.0})
    assert re.fullmatch("[0-9a-f]{12}", identity)
    assert all(torch.equal(found[name], value) for name, value in tensors.items())
    assert sorted(file.name for file in path.parent.iterdir()) == ["w.safetensors"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_the_identity_follows_the_values_alone(tmp_path, tensors):
    one = write_weights(tmp_path / "a", tensors, {"kind": "linear"})
    assert write_weights(tmp_path / "b", dict(reversed(tensors.items())), {"kind": "other"}) == one
    assert write_weights(tmp_path / "c", tensors | {"b": tensors["b"] + 1e-6}, {"kind": "linear"}) != one


def test_a_changed_byte_is_noticed(tmp_path, tensors):
    path = tmp_path / "w.safetensors"
    write_weights(path, tensors, {"kind": "linear"})
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"w\.safetensors is damaged: its contents do not match its checksum"):
        read_weights(path, "linear")


def test_other_files_are_refused_in_one_sentence(tmp_path, tensors):
    plain, pickled, missing = tmp_path / "plain.safetensors", tmp_path / "pickled.pt", tmp_path / "none"
    save_file({"a": torch.zeros(2)}, plain)
    pickled.write_bytes(b"\x80\x04\x95\x0a\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x01a\x94K\x01s.")  # a dictionary, pickled
    write_weights(tmp_path / "linear", tensors, {"kind": "linear"})
    for path, said in (
        (plain, "says its format is 'none'"),
        (pickled, "is no safetensors file"),
        (missing, "is not there"),
        (tmp_path / "linear", r"holds weights of another kind \(linear\)"),
    ):
        with pytest.raises(InputError, match=f"^{path.name} {said}") as caught:
            read_weights(path, "generative")
        assert "shapekit train" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_written_is_named(tmp_path, tensors):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_weights(tmp_path / "file" / "w.safetensors", tensors, {"kind": "linear"})
