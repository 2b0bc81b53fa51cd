"""The phantom's truth against slow, independent measurements of the same shapes."""

import numpy as np
import pytest
import trimesh

from shapekit.core.levels import Level
from shapekit.mesh import mesh_from_sdf, volume_mm3
from shapekit.phantom import acquire, demo_patient, draw_patient, scan_grid
from shapekit.phantom.patient import body_patch, patient_generator


@pytest.fixture(scope="module")
def demo():
    return demo_patient()


def distance_to_a_dense_mesh(body, points):
    """Distance to a mesh of 0.15 mm edges, pulled onto the body's zero level along numeric gradients, by open3d's ray caster."""
    o3d = pytest.importorskip("open3d")
    surface = trimesh.Trimesh(body.surface.mesh.vertices, body.surface.mesh.faces, process=False)
    for _ in range(3):
        surface = surface.subdivide()
    dense = np.asarray(surface.vertices)
    step = 1e-4
    for _ in range(3):
        value = body.level_set(dense)
        slope = np.stack([(body.level_set(dense + step * e) - body.level_set(dense - step * e)) / (2 * step) for e in np.eye(3)], axis=-1)
        dense = dense - (value / (slope**2).sum(axis=-1))[:, None] * slope
    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(o3d.core.Tensor(dense.astype(np.float32)), o3d.core.Tensor(np.asarray(surface.faces).astype(np.uint32)))
    return scene.compute_distance(o3d.core.Tensor(points.astype(np.float32))).numpy()


@pytest.mark.parametrize("level", ["T8", "L2", "L3", "T12"])
def test_the_signed_distance_is_that_of_a_brute_force_search(demo, level):
    body = demo[level].actual
    generator = np.random.default_rng(4)
    vertices = body.surface.mesh.vertices
    points = vertices[generator.integers(0, len(vertices), 3000)] + generator.normal(0, 2.0, (3000, 3))
    truth = distance_to_a_dense_mesh(body, points) * np.sign(body.level_set(points))
    assert np.abs(body.signed_distance(points) - truth).max() <= 0.02


def test_far_before_a_wall_that_a_fracture_bent_inward_the_distance_stays_outside():
    body = next(v for v in draw_patient(patient_generator(610, 13)) if v.level is Level.T6).actual
    points = np.random.default_rng(5).uniform((-20.0, 10.0, -20.0), (20.0, 35.0, 20.0), (2000, 3))
    truth = distance_to_a_dense_mesh(body, points) * np.sign(body.level_set(points))
    distance, far = body.signed_distance(points), np.abs(truth) > 0.6
    assert far.sum() > 1500
    assert (np.sign(distance) == np.sign(truth))[far].all()
    assert np.abs(distance - truth)[far].max() <= 1.0  # the mesh folds over itself there; before, distances were up to 30 mm off


@pytest.mark.parametrize(("level", "kind"), [("T8", "biconcave"), ("L1", ""), ("L3", "wedge")])
def test_about_a_foramen_and_a_deep_waist_too(level, kind):
    patient = draw_patient(patient_generator(5, 3), fractures={level: (kind, 0.25)} if kind else "none", build="varied")
    body = patient[level].actual
    generator = np.random.default_rng(6)
    vertices = body.surface.mesh.vertices
    foramen = vertices[(np.abs(vertices[:, 0]) < 6.0) & (vertices[:, 1] < 0.0) & (np.abs(vertices[:, 2]) < 6.0)]
    points = np.concatenate([some[generator.integers(0, len(some), 1500)] for some in (vertices, foramen)]) + generator.normal(0, 2.0, (3000, 3))
    truth = distance_to_a_dense_mesh(body, points) * np.sign(body.level_set(points))
    assert np.abs(body.signed_distance(points) - truth).max() <= 0.04  # the groove bends as sharply as vertices are apart


@pytest.mark.parametrize("level", ["T4", "T12", "L5"])
def test_volume_and_heights_are_those_of_a_voxel_count(demo, level):
    body = demo[level].actual
    low, high = body.surface.mesh.vertices.min(axis=0) - 1, body.surface.mesh.vertices.max(axis=0) + 1
    step = 0.4
    axes = [np.arange(a, b, step) for a, b in zip(low, high, strict=True)]
    inside = body.level_set(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)) < 0
    assert body.surface.volume_mm3 == pytest.approx(inside.sum() * step**3, rel=0.005)
    back, front = body.depth_span_mm()
    column = np.zeros((2001, 3))
    column[:, 2] = np.linspace(low[2], high[2], 2001)
    heights = []
    for share in (0.1, 0.9):
        column[:, 1] = front - share * (front - back)
        heights.append((body.level_set(column) < 0).sum() * (high[2] - low[2]) / 2000)
    ha, hm, hp = body.heights_mm()
    assert [ha, hp] == pytest.approx(heights, rel=0.005)
    assert hm <= max(ha, hp)


def test_the_demo_patient_has_its_three_fractures(demo):
    found = {str(v.level): (v.grade, v.deformity) for v in demo if v.grade}
    assert found == {"T8": (2, "wedge"), "T12": (3, "crush"), "L3": (1, "biconcave")}
    wedge = demo["T8"]
    assert wedge.loss.ha == pytest.approx(1 - wedge.actual.heights_mm()[0] / wedge.healthy.heights_mm()[0])
    assert wedge.loss.ha > max(wedge.loss.hp, 0.25)


def test_a_fractured_body_and_its_healthy_twin_share_the_posterior_wall_and_the_lower_plate(demo):
    wedge = demo["T8"]
    points, normals = wedge.healthy.surface.mesh.vertices, wedge.healthy.surface.normals
    for kept in (normals[:, 2] < -0.9, normals[:, 1] < -0.9):
        assert np.median(np.abs(wedge.actual.signed_distance(points[kept]))) < 0.1
    front = (normals[:, 2] > 0.9) & (points[:, 1] > 0.3 * wedge.healthy.half_depth_mm)
    assert np.median(wedge.actual.signed_distance(points[front])) > 3.0


def test_frames_are_rotations_and_bodies_do_not_meet(demo):
    for vertebra in demo:
        axes = vertebra.frame().axes
        assert axes.T @ axes == pytest.approx(np.eye(3), abs=1e-9)
        assert np.linalg.det(axes) > 0
        assert axes[2, 2] > 0.5
    for upper, lower in zip(demo.vertebrae, demo.vertebrae[1:], strict=False):
        gap = upper.signed_distance(lower.placement.to_world(lower.actual.surface.mesh.vertices))
        assert gap.min() > 0.3, (upper.level, lower.level)


def test_scans_without_noise_are_the_exact_shapes(demo):
    grid = scan_grid(demo, (0.9, 1.1, 1.4))
    scan = acquire(demo, grid, generator=np.random.default_rng(0), noise_mm=0.0, defects=0.0)
    vertebra = demo["L1"]
    inside = scan.labels.body_mask & (scan.labels.array == vertebra.label)
    assert inside.sum() * grid.voxel_mm3 == pytest.approx(vertebra.actual.surface.volume_mm3, rel=0.01)
    distance = vertebra.signed_distance(grid.to_world(np.argwhere(inside)))
    assert distance.max() <= 0.02


def test_noise_moves_the_surface_by_a_third_of_a_millimetre(demo):
    grid = scan_grid(demo, 1.0, first="L2", last="L3")
    noisy = acquire(demo, grid, generator=np.random.default_rng(2), defects=0.0)
    vertebra = demo["L2"]
    inside = noisy.labels.body_mask & (noisy.labels.array == vertebra.label)
    wall = np.argwhere(inside & ~np.roll(inside, 1, axis=1) & ~np.roll(inside, -1, axis=0))
    assert len(wall) > 20
    exact = vertebra.signed_distance(grid.to_world(np.argwhere(inside)))
    assert 0.2 < exact.max() < 3.0


def test_a_patch_of_a_body_is_its_signed_distance(demo):
    vertebra = demo["L2"]
    patch = body_patch(vertebra, vertebra.frame())
    mesh = mesh_from_sdf(patch)
    assert volume_mm3(mesh) == pytest.approx(vertebra.actual.surface.volume_mm3, rel=0.02)


def test_patients_depend_on_seed_and_number_alone():
    one = draw_patient(patient_generator(5, 2))
    draw_patient(patient_generator(5, 1))
    again = draw_patient(patient_generator(5, 2))
    other = draw_patient(patient_generator(5, 3))
    assert [v.actual.heights_mm() for v in one] == [v.actual.heights_mm() for v in again]
    assert [v.actual.heights_mm() for v in one][:3] != [v.actual.heights_mm() for v in other][:3]
    assert {Level.T1, Level.L4} <= set(one.levels)
