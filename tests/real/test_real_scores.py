import math

import nibabel as nib
import numpy as np
import pytest

import shapekit as sk
from shapekit.cli import main
from tests.real.conftest import VERSE004, real_file, scored

LUMBAR = ["L1", "L2", "L3", "L4", "L5"]
CASES = {
    VERSE004: (["T9", "T10", "T11", "T12", *LUMBAR], []),
    "verse19/sub-verse005_seg-vert_msk.nii.gz": (LUMBAR, ["L1", "L5"]),
    "verse19/sub-verse006_seg-vert_msk.nii.gz": (["L4", "L5"], []),
    "verse19/sub-verse014_seg-vert_msk.nii.gz": (LUMBAR, []),
    "totalsegmentator/s0327_vertebrae_verse-labels.nii.gz": (["C7", *(f"T{n}" for n in range(1, 13)), *LUMBAR], ["C7"]),
    "totalsegmentator/example_vertebrae_verse-labels_v1.nii.gz": (["T11", "T12", *LUMBAR], ["T11", "T12"]),
}


@pytest.mark.parametrize("name", CASES)
def test_every_vertebra_of_a_real_case_has_its_row_and_all_whole_ones_a_score(name):
    levels, cut = CASES[name]
    result = scored(name)
    assert [v.measures.level for v in result] == levels
    assert [v.measures.level for v in result if v.status == "partial"] == cut
    for vertebra in result:
        row = vertebra.measures
        if row.level in cut:
            assert math.isnan(row.score)
            assert "edge of the volume" in row.reason
            continue
        assert row.status == "ok"
        assert 0 <= row.score <= 100
        assert 0 <= row.relative_loss < 1
        assert row.surface_distance_mm < 4
        assert row.neighbours_used


def test_the_grade_3_vertebra_of_verse004_has_the_highest_score_and_the_first_grade_2_pair_the_next():
    scores = {v.measures.level: v.score for v in scored(VERSE004)}
    ranked = sorted(scores, key=scores.get, reverse=True)
    assert ranked[0] == "L1"
    assert scores["L1"] >= 60
    assert set(ranked[1:3]) == {"T9", "T10"}


def test_a_healthy_spine_at_a_third_of_a_millimetre_with_a_gap_in_its_labels_scores_low():
    result = scored("healthy_reference/healthy_ref_mask.nii.gz")
    scores = [v.score for v in result if v.status == "ok" and v.measures.level not in ("T1", "T3")]
    assert len(scores) >= 13
    assert np.mean(scores) < 8
    assert max(scores) < 20


def test_a_lone_whole_vertebra_between_two_cut_ones_has_no_context():
    spine = sk.load(real_file("tptbox/sub-ct_seg-vert_label-22_msk.nii.gz"))
    result = sk.score(spine)
    assert [v.status for v in result] == ["partial", "no_context", "partial"]
    array = np.where(spine.array == 22, spine.array, 0).astype(np.uint8)
    alone = sk.score(type(spine)(array, spine.grid, {22: sk.Level.L3}))
    assert [v.status for v in alone] == ["no_context"]
    assert "neighbour" in alone["L3"].reason


def test_visible_human_body_meshes_score_through_the_python_api():
    pytest.importorskip("open3d", exc_type=ImportError)
    meshes = sk.load({level: real_file(f"remus_vhm/{level}_body.ply") for level in LUMBAR})
    result = sk.score(meshes)
    assert [v.measures.level for v in result] == LUMBAR
    assert all(v.status == "ok" for v in result)
    assert max(v.score for v in result) < 40


def test_the_command_writes_the_expected_bodies_on_the_inputs_grid(tmp_path):
    mask = real_file(VERSE004)
    assert main(["score", str(mask), "-o", str(tmp_path)]) == 0
    folder = tmp_path / "sub-verse004_seg-vert_msk"
    given, expected = nib.load(mask), nib.load(folder / "expected.nii.gz")
    assert expected.shape == given.shape
    assert np.allclose(expected.affine, given.affine, atol=1e-4)
    actual, wanted = np.asanyarray(given.dataobj), np.asanyarray(expected.dataobj)
    assert set(np.unique(wanted)) == {0, *range(16, 25)}
    # a healthy body lies where it should: most of what is expected of L3 is L3
    assert (actual[wanted == 22] == 22).mean() > 0.9
    assert "L1" in (folder / "scores.csv").read_text()
