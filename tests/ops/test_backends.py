"""Which implementation serves, and that none is ever put in another's place in silence."""

import re

import numpy as np
import pytest
import torch

import shapekit as sk
from shapekit.core.checks import ShapekitWarning
from shapekit.ops import _cuda, _native, backend_for, backends, signed_distance, surplus_volume
from tests.ops.test_surplus import inputs, run

NO_LIBRARY = "the C++ library is not there"


@pytest.fixture
def without_library(monkeypatch):
    monkeypatch.setattr(_native, "WHY_NO_LIBRARY", NO_LIBRARY)
    monkeypatch.setattr(backends, "_told", set())


@pytest.mark.parametrize(
    "call", [lambda: run(inputs(1) | {"backend": "numba"}), lambda: signed_distance(np.zeros((2, 2, 2), bool), (1, 1, 1), backend="numba")]
)
def test_a_backend_that_does_not_exist_is_refused(call):
    with pytest.raises(sk.UsageError, match=r"numba.*auto, reference, cpu, cuda"):
        call()


def test_the_reference_is_always_there():
    for device in ("cpu", "cuda", "meta"):
        assert backend_for(device, backend="reference").name == "reference"


def test_auto_says_once_that_the_library_is_missing(without_library):
    with pytest.warns(ShapekitWarning, match="not there"):
        volumes = run(inputs(1))
    assert backend_for("cpu") == backends.Choice("reference", NO_LIBRARY)
    assert torch.equal(volumes.surplus, run(inputs(1) | {"backend": "reference"}).surplus)


def test_an_explicit_backend_that_is_missing_raises(without_library):
    with pytest.raises(sk.MissingPackageError, match=re.escape(f"'cpu' was asked for, but {NO_LIBRARY}")):
        run(inputs(1) | {"backend": "cpu"})
    with pytest.raises(sk.MissingPackageError, match="'cpu'"):
        signed_distance(np.zeros((2, 2, 2), bool), (1, 1, 1), backend="cpu")


def test_a_library_that_was_never_built_says_how_to_build_it(monkeypatch, tmp_path):
    monkeypatch.setattr(_native, "files", lambda package: tmp_path)
    assert "install g++ or clang" in _native._installed()[1]
    (tmp_path / "cuda_ops").mkdir()
    (tmp_path / "cuda_ops" / _native.LIBRARY).write_bytes(b"not a library")
    assert "cannot be loaded" in _native._installed()[1]


@pytest.mark.skipif(bool(_native.WHY_NO_LIBRARY), reason=_native.WHY_NO_LIBRARY or "built")
def test_a_library_that_lacks_a_function_is_not_used(monkeypatch):
    monkeypatch.setitem(_native.ARGUMENTS, "shapekit_of_tomorrow", [])
    assert _native._installed() == (None, "the C++ library is older than its callers; install shapekit again")


@pytest.mark.parametrize("device", ["cuda", "cuda:0"])
def test_without_a_gpu_cuda_raises_with_the_reason(monkeypatch, device):
    monkeypatch.setattr(_cuda, "why_not", lambda: "torch sees no CUDA device")
    with pytest.raises(sk.MissingPackageError, match="torch sees no CUDA device"):
        backend_for(device, backend="cuda")


@pytest.mark.parametrize("backend", ["cuda"])
def test_tensors_elsewhere_are_not_moved(backend):
    with pytest.raises(sk.UsageError, match="the tensors are on cpu"):
        run(inputs(1) | {"backend": backend})
    with pytest.raises(sk.UsageError, match="the tensors are on cpu"):
        signed_distance(np.zeros((2, 2, 2), bool), (1, 1, 1), backend=backend)


def test_float64_is_the_references():
    given = inputs(1, dtype=torch.float64)
    with pytest.raises(sk.UsageError, match="float64"):
        run(given | {"backend": "cpu"})
    assert torch.equal(run(given).surplus, run(given | {"backend": "reference"}).surplus)


def test_other_devices_take_the_reference():
    assert backend_for("meta").reason == "there is no native implementation for meta"


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"actual": torch.zeros(1, 9, 12, 7, dtype=torch.float64)}, "one dtype"),
        ({"expected": torch.zeros(1, 9, 12, 7, dtype=torch.int32)}, "floats"),
        ({"centre": torch.zeros(1, 3, dtype=torch.int64)}, "centre has dtype"),
        ({"actual": torch.zeros(1, 9, 12, 7, device="meta")}, "actual is on meta"),
        ({"sigma_mm": torch.ones(1, 3, device="meta")}, "sigma_mm is on meta"),
        ({"expected": torch.zeros(1, 0, 12, 7), "actual": torch.zeros(1, 0, 12, 7)}, "no empty side"),
        ({"spacing_mm": float("inf")}, "spacing_mm"),
        ({"spacing_mm": -1.0}, "spacing_mm"),
    ],
)
@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_tensors_that_do_not_agree_are_named(change, name, backend):
    with pytest.raises(sk.InputError, match=name):
        run(inputs(1) | change | {"backend": backend})


def test_more_voxels_than_an_index_can_count_are_refused():
    huge = torch.zeros(1).expand(1, 2048, 2048, 512)
    rest = inputs(1) | {"expected": huge, "actual": huge}
    with pytest.raises(sk.InputError, match=r"expected.*2\^31"):
        run(rest)
    with pytest.raises(sk.InputError, match=r"mask.*2\^31"):
        signed_distance(torch.zeros(1, dtype=torch.bool).expand(1, 2048, 2048, 512), (1, 1, 1))


@pytest.mark.parametrize(
    "mask",
    [torch.zeros(3, 4, 5, dtype=torch.bool), torch.zeros(1, 3, 4, 5), torch.zeros(0, 3, 4, 5, dtype=torch.bool)],
    ids=["axes", "dtype", "empty"],
)
def test_wrong_masks_are_named(mask):
    with pytest.raises(sk.InputError, match="mask"):
        signed_distance(mask, (1, 1, 1))


@pytest.mark.parametrize("spacing", [(1, 1, -1), (1, 1, 1e9), (1, 1, 1e-9), (1, float("inf"), 1)])
def test_spacings_outside_the_limits_are_named(spacing):
    for mask in (np.zeros((2, 3, 4), bool), torch.zeros(1, 2, 3, 4, dtype=torch.bool)):
        with pytest.raises(sk.InputError, match="spacing_mm"):
            signed_distance(mask, spacing)


def test_a_batch_of_masks_by_the_reference_is_its_items():
    masks = torch.from_numpy(np.random.default_rng(0).random((3, 4, 5, 6)) < 0.3)
    batch = signed_distance(masks, (0.7, 1.3, 2.9), backend="reference")
    for mask, field in zip(masks, batch, strict=True):
        assert np.array_equal(signed_distance(mask.numpy(), (0.7, 1.3, 2.9), backend="reference"), field.numpy())
    assert surplus_volume.__kwdefaults__["backend"] == signed_distance.__kwdefaults__["backend"] == "auto"


def test_doctor_names_the_backend(capsys):
    from shapekit.cli.doctor import BACKENDS, doctor

    doctor()
    choice = backend_for("cpu")
    assert f"operators on cpu: {BACKENDS[choice.name]} ({choice.reason})" in capsys.readouterr().out
