import numpy as np
import pytest
import trimesh

import shapekit as sk


def test_a_spine_is_a_sequence_that_knows_its_levels(crushed_result):
    assert len(crushed_result) == 4
    assert [v.level for v in crushed_result] == [sk.Level.L2, sk.Level.L3, sk.Level.L4, sk.Level.L5]
    assert crushed_result["L3"] is crushed_result[1]
    assert crushed_result[-1].level is sk.Level.L5
    assert [v.level for v in crushed_result[:2]] == [sk.Level.L2, sk.Level.L3]
    with pytest.raises(KeyError, match="T4 is not in bodies, which has L2, L3, L4, L5"):
        crushed_result["T4"]
    assert repr(crushed_result["L3"]).startswith("<VertebraScore L3: ")


def test_a_body_that_lost_a_quarter_of_its_height_stands_out(crushed_result):
    scores = {str(v.level): v.score for v in crushed_result}
    assert max(scores, key=scores.get) == "L3"
    assert crushed_result["L3"].measures.relative_loss == pytest.approx(0.25, abs=0.05)
    assert scores["L3"] > 50
    assert max(scores["L2"], scores["L4"]) < 8
    assert all(np.isnan(v.interval).all() for v in crushed_result)


def test_the_table_has_one_row_a_vertebra_and_numbers_where_numbers_belong(crushed_result):
    table = crushed_result.table()
    assert table.shape == (4, 39)
    assert table.score.dtype == float
    assert str(table.genant_grade.dtype) == "Int64"
    assert table.genant_grade.isna().all()


def test_meshes_are_closed_and_lie_where_the_bodies_do(crushed_result, crushed_spine):
    for vertebra in crushed_result:
        index = np.argwhere(crushed_spine.array == vertebra.measures.label)
        for kind in ("actual", "expected"):
            mesh = vertebra.mesh(kind)
            surface = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
            assert surface.is_watertight
            assert surface.volume == pytest.approx(getattr(vertebra.measures, f"{kind}_mm3"), rel=0.02)
        actual = trimesh.Trimesh(*(lambda m: (m.vertices, m.faces))(vertebra.mesh("actual")), process=False)
        assert actual.center_mass == pytest.approx(crushed_spine.grid.to_world(index).mean(axis=0), abs=0.5)
    with pytest.raises(sk.UsageError, match="kind"):
        crushed_result[0].mesh("nosuch")


def test_volumes_and_chords_are_those_of_the_bodies(crushed_result, crushed_spine):
    for vertebra in crushed_result:
        voxels = float((crushed_spine.array == vertebra.measures.label).sum()) * crushed_spine.grid.voxel_mm3
        assert vertebra.measures.actual_mm3 == pytest.approx(voxels, rel=0.03)
    assert crushed_result["L4"].measures.l_lr_mm == pytest.approx(44, abs=1.5)
    assert crushed_result["L4"].measures.l_ap_mm == pytest.approx(32, abs=1.5)


def test_expected_labels_are_where_the_expected_distance_is_negative(crushed_result):
    labels = crushed_result.expected_labels()
    grid = crushed_result.grid
    for vertebra in crushed_result:
        index = np.argwhere(labels == vertebra.measures.label)
        assert (vertebra.expected.sample(grid.to_world(index)) < 0).all()
        depth = vertebra.expected.sample(grid.to_world(np.argwhere(labels == 0)))
        assert depth.min() > -1e-3


def test_what_was_not_scored_has_no_expected_shape(crushed_spine):
    array = np.where(crushed_spine.array == 22, crushed_spine.array, 0).astype(np.uint8)
    alone = sk.score(type(crushed_spine)(array, crushed_spine.grid, {22: sk.Level.L3}))["L3"]
    assert alone.status == "no_context"
    assert alone.expected is None
    assert alone.expected_frame is None
    with pytest.raises(sk.InputError, match="L3 has no expected shape"):
        alone.mesh("expected")
    assert trimesh.Trimesh(alone.mesh().vertices, alone.mesh().faces).is_watertight


def test_stages_are_told_as_they_begin(crushed_spine):
    heard = []
    sk.score(crushed_spine, progress=heard.append)
    assert heard == ["bodies", "expected shapes", "scores"]
