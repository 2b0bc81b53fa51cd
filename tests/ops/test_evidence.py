"""Slopes of a body's endplates and walls: the C++ library against the reference (what they are worth: ``tests/spine/test_orientation.py``)."""

from dataclasses import astuple

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import shapekit as sk
from shapekit.core.frame import Frame
from shapekit.ops import Evidence, Faces, _native, gather_evidence
from shapekit.phantom import draw_patient

NATIVE = pytest.mark.skipif(bool(_native.WHY_NO_LIBRARY), reason=_native.WHY_NO_LIBRARY or "built")
BACKENDS = ["reference", pytest.param("cpu", marks=NATIVE)]


@pytest.fixture(scope="module")
def bodies():
    patient = draw_patient(41, levels=["T4", "T11", "L2", "L5"], fractures={"T11": ("wedge", 0.3), "L2": ("crush", 0.35)})
    return [(Faces.of(vertebra.mesh()), vertebra.frame()) for vertebra in patient]


def turned(frame, degrees):
    return Frame(frame.origin, frame.axes @ Rotation.from_euler("xyz", degrees, degrees=True).as_matrix())


def assert_alike(faces, frame):
    native, plain = (np.array(astuple(gather_evidence(faces, frame, backend=backend))) for backend in ("cpu", "reference"))
    assert native == pytest.approx(plain, abs=1e-6, nan_ok=True)
    return plain


@NATIVE
@pytest.mark.parametrize("degrees", [(0, 0, 0), (12, -8, 15), (-20, 10, -25), (60, 0, 0), (0, 0, 170)], ids=str)
def test_the_library_sees_what_the_reference_does(bodies, degrees):
    for faces, frame in bodies:
        assert_alike(faces, turned(frame, degrees))


@NATIVE
def test_what_is_not_there_is_not_seen_by_either(bodies):
    faces, frame = bodies[2]
    local, normals = frame.to_local(faces.centres), faces.normals @ frame.axes
    seen = {}
    for name, kept in {
        "all": np.ones(len(local), bool),
        "no top": ~((normals[:, 2] > 0.3) & (local[:, 2] > 0)),
        "no plates": np.abs(normals[:, 2]) < 0.45,
        "no right side": normals[:, 0] < 0.6,
        "no front": normals[:, 1] < 0.6,
        "few": np.arange(len(local)) % 40 == 0,
        "fewest": np.arange(len(local)) < 9,
    }.items():
        areas = faces.areas[kept] * (40.0 if name == "few" else 1.0)  # so few that some directions have no wall
        seen[name] = assert_alike(Faces(faces.centres[kept], faces.normals[kept], areas), frame)
    assert not np.isnan(seen["all"]).any()
    assert not np.isnan(Evidence(*seen["few"]).mirror_yaw)
    assert np.isnan(Evidence(*seen["no top"]).top_pitch)
    assert not np.isnan(Evidence(*seen["no top"]).low_pitch)
    for name in ("no plates", "no right side", "no front", "fewest"):
        assert np.isnan(seen[name]).all(), name


@NATIVE
def test_faces_that_are_no_body_say_nothing_to_either():
    generator = np.random.default_rng(3)
    normals = generator.standard_normal((4000, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    for centres in (20.0 * normals, generator.uniform(-25, 25, (4000, 3)), np.zeros((4000, 3))):
        assert np.isnan(assert_alike(Faces(centres, normals, generator.uniform(0.1, 1.0, 4000)), Frame(np.zeros(3), np.eye(3)))).all()
    with pytest.raises(sk.InputError, match="centres has shape"):
        gather_evidence(Faces(centres[:100], normals, np.ones(4000)), Frame(np.zeros(3), np.eye(3)))
    with pytest.raises(sk.InputError, match="centres holds NaN"):
        gather_evidence(Faces(np.full((40, 3), np.nan), normals[:40], np.ones(40)), Frame(np.zeros(3), np.eye(3)))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_turn_of_the_frame_is_seen(bodies, backend):
    faces, frame = bodies[1]
    straight, bent = (gather_evidence(faces, turned(frame, (pitch, 0, 0)), backend=backend) for pitch in (0, -6))
    assert bent.low_pitch - straight.low_pitch == pytest.approx(6.0, abs=1.0)
