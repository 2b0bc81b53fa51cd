import numpy as np
import pytest
import trimesh

from shapekit.report.raster import Layer, render

FRONT = np.array([[-1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]).T
RED, BLUE = np.array([0.8, 0.1, 0.1]), np.array([0.1, 0.1, 0.8])


def ball(radius, centre=(0.0, 0.0, 0.0), colour=RED, *, glass=False):
    mesh = trimesh.creation.icosphere(subdivisions=4, radius=radius)
    return Layer(np.asarray(mesh.vertices) + centre, np.asarray(mesh.faces), colour, glass)


def at(picture, extent, x, y):
    left, right, bottom, top = extent
    h, w = picture.shape[:2]
    return picture[int((y - bottom) / (top - bottom) * h), int((x - left) / (right - left) * w)]


def test_a_ball_covers_its_disc():
    picture, extent = render([ball(7.0)], FRONT, 6.0)
    assert picture[..., 3].sum() / 36.0 == pytest.approx(np.pi * 49.0, rel=0.01)
    assert at(picture, extent, 0, 0)[3] == 1.0
    assert at(picture, extent, 6.5, 6.5)[3] == 0.0
    assert extent[1] - extent[0] == pytest.approx(16.0, abs=0.4)


def test_light_comes_from_the_upper_left():
    picture, extent = render([ball(7.0)], FRONT, 6.0)
    assert at(picture, extent, -3, 4)[0] > 1.3 * at(picture, extent, 3, -4)[0]


def test_the_nearer_of_two_is_seen_whichever_comes_first():
    near, far = ball(4.0, (0.0, 20.0, 0.0), BLUE), ball(7.0)  # anterior is towards an eye in front
    for order in ((near, far), (far, near)):
        picture, extent = render(order, FRONT, 5.0)
        assert at(picture, extent, 0, 0)[2] > at(picture, extent, 0, 0)[0]
        assert at(picture, extent, 0, 5.5)[0] > at(picture, extent, 0, 5.5)[2]
    behind, extent = render((near, far), FRONT * (1, 1, -1), 5.0)
    assert at(behind, extent, 0, 0)[0] > at(behind, extent, 0, 0)[2]


def test_glass_lets_the_body_through_and_is_hidden_behind_it():
    bare, extent = render([ball(7.0)], FRONT, 5.0)
    around, wide = render([ball(7.0), ball(9.0, colour=BLUE, glass=True)], FRONT, 5.0)
    middle, veiled = at(bare, extent, 0, 0), at(around, wide, 0, 0)
    assert middle[0] * 0.85 < veiled[0] < middle[0]
    assert 0.05 < at(around, wide, 8.0, 0)[3] < 1.0  # only glass there, the denser the more it turns away
    assert at(around, wide, 0, 8.9)[3] > at(around, wide, 0, 7.6)[3]
    within, same = render([ball(7.0), ball(5.0, colour=BLUE, glass=True)], FRONT, 5.0)
    assert at(within, same, 0, 0) == pytest.approx(middle)


def test_colours_of_vertices_are_interpolated():
    plain = ball(7.0)
    height = (plain.vertices[:, 2:] + 7.0) / 14.0
    picture, extent = render([Layer(plain.vertices, plain.faces, height * (0, 0, 0.5) + (1 - height) * (0.5, 0, 0))], FRONT, 5.0)
    share = [at(picture, extent, 0, z)[2] / at(picture, extent, 0, z)[[0, 2]].sum() for z in (-5.6, -2.8, 0.0, 2.8, 5.6)]
    assert share == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9], abs=0.03)
