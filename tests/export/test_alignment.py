import sys

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import shapekit as sk
from shapekit.core.values import Mesh
from shapekit.export import icp, show
from shapekit.phantom import draw_patient

pytest.importorskip("open3d")


@pytest.fixture(scope="module")
def body():
    return draw_patient(3, fractures="none", levels=[sk.Level.L1, sk.Level.L2])["L1"].mesh()


def test_a_known_motion_is_found_again(body):
    turn, shift = Rotation.from_rotvec((0.05, -0.04, 0.03)).as_matrix(), np.array([1.5, -2.0, 1.0])
    middle = body.vertices.mean(axis=0)
    actual = Mesh((body.vertices - middle) @ turn.T + middle + shift, body.faces)
    found = icp(body, actual)
    moved = body.vertices @ found.transform[:3, :3].T + found.transform[:3, 3]
    assert np.abs(moved - actual.vertices).max() < 0.05
    assert found.residual_mm < 0.02
    assert found.share == 1
    assert np.allclose(found.transform[:3, :3] @ found.transform[:3, :3].T, np.eye(3), atol=1e-9)


def test_no_motion_makes_up_for_lost_height(crushed_result):
    """A quarter of the height is gone: shared between both plates, more than 1.5 mm of each remains."""
    expected = crushed_result["L3"].mesh("expected")
    assert icp(expected, crushed_result["L3"].mesh()).residual_mm > 1.5
    assert icp(expected, expected).residual_mm < 0.001


def test_what_cannot_be_aligned_is_refused(body):
    far = Mesh(body.vertices + 500.0, body.faces)
    with pytest.raises(sk.InputError, match="within 10 mm"):
        icp(body, far)
    with pytest.raises(sk.InputError, match="without faces"):
        icp(body, Mesh(body.vertices, np.zeros((0, 3), int)))


def test_without_a_screen_or_the_package_it_says_so(crushed_result, solids, monkeypatch):
    monkeypatch.setenv("DISPLAY", ":4094")  # where nobody listens: open3d would draw into memory and wait for ever
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    if sys.platform.startswith("linux"):
        for call in (lambda: crushed_result.show(viewer="open3d"), lambda: show(list(solids.values()))):
            with pytest.raises(sk.UsageError, match="there is no screen"):
                call()
    monkeypatch.setitem(sys.modules, "open3d", None)
    for call in (lambda: show([]), lambda: icp(crushed_result["L3"].mesh(), crushed_result["L3"].mesh())):
        with pytest.raises(sk.MissingPackageError, match=r"shapekit\[mesh\]"):
            call()


def test_another_viewer_or_palette_is_refused(crushed_result):
    with pytest.raises(sk.UsageError, match="viewer is 'napari', but must be one of: report, open3d"):
        crushed_result.show(viewer="napari")
    with pytest.raises(sk.UsageError, match="palette is 'jet'"):
        crushed_result.show(viewer="open3d", palette="jet")
