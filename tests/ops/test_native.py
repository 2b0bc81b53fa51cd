"""The C++ library against float64: volumes, gradients, distances, bits, errors; each instruction set for itself."""

import platform
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

import shapekit as sk
from shapekit.core.frame import Frame
from shapekit.mesh import mesh_from_sdf
from shapekit.ops import (
    Faces,
    _native,
    backend_for,
    blended,
    densest_point,
    distance,
    distance_at_surface,
    fit_rigidly,
    gather_evidence,
    look_behind,
    resample_field,
    sample_field,
    signed_distance,
    surplus,
    surplus_volume,
)
from shapekit.sdf import refine_sdf, sdf_from_mask
from tests.factories import OBLIQUE, oblique_grid, whole_vertebra
from tests.ops.cases import SHAPES, TENSORS, assert_gradients, assert_volumes, given, truth, upstream_for
from tests.ops.emulation import CUDA_OPS, compiler

pytestmark = pytest.mark.skipif(bool(_native.WHY_NO_LIBRARY), reason=_native.WHY_NO_LIBRARY or "built")
SPACING = (0.7, 1.3, 2.9)


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def named(tensors):
    return dict(zip((*TENSORS, "spacing_mm"), tensors, strict=True))


def run(tensors, **rest):
    arguments = named(tensors) | rest
    return surplus_volume(arguments.pop("expected"), arguments.pop("actual"), **arguments)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_volumes_and_gradients_agree_with_float64(shape):
    tensors = given(shape)
    volumes, gradients_for = truth(tensors)
    assert_volumes(torch.ops.shapekit.surplus_volume(*tensors), volumes, tolerance=1e-6)
    upstream = upstream_for(volumes)
    assert_gradients(torch.ops.shapekit.surplus_volume_backward(upstream, *tensors), gradients_for(upstream), tensors)


def test_a_whole_spine_of_patches_agrees_with_float64():
    *tensors, spacing_mm = given((17, 128, 64, 64))
    found = torch.ops.shapekit.surplus_volume(*tensors, spacing_mm)
    some = [0, 9, 16]
    volumes, _ = truth((*(tensor[some] for tensor in tensors), spacing_mm))
    assert_volumes(found[some], volumes)


def test_no_gradient_entry_is_forgotten():
    tensors = list(given((2, 7, 6, 21)))
    tensors[0], tensors[1] = tensors[0].clamp(-0.7, 0.7), tensors[1].clamp(-0.7, 0.7)
    for gradient in torch.ops.shapekit.surplus_volume_backward(torch.full((2, 10), 0.37, dtype=torch.float64), *tensors):
        assert (gradient != 0).all()


@pytest.mark.parametrize("which", [0, 1], ids=TENSORS[:2])
@pytest.mark.parametrize("field", ["weighted_surplus", "surplus", "excess", "weighted_expected", "expected", "actual"])
def test_gradients_are_the_volumes_slopes(which, field):
    tensors = list(given((2, 9, 12, 17)))
    tensors[1] = tensors[0] + (-0.25 if field == "excess" else 0.25)  # nowhere equal: there the volumes have a kink
    tensors[which].requires_grad_()
    getattr(run(tensors), field).sum().backward()
    along = torch.randn(tensors[which].shape, generator=torch.Generator().manual_seed(0))
    slope = float((tensors[which].grad.double() * along).sum())
    step = 3e-3
    with torch.no_grad():
        ahead, behind = (
            getattr(run([*tensors[:which], tensors[which] + sign * step * along, *tensors[which + 1 :]]), field).sum() for sign in (1, -1)
        )
    assert slope == pytest.approx(float(ahead - behind) / (2 * step), rel=5e-3, abs=0.02)


def test_the_same_bits_for_any_number_of_threads_and_any_order(threads):
    *tensors, spacing_mm = given((5, 40, 20, 28))
    upstream = upstream_for(torch.zeros(5, 9))
    mask = tensors[0] < 0
    operators = torch.ops.shapekit

    def results(order):
        some = [tensor[order].contiguous() for tensor in tensors]
        return [
            operators.surplus_volume(*some, spacing_mm),
            *operators.surplus_volume_backward(upstream[order], *some, spacing_mm),
            operators.signed_distance(mask[order].contiguous(), SPACING),
        ]

    threads(1)
    once = results(list(range(5)))
    for count in (1, 2, 3, 7):
        threads(count)
        for order in ([0, 1, 2, 3, 4], [4, 2, 0, 1, 3], [3]):
            for one, other in zip(once, results(order), strict=True):
                assert torch.equal(one[order], other)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    *tensors, spacing_mm = given((2, 9, 12, 7))
    halves = [tensor.to(dtype) for tensor in tensors[:2]]
    found = run((*halves, *tensors[2:], spacing_mm), backend="cpu")
    same = run((*(half.float() for half in halves), *tensors[2:], spacing_mm), backend="cpu")
    assert torch.equal(found.weighted_surplus, same.weighted_surplus)
    halves[0].requires_grad_()
    run((*halves, *tensors[2:], spacing_mm)).surplus.sum().backward()
    assert halves[0].grad.dtype == dtype


def test_views_give_what_their_copies_give():
    *tensors, spacing_mm = given((2, 9, 12, 7))
    turned = [grid.permute(0, 3, 2, 1).contiguous().permute(0, 3, 2, 1) for grid in tensors[:2]]
    assert not turned[0].is_contiguous()
    assert torch.equal(run((*turned, *tensors[2:], spacing_mm)).surplus, run((*tensors, spacing_mm)).surplus)


@pytest.mark.parametrize(("place", "name"), list(enumerate(TENSORS)))
@pytest.mark.parametrize("wrong", [float("nan"), float("-inf")])
def test_what_is_not_finite_is_named(place, name, wrong):
    tensors = list(given((2, 6, 5, 7)))
    tensors[place] = tensors[place].clone()
    tensors[place].view(-1)[-1] = wrong
    with pytest.raises(sk.InputError, match=name):
        run(tensors, backend="cpu")


@pytest.mark.parametrize("place", [0, 1], ids=TENSORS[:2])
def test_what_is_not_finite_is_found_where_both_bodies_are_absent(place):
    tensors = list(given((1, 4, 5, 70)))
    tensors[0], tensors[1] = torch.full_like(tensors[0], 9.0), torch.full_like(tensors[1], 9.0)
    assert (torch.ops.shapekit.surplus_volume(*tensors) == 0).all()
    tensors[place][0, 2, 3, 41] = float("nan")
    with pytest.raises(sk.InputError, match=TENSORS[place]):
        run(tensors, backend="cpu")


@pytest.mark.parametrize("spacing_mm", [0.7, 1.0, 1.3])
def test_voxels_that_are_passed_over_would_have_counted_nothing(spacing_mm):
    *tensors, _ = given((2, 6, 5, 40))
    generator = torch.Generator().manual_seed(4)
    ends = spacing_mm * (1 + torch.tensor([-1e-3, -1e-6, -1e-7, 0.0, 1e-7, 1e-6, 1e-3, 5.0]))
    for n in range(2):  # runs of eight voxels at the ends of the ramp, outside and inside
        pick = torch.randint(0, len(ends), tensors[n].shape, generator=generator)
        inside = torch.rand((2, 6, 5, 5), generator=generator).repeat_interleave(8, dim=3) < 0.3
        tensors[n] = torch.where(inside, -ends[pick], ends[pick])
    volumes, gradients_for = truth((*tensors, spacing_mm))
    assert_volumes(torch.ops.shapekit.surplus_volume(*tensors, spacing_mm), volumes, tolerance=1e-6)
    upstream = upstream_for(volumes)
    for one, other in zip(torch.ops.shapekit.surplus_volume_backward(upstream, *tensors, spacing_mm), gradients_for(upstream), strict=True):
        assert one.double() == pytest.approx(other, abs=1e-6 * float(upstream.abs().max()))


def test_a_rotation_that_is_none_is_named():
    tensors = list(given((1, 6, 5, 7)))
    tensors[3] = tensors[3] * 1.001
    with pytest.raises(sk.InputError, match="rotation is not orthonormal"):
        run(tensors, backend="cpu")


@pytest.mark.parametrize("place", [2, 3, 4], ids=TENSORS[2:5])
def test_gradients_to_the_weight_are_the_references(place):
    tensors = list(given((1, 6, 5, 7)))
    tensors[place] = tensors[place].clone().requires_grad_()
    with pytest.raises(sk.UsageError, match="reference"):
        run(tensors, backend="cpu")
    run(tensors).weighted_surplus.sum().backward()
    assert (tensors[place].grad != 0).any()
    assert torch.isfinite(tensors[place].grad).all()
    with pytest.raises(sk.UsageError, match="no gradient to centre"):
        torch.ops.shapekit.surplus_volume(*tensors)[:, 0].sum().backward()


def test_gradcheck_of_the_reference_in_float64():
    tensors = list(given((1, 3, 4, 3), dtype=torch.float64))
    for place in (0, 1, 2, 4):
        tensors[place] = tensors[place].clone().requires_grad_()
    tensors[4] = torch.full_like(tensors[4], 2.5).requires_grad_()
    assert torch.autograd.gradcheck(lambda *some: surplus.surplus_reference(*some[:-1], spacing_mm=some[-1]), tensors)


def test_opcheck():
    *tensors, spacing_mm = given((2, 5, 6, 7))
    mask = tensors[0] < 0
    for grid in tensors[:2]:
        grid.requires_grad_()
    torch.library.opcheck(torch.ops.shapekit.surplus_volume.default, (*tensors, spacing_mm))
    plain = [tensor.detach() for tensor in tensors]
    torch.library.opcheck(torch.ops.shapekit.surplus_volume_backward.default, (upstream_for(torch.zeros(2, 9)), *plain, spacing_mm))
    torch.library.opcheck(torch.ops.shapekit.signed_distance.default, (mask, list(SPACING)))


def test_a_whole_graph_compiles_with_its_gradient():
    *tensors, spacing_mm = given((2, 5, 6, 7))
    tensors[0].requires_grad_()

    def loss(*some):
        volumes = run((*some, spacing_mm))
        field = signed_distance(some[1] < 0, SPACING)
        return volumes.weighted_surplus.sum() + volumes.weighted_thirds[:, 0].sum() + field.clamp(-9, 9).sum()

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(*tensors), loss(*tensors))
    gradients = [torch.autograd.grad(function(*tensors), tensors[0])[0] for function in (loss, compiled)]
    assert torch.equal(*gradients)


@pytest.mark.parametrize("shape", [(1, 1, 1), (37, 52, 41), (3, 1, 70), (200, 3, 17), (2, 90, 1)], ids=str)
@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_distances_are_the_references(shape, share):
    mask = np.random.default_rng(7).random(shape) < share
    mask.ravel()[0] = True
    found = signed_distance(mask, SPACING, backend="cpu")
    assert found == pytest.approx(signed_distance(mask, SPACING, backend="reference"), abs=1e-4)
    batch = torch.from_numpy(np.stack([mask, ~mask]))
    field = signed_distance(batch, SPACING, backend="cpu")
    assert np.array_equal(field[0].numpy(), found)
    assert np.array_equal(field[1].numpy(), -found)


def test_masks_of_any_memory_layout_have_the_same_distances():
    mask = np.random.default_rng(2).random((37, 52, 41)) < 0.1
    exact = signed_distance(mask, SPACING, backend="cpu")
    for other in (np.asfortranarray(mask), np.repeat(mask, 2, axis=0)[::2], mask[::-1].copy()[::-1]):
        assert not other.flags.c_contiguous
        assert np.array_equal(signed_distance(other, SPACING, backend="cpu"), exact)
        assert np.array_equal(
            torch.ops.shapekit.signed_distance(torch.from_numpy(mask.T.copy()).permute(2, 1, 0)[None], list(SPACING))[0].numpy(), exact
        )


def test_a_distance_across_a_long_line_is_exact():
    mask = np.zeros((1, 1, 4000), bool)
    mask[..., 0] = True
    expected = np.arange(4000) * 0.7
    expected[0] = -0.7
    assert signed_distance(mask, (1.0, 1.0, 0.7), backend="cpu").ravel() == pytest.approx(expected, rel=1e-6)


def instruction_sets():
    told = Path("/proc/cpuinfo")
    if platform.machine() != "x86_64" or not told.is_file():
        return []
    known = set(told.read_text().partition("flags")[2].partition("\n")[0].split())
    return ["x86-64", *(["x86-64-v3"] if "avx2" in known else []), *(["x86-64-v4"] if "avx512vl" in known else [])]


@pytest.mark.parametrize("level", instruction_sets())
@pytest.mark.parametrize("optimised", ["-O1", "-O3"])
def test_every_instruction_set_agrees_with_float64(monkeypatch, tmp_path, level, optimised):
    library = tmp_path / "native.so"
    sources = sorted(str(path) for path in CUDA_OPS.glob("*/*_cpu.cpp"))
    flags = ["-std=c++17", "-fPIC", "-shared", "-Wno-psabi", "-DSHAPEKIT_NO_CLONES", f"-march={level}", optimised]
    subprocess.run([compiler(), *flags, "-o", str(library), *sources, "-pthread"], check=True)
    monkeypatch.setattr(_native, "LIBRARY_HANDLE", _native.load(str(library)))
    for shape in SHAPES:
        tensors = given(shape)
        volumes, gradients_for = truth(tensors)
        assert_volumes(surplus._forward_cpu(*tensors), volumes, tolerance=1e-6)
        upstream = upstream_for(volumes)
        assert_gradients(surplus._backward_cpu(upstream, *tensors), gradients_for(upstream), tensors)
        mask = tensors[0] < 0
        exact = np.stack([distance.distance_reference(item, SPACING) for item in mask.numpy()])
        assert distance._distance_cpu(mask, list(SPACING)).numpy() == pytest.approx(exact, abs=1e-4)
    grid, onto = oblique_grid((7, 9, 5)), oblique_grid((11, 13, 17))
    values = np.random.default_rng(8).standard_normal(grid.shape).astype(np.float32)
    for adds_way in (True, False):
        looked_up = [resample_field(values, grid, onto, adds_way=adds_way, backend=backend) for backend in ("cpu", "reference")]
        assert looked_up[0] == pytest.approx(looked_up[1], abs=2e-5)
    looked_up = [sample_field(values, grid, onto.points(), backend=backend) for backend in ("cpu", "reference")]
    assert looked_up[0] == pytest.approx(looked_up[1], abs=2e-5)
    assert_measured_alike()


def assert_measured_alike():
    """What the library measures on a vertebra and its body, against the references."""
    grid = oblique_grid((60, 60, 30), (1.3, 1.5, 1.9))
    centre = grid.to_world((np.array(grid.shape) - 1) / 2) + OBLIQUE @ [0.4, 14.0, -0.7]
    frame = Frame(centre, OBLIQUE @ Rotation.from_rotvec((0.1, -0.05, 0.08)).as_matrix())
    whole, body = whole_vertebra(grid, centre, OBLIQUE)
    values = refine_sdf(sdf_from_mask(body, grid))
    faces = Faces.of(mesh_from_sdf(values))
    fine = (torch.from_numpy(values.values[None, None, :20, :18, :16]).repeat(1, 4, 1, 1, 1), torch.ones(1, 1, 20, 18, 16))
    shares = torch.softmax(torch.arange(5 * 10 * 9 * 8, dtype=torch.float32).view(1, 5, 10, 9, 8).sin(), dim=1)
    seen = {backend: look_behind(whole.astype(np.float32), grid, frame, backend=backend) for backend in ("cpu", "reference")}
    starts, spread = np.array([[0, 0, 0, 0, 0, 2.0]]), np.array([0.07, 0.07, 0.07, 2.0, 2.0, 4.0])
    points = frame.to_local(faces.centres[::7])
    for call, tolerance in (
        (lambda backend: [*vars(gather_evidence(faces, frame, backend=backend)).values()], 1e-6),
        (lambda backend: np.concatenate([np.ravel(part) for part in (seen[backend].wall, seen[backend].outline, seen[backend].body)]), 1e-6),
        (lambda backend: fit_rigidly(values.values, values.grid, frame, points, np.ones(len(points)), starts, spread, backend=backend), 1e-4),
        (lambda backend: distance_at_surface(values.values, values.grid, values.values + 1, values.grid, backend=backend), 1e-5),
        (lambda backend: densest_point(whole, grid, np.geomspace(18.0, 9.0, 8), backend=backend), 1e-9),
        (lambda backend: blended(*fine, shares, shares[:, :1], backend=backend).numpy(), 1e-4),
    ):
        assert call("cpu") == pytest.approx(call("reference"), abs=tolerance, nan_ok=True)


def test_auto_takes_the_library():
    assert backend_for("cpu").name == "cpu"
