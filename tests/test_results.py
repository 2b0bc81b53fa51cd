import json
from dataclasses import fields, replace
from types import SimpleNamespace

import numpy as np
import pytest
import trimesh
from scipy.ndimage import map_coordinates

import shapekit as sk
from shapekit.core.levels import Level
from shapekit.core.values import LabelMap, MeshSet
from shapekit.io.nifti import write_label_map
from shapekit.results import COLUMNS, torch_device
from tests.factories import BODIES, LEANING, body_spine


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
    assert all(v.interval[0] <= v.score <= v.interval[1] for v in crushed_result)
    assert crushed_result["L3"].interval[0] > 20


def test_the_table_has_one_row_a_vertebra_and_numbers_where_numbers_belong(crushed_result):
    table = crushed_result.table()
    assert table.shape == (4, 42)
    assert table.score.dtype == float
    assert str(table.genant_grade.dtype) == "Int64"
    assert table.genant_grade.tolist() == [0, 2, 0, 0]  # a quarter of L3 is gone
    assert table.deformity.tolist() == ["", "crush", "", ""]


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


def test_a_path_is_scored_as_what_is_loaded_from_it(crushed_spine, tmp_path):
    path = tmp_path / "bodies.nii.gz"
    write_label_map(path, crushed_spine.array, crushed_spine.grid)
    assert [v.score for v in sk.score(str(path))] == [v.score for v in sk.score(sk.load(path))]
    with pytest.raises(sk.InputError, match=r"gone\.nii"):
        sk.score(tmp_path / "gone.nii")


def test_the_table_on_disk_is_the_one_in_memory(crushed_result, tmp_path):
    unscored = replace(crushed_result[0].measures, status="abstained", reason='no neighbours, "none" at all', score=float("nan"), genant_grade=None)
    odd = replace(crushed_result, name="a,b", vertebrae=(SimpleNamespace(measures=unscored), *crushed_result[1:]))
    odd._write_table(tmp_path / "scores.csv")
    assert (tmp_path / "scores.csv").read_text() == odd.table().to_csv(index=False, float_format="%.4f", lineterminator="\n")


def test_stages_are_told_as_they_begin(crushed_spine):
    heard = []
    sk.score(crushed_spine, predictor="neighbours", progress=heard.append)
    assert heard == ["bodies", "expected shapes", "intervals and heights"]


def no_constant(text):
    raise AssertionError(f"{text} is no JSON")


def saved_record(result, folder):
    return json.loads((result.save(str(folder)) / "scores.json").read_text(), parse_constant=no_constant)


def test_the_record_is_strict_json_whose_frames_are_rotations_about_the_bodies(crushed_result, crushed_spine, tmp_path):
    record = saved_record(crushed_result, tmp_path / "new" / "folder")
    assert record["case"] == "bodies"
    assert record["shapekit_version"] == sk.__version__
    for row, level in zip(record["vertebrae"], BODIES, strict=True):
        assert list(row) == [*COLUMNS[1:], "frame", "expected_frame"]
        index = np.argwhere(crushed_spine.array == row["label"])
        for name in ("frame", "expected_frame"):
            axes = np.array(row[name]["axes"])
            assert axes.T @ axes == pytest.approx(np.eye(3), abs=1e-9)
            assert np.linalg.det(axes) == pytest.approx(1.0, abs=1e-9)
            if name == "frame" or level is Level.L3:  # the others' expected shapes come from the crushed one, which fits loosely
                assert axes[:, 2] @ LEANING[:, 2] > np.cos(np.radians(1.0)), level
        assert row["frame"]["origin"] == pytest.approx(crushed_spine.grid.to_world(index).mean(axis=0), abs=0.5)
        assert row["score_lo"] <= row["score"] <= row["score_hi"]
        assert (row["genant_grade"] == 0) == (level is not Level.L3 and row["height_loss"] < 0.2)
    # the upper quarter is lost, so the expected middle lies an eighth of the height above the actual one, along SI
    crushed = record["vertebrae"][1]
    lift = (np.array(crushed["expected_frame"]["origin"]) - crushed["frame"]["origin"]) @ LEANING
    assert lift == pytest.approx([0.0, 0.0, 0.25 * BODIES[Level.L3][2]], abs=1.0)


def test_a_vertebra_without_a_score_is_null_in_the_record_and_says_so(crushed_spine, tmp_path):
    array = np.where(crushed_spine.array == 22, crushed_spine.array, 0).astype(np.uint8)
    alone = sk.score(LabelMap(array, crushed_spine.grid, {22: Level.L3}, name="alone"))
    assert repr(alone) == "<SpineScore alone: L3: no_context>"
    assert repr(alone["L3"]) == "<VertebraScore L3: no_context>"
    (row,) = saved_record(alone, tmp_path)["vertebrae"]
    assert row["score"] is row["expected_frame"] is row["surface_distance_mm"] is None
    assert row["frame"] is not None
    assert not alone.expected_labels().any()
    assert alone.table().score.isna().all()


def test_the_sequence_behaves_like_one(crushed_result):
    assert list(reversed(crushed_result)) == list(crushed_result)[::-1]
    assert crushed_result["L4"] in crushed_result
    assert crushed_result.index(crushed_result["L5"]) == 3
    assert crushed_result[::-2] == (crushed_result["L5"], crushed_result["L3"])
    for outside in (4, -5):
        with pytest.raises(IndexError):
            crushed_result[outside]
    for strange in ("l3", "", "L33"):
        with pytest.raises(KeyError, match="which has L2, L3, L4, L5"):
            crushed_result[strange]
    shown = ", ".join(f"{vertebra.level}: {vertebra.score:.1f}" for vertebra in crushed_result)
    assert repr(crushed_result) == f"<SpineScore bodies: {shown}>"


def test_the_table_keeps_the_kind_of_every_column(crushed_result):
    table = crushed_result.table()
    assert list(table.columns) == list(COLUMNS)
    measured = {field.name: field.type for field in fields(crushed_result[0].measures)}
    for name, kind in measured.items():
        wanted = {"float": "float64", "int": "int64", "int | None": "Int64"}.get(kind)
        assert wanted is None or str(table[name].dtype) == wanted, name
    assert list(table.label) == [21, 22, 23, 24]
    assert list(table.case.unique()) == ["bodies"]


def test_expected_labels_agree_with_another_interpolation_of_the_distances(crushed_result):
    labels, grid = crushed_result.expected_labels(), crushed_result.grid
    assert labels.dtype == np.uint8
    assert labels.shape == grid.shape
    index = np.random.default_rng(5).integers(0, grid.shape, (6000, 3))
    depths = []
    for vertebra in crushed_result:
        patch = vertebra.expected
        depths.append(map_coordinates(patch.values.astype(np.float64), patch.grid.to_index(grid.to_world(index)).T, order=1, cval=99.0))
    depths = np.array(depths)
    sure = np.abs(depths.min(axis=0)) > 1e-3
    wanted = np.where(depths.min(axis=0) < 0, 21 + depths.argmin(axis=0), 0)
    assert (wanted[sure] > 0).sum() > 500
    assert np.array_equal(labels[tuple(index[sure].T)], wanted[sure])


def test_what_a_crushed_body_lost_is_labelled_as_expected(crushed_result, crushed_spine):
    expected = crushed_result.expected_labels() == 22
    lost = (body_spine()[0].array == 22) & (crushed_spine.array == 0)
    assert lost.sum() == pytest.approx(0.25 * (body_spine()[0].array == 22).sum(), rel=0.1)
    assert expected[lost].mean() > 0.85
    assert expected.sum() * crushed_spine.grid.voxel_mm3 == pytest.approx(body_spine()[1][Level.L3], rel=0.03)


def test_labels_beyond_255_need_and_get_two_bytes(crushed_result):
    deep = crushed_result["L3"]
    renamed = replace(deep, _scored=replace(deep._scored, measures=replace(deep.measures, label=300)))
    labels = replace(crushed_result, vertebrae=(renamed,)).expected_labels()
    assert labels.dtype == np.uint16
    assert set(np.unique(labels)) == {0, 300}


def test_scoring_leaves_its_input_alone_and_gives_the_same_again(crushed_spine, crushed_result):
    before = crushed_spine.array.copy()
    again = sk.score(crushed_spine, predictor="neighbours")
    assert np.array_equal(crushed_spine.array, before)
    assert again.table().equals(crushed_result.table())


def test_meshes_of_the_bodies_score_like_their_mask(crushed_result, tmp_path):
    pytest.importorskip("open3d")
    chosen = (Level.L2, Level.L3, Level.L4)
    meshes = sk.score(MeshSet({level: crushed_result[str(level)].mesh() for level in chosen}, name="surfaces"), bodies="given")
    assert [vertebra.level for vertebra in meshes] == list(chosen)
    assert meshes["L3"].measures.relative_loss == pytest.approx(crushed_result["L3"].measures.relative_loss, abs=0.03)
    assert "scheme" not in meshes.options
    labels = meshes.expected_labels()
    for label, level in enumerate(chosen, start=1):
        assert meshes[str(level)].measures.label == label
        centre = meshes.grid.to_world(np.argwhere(labels == label).mean(axis=0))
        assert centre == pytest.approx(meshes[str(level)].expected_frame.origin, abs=1.5)


def test_devices_have_torchs_names_and_missing_ones_are_refused(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert [torch_device(name) for name in ("auto", "cpu", "gpu", "gpu:0", "gpu:1")] == ["cuda", "cpu", "cuda:0", "cuda:0", "cuda:1"]
    with pytest.raises(sk.UsageError, match="device gpu:2 is not there: torch sees 2 GPUs"):
        torch_device("gpu:2")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    assert torch_device("auto") == "cpu"
    for name in ("gpu", "gpu:0"):
        with pytest.raises(sk.UsageError, match="use cpu, or install a CUDA build"):
            torch_device(name)
    for name in ("", "GPU", "cuda", "gpu:", "gpu:-1", "gpu:x", "gpu:0:1"):
        with pytest.raises(sk.UsageError, match="must be one of: auto, cpu, gpu, gpu:N"):
            torch_device(name)
