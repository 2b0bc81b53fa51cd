"""Every bad input: one sentence, the same from Python and on one line of stderr, exit code 2, nothing written."""

import gzip
import tracemalloc

import nibabel as nib
import numpy as np
import pytest

import shapekit as sk
from shapekit.cli import main
from shapekit.io.nifti import write_label_map


def nifti(path, array, affine=None):
    nib.save(nib.Nifti1Image(array, np.diag([0.7, 1.3, 2.9, 1.0]) if affine is None else affine), path)
    return path


def patched(path, offset, replacement):
    """A valid file with bytes of its header overwritten."""
    raw = bytearray(gzip.decompress(nifti(path, np.ones((5, 6, 7), np.uint8)).read_bytes()))
    raw[offset : offset + len(replacement)] = replacement
    path.write_bytes(gzip.compress(bytes(raw)))
    return path


def missing(folder, mask):
    return folder / "nosuch.nii.gz"


def empty_folder(folder, mask):
    (folder / "empty").mkdir()
    return folder / "empty"


def truncated(folder, mask):
    path = folder / "short.nii.gz"
    path.write_bytes(mask.read_bytes()[:700])
    return path


def not_an_image(folder, mask):
    path = folder / "text.nii.gz"
    path.write_text("this is no image\n")
    return path


def four_dimensional(folder, mask):
    return nifti(folder / "four.nii.gz", np.ones((5, 6, 7, 2), np.uint8))


def all_zero(folder, mask):
    return nifti(folder / "zero.nii.gz", np.zeros((5, 6, 7), np.uint8))


def fractions(folder, mask):
    return nifti(folder / "soft.nii.gz", np.full((5, 6, 7), 0.5, np.float32))


def nan_affine(folder, mask):
    header = np.array([np.nan], "<f4").tobytes()
    return patched(folder / "nan.nii.gz", 280, header)  # srow_x[0]


def singular_affine(folder, mask):
    return patched(folder / "flat.nii.gz", 280, np.zeros(4, "<f4").tobytes())


def absurd(folder, mask):
    return patched(folder / "huge.nii.gz", 40, np.array([3, 30000, 30000, 30000], "<i2").tobytes())


def ambiguous(folder, mask):
    image = nib.load(mask)
    return nifti(folder / "lone.nii.gz", np.where(np.asanyarray(image.dataobj) == 22, 22, 0).astype(np.uint8), image.affine)


def unexplained(folder, mask):
    return nifti(folder / "odd.nii.gz", np.full((5, 6, 7), 177, np.uint8))


def ct(folder, mask):
    array = np.random.default_rng(0).integers(-1000, 1500, (30, 31, 32)).astype(np.int16)
    return nifti(folder / "ct.nii.gz", array)


BAD = {
    missing: (sk.InputError, "nosuch.nii.gz"),
    empty_folder: (sk.InputError, "empty"),
    truncated: (sk.InputError, "short.nii.gz"),
    not_an_image: (sk.InputError, "text.nii.gz"),
    four_dimensional: (sk.InputError, "four.nii.gz"),
    all_zero: (sk.InputError, "zero.nii.gz"),
    fractions: (sk.InputError, "soft.nii.gz"),
    nan_affine: (sk.InputError, "nan.nii.gz"),
    singular_affine: (sk.InputError, "flat.nii.gz"),
    absurd: (sk.InputError, "huge.nii.gz"),
    ambiguous: (sk.SchemeError, "--scheme"),
    unexplained: (sk.SchemeError, "177"),
    ct: (sk.InputError, "CT"),
}


@pytest.mark.parametrize("make", BAD, ids=lambda make: make.__name__)
def test_a_bad_mask_is_refused_in_one_sentence(make, crushed_mask, tmp_path, capsys):
    path = make(tmp_path, crushed_mask)
    kind, word = BAD[make]
    with pytest.raises(kind) as complaint:
        sk.load(path)
    sentence = str(complaint.value)
    assert word in sentence
    assert sentence.endswith(".")
    assert str(tmp_path) not in sentence
    tracemalloc.start()
    code = main(["score", str(path), "-o", str(tmp_path / "out")])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert code == 2
    assert capsys.readouterr() == ("", f"shapekit: {sentence}\n")
    assert peak < 50e6
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--scheme", "nosuch"], "nosuch"),
        (["--bodies", "nosuch"], "auto, given, split"),
        (["--predictor", "nosuch"], "neighbours"),
        (["--preset", "nosuch"], "botros2022"),
        (["-d", "nosuch"], "gpu:N"),
        (["-d", "gpu:"], "gpu:N"),
        (["-d", "gpu:7"], "GPU"),
        (["--nosuch"], "--nosuch"),
        (["--weights", "w.safetensors"], "w.safetensors is not there"),
        (["--segment", "iterative"], "--segment"),
        (["--meshes", "glb,fbx"], "'fbx', but each must be one of: glb, stl, 3mf, ply, obj, vtp"),
        (["--palette", "jet"], "'jet', but must be one of: green-red, plasma"),
        (["--print", "--decimate", "0"], "share of triangles"),
        (["--decimate", "0.5"], "go with plates"),
        (["--body-mask", "nosuch.nii.gz"], "nosuch.nii.gz"),
    ],
)
def test_unknown_or_unbuilt_options_are_refused(arguments, word, crushed_mask, tmp_path, capsys):
    scheme = [] if "--scheme" in arguments else ["--scheme", "verse"]
    assert main(["score", str(crushed_mask), "-o", str(tmp_path / "out"), *scheme, *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert word in err
    assert not (tmp_path / "out").exists()


def test_a_missing_output_or_mask_or_command_is_one_line(crushed_mask, capsys):
    for arguments in (["score", str(crushed_mask)], ["score"], ["nosuch"], ["schemes", "nosuch"]):
        assert main(arguments) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("\n") == 1


def test_an_output_that_cannot_be_written_is_refused(crushed_mask, crushed_result, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    with pytest.raises(sk.OutputError) as complaint:
        crushed_result.save(tmp_path / "file")
    assert str(complaint.value).endswith(".")
    assert main(["score", str(crushed_mask), "-o", str(tmp_path / "file"), "--scheme", "verse"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert (tmp_path / "file").read_text() == ""


def test_python_refuses_unknown_values_with_the_same_words(crushed_spine, crushed_result, tmp_path):
    for name in ("bodies", "predictor", "preset"):
        with pytest.raises(sk.UsageError, match=f"{name} is 'nosuch', but must be one of"):
            sk.score(crushed_spine, **{name: "nosuch"})
    with pytest.raises(sk.UsageError, match="device"):
        sk.score(crushed_spine, device="tpu")
    with pytest.raises(sk.UsageError, match="meshes has 'fbx'"):
        crushed_result.save(tmp_path, meshes=("glb", "fbx"))
    with pytest.raises(sk.UsageError, match="meshes is the word 'glb'"):
        crushed_result.save(tmp_path, meshes="glb")
    with pytest.raises(sk.UsageError, match="palette"):
        crushed_result.save(tmp_path, palette="jet")
    assert not list(tmp_path.iterdir())


def test_a_mask_that_is_one_slice_or_sheared_is_refused(crushed_spine, tmp_path, capsys):
    write_label_map(
        tmp_path / "slice.nii.gz", crushed_spine.array[:, :, 60:61], crushed_spine.grid.crop((0, 0, 60), (*crushed_spine.array.shape[:2], 1))
    )
    sheared = crushed_spine.grid.affine.copy()
    sheared[:3, 0] += 0.2 * sheared[:3, 1]
    nifti(tmp_path / "sheared.nii.gz", crushed_spine.array, sheared)
    for name, word in (("slice.nii.gz", "single slice"), ("sheared.nii.gz", "sheared")):
        assert main(["score", str(tmp_path / name), "-o", str(tmp_path / "out"), "--scheme", "verse"]) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert word in err
