import nibabel as nib
import numpy as np
import pytest

import shapekit as sk
from shapekit.core.levels import Level
from shapekit.core.values import Image
from shapekit.export import deficit_volume, expected_labels
from shapekit.io.nifti import write_distances
from tests.factories import BODIES, LEANING, body_spine


def test_what_a_crushed_body_lost_is_as_deep_as_it_is(scored, crushed_spine):
    """The upper quarter of L3 is gone: a voxel at height h above the new plate lies h mm from the bone that is left."""
    image = deficit_volume(scored, crushed_spine.grid)
    assert image.grid is crushed_spine.grid
    assert image.array.dtype == np.float32
    lost = (body_spine()[0].array == 22) & (crushed_spine.array == 0)
    _, _, half = BODIES[Level.L3]
    local = crushed_spine.grid.to_world(np.argwhere(lost)) @ LEANING
    whole = crushed_spine.grid.to_world(np.argwhere(body_spine()[0].array == 22)) @ LEANING
    middle = (whole.min(axis=0) + whole.max(axis=0)) / 2
    height = local[:, 2] - (middle[2] + 0.5 * half)
    inner = (abs(local[:, 0] - middle[0]) < 10) & (abs(local[:, 1] - middle[1]) < 7) & (height < half / 2 - 1.5)
    assert inner.sum() > 300
    assert image.array[lost][inner] == pytest.approx(height[inner], abs=0.9)


def test_nothing_is_missing_where_bone_is_or_nothing_was_expected(scored, crushed_spine):
    image = deficit_volume(scored, crushed_spine.grid)
    labels = expected_labels(scored, crushed_spine.grid)
    missing = image.array > 0
    assert image.array.min() == 0
    assert (labels[missing] > 0).all()
    within = np.zeros(missing.shape, bool)
    for one in scored:
        points = crushed_spine.grid.to_world(np.argwhere(labels == one.measures.label))
        within[labels == one.measures.label] = one.actual.sample(points) < 0
    assert not (missing & within).any()
    assert np.array_equal(missing, (labels > 0) & ~within)
    volume = (missing & (labels == 22)).sum() * crushed_spine.grid.voxel_mm3
    assert volume == pytest.approx(0.25 * body_spine()[1][Level.L3], rel=0.05)


def test_a_spine_away_from_the_grid_leaves_it_empty(scored, crushed_spine):
    elsewhere = crushed_spine.grid.crop((1000, 0, 0), (5, 6, 7))
    assert not deficit_volume(scored, elsewhere).array.any()
    assert not expected_labels(scored, elsewhere).any()


def test_saved_with_the_scores_on_the_inputs_grid(crushed_result, crushed_spine, tmp_path):
    folder = crushed_result.save(tmp_path)
    image = nib.load(folder / "deficit.nii.gz")
    assert image.get_data_dtype() == np.float32
    assert image.shape == crushed_spine.grid.shape
    assert image.affine == pytest.approx(crushed_spine.grid.affine, abs=1e-4)
    assert np.array_equal(np.asarray(image.dataobj), deficit_volume([v._scored for v in crushed_result], crushed_spine.grid).array)
    with pytest.raises(sk.InputError, match="float32"):
        write_distances(tmp_path / "x.nii.gz", Image(crushed_spine.array, crushed_spine.grid))
