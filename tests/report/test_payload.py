import base64
import gzip
import struct

import numpy as np
import pytest

from shapekit.core.values import Measures
from shapekit.pipeline import Scored
from shapekit.report import Subject
from shapekit.report.payload import pack_surfaces
from shapekit.report.shapes import actual_surface, expected_surface


def unpacked_words(content, at, count):
    """The stream's rule once more, a word at a time."""
    words, last = [], 0
    for n in range(count):
        (low,), (high,) = struct.unpack_from("B", content, at + n), struct.unpack_from("B", content, at + count + n)
        last = (last + low + 256 * high) % 65536
        words.append(last)
    return np.array(words)


def read_back(content, told):
    n, m = told["vertices"], told["triangles"]
    positions = unpacked_words(content, told["at"], 3 * n).reshape(3, n).T * told["step"] + told["low"]
    faces = unpacked_words(content, told["at"] + 6 * n, 3 * m).reshape(m, 3)
    return positions, faces


@pytest.fixture(scope="module")
def packed(subject):
    vertebrae, text = pack_surfaces(subject)
    return vertebrae, text, gzip.decompress(base64.b64decode(text))


def test_surfaces_come_back_to_a_hundredth_of_a_millimetre(subject, packed):
    vertebrae, _, content = packed
    assert [one["row"] for one in vertebrae] == [0, 1, 2, 3]
    for told, one in zip(vertebrae, subject.scored, strict=True):
        mesh, deficit = actual_surface(one), expected_surface(one)
        for sent, surface in ((told["actual"], mesh), (told["expected"], deficit.mesh)):
            positions, faces = read_back(content, sent)
            assert np.abs(positions - surface.vertices).max() < 0.012
            assert np.array_equal(faces, surface.faces)
        at = told["expected"]["at"] + 6 * told["expected"]["vertices"] + 6 * told["expected"]["triangles"]
        micrometres = unpacked_words(content, at, told["expected"]["vertices"]).astype(np.uint16).view(np.int16)
        assert micrometres / 1000 == pytest.approx(deficit.along_si_mm, abs=6e-4)


def test_streams_follow_each_other_without_a_gap(packed):
    vertebrae, _, content = packed
    end = 0
    for one in vertebrae:
        for told, words_a_vertex in ((one["actual"], 3), (one["expected"], 4)):
            assert told["at"] == end
            end += 2 * (words_a_vertex * told["vertices"] + 3 * told["triangles"])
    assert end == len(content)


def test_the_same_spine_packs_to_the_same_text(subject, packed):
    assert pack_surfaces(subject)[1] == packed[1]


def test_what_has_no_body_is_left_out_and_rows_keep_their_numbers(subject):
    gap = Subject(
        "gap", (Scored(Measures("L1", 20, status="no_body")), subject.scored[0], Scored(subject.scored[1].measures, subject.scored[1].body))
    )
    vertebrae, _ = pack_surfaces(gap)
    assert [one["row"] for one in vertebrae] == [1, 2]
    assert vertebrae[1]["expected"] is None
    assert pack_surfaces(Subject("none", ()))[0] == []


def test_a_surface_of_too_many_vertices_is_sent_coarser(subject, packed, monkeypatch):
    monkeypatch.setattr("shapekit.report.payload.TOP", 900)
    vertebrae, text = pack_surfaces(subject)
    content = gzip.decompress(base64.b64decode(text))
    for coarse, full in zip(vertebrae, packed[0], strict=True):
        assert full["actual"]["vertices"] > 900
        assert max(coarse[kind]["vertices"] for kind in ("actual", "expected")) <= 900
        assert np.ptp(read_back(content, coarse["actual"])[0], axis=0) == pytest.approx(
            np.ptp(read_back(packed[2], full["actual"])[0], axis=0), abs=1.5
        )
