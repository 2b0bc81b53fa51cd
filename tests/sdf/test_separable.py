import numpy as np
import pytest
import torch

from shapekit.sdf import double_patch, halve_patch
from shapekit.sdf.separable import along_axes


@pytest.mark.parametrize(("shape", "onto"), [((4, 5, 6), (3, 7, 2)), ((1, 3, 1), (2, 1, 4))])
def test_every_axis_is_mapped_by_its_own_matrix(shape, onto):
    generator = np.random.default_rng(0)
    values, matrices = generator.normal(size=shape), [generator.normal(size=pair) for pair in zip(onto, shape, strict=True)]
    found = along_axes(values, *matrices)
    assert found.shape == onto
    assert found == pytest.approx(np.einsum("ai,bj,ck,ijk->abc", *matrices, values), abs=1e-12)


def test_a_doubled_patch_is_torchs_trilinear_one_and_halves_to_itself_where_it_is_straight():
    values = np.random.default_rng(1).normal(0, 8, (10, 8, 6)).astype(np.float32)
    theirs = torch.nn.functional.interpolate(torch.from_numpy(values)[None, None], scale_factor=2, mode="trilinear", align_corners=False)
    assert double_patch(values) == pytest.approx(theirs[0, 0].numpy(), abs=1e-5)
    assert double_patch(values).dtype == np.float32
    ramp = np.add.outer(np.add.outer(np.arange(10.0), 2 * np.arange(8.0)), 3 * np.arange(6.0)).astype(np.float32)
    assert halve_patch(double_patch(ramp))[1:-1, 1:-1, 1:-1] == pytest.approx(ramp[1:-1, 1:-1, 1:-1], abs=1e-5)
