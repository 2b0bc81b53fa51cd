import math
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from shapekit.core.values import Measures
from shapekit.pipeline import Scored
from shapekit.report import Subject
from shapekit.report.colours import SCORE, score_colour
from shapekit.report.plots import cut_svg, level_plot, profile_svg, ramp_svg
from tests.factories import LEANING

SVG = "{http://www.w3.org/2000/svg}"


def parsed(text):
    return ElementTree.fromstring(text)  # noqa: S314 (our own)


def with_measures(one, **changes):
    return replace(one, measures=replace(one.measures, **changes))


def test_every_level_has_its_mark_at_its_score(subject):
    plot = parsed(level_plot(subject))
    circles = list(plot.iter(f"{SVG}circle"))
    assert [float(circle.get("data-score")) for circle in circles] == pytest.approx([one.measures.score for one in subject.scored], abs=0.01)
    grid = [float(re.match(r"M\S+?,([\d.]+)H", path.get("d"))[1]) for path in plot.iter(f"{SVG}path") if path.get("class") == "grid"]
    zero, hundred = grid[0], grid[4]
    for circle, one in zip(circles, subject.scored, strict=True):
        assert float(circle.get("cy")) == pytest.approx(zero + (hundred - zero) * one.measures.score / 100, abs=0.1)
        assert circle.get("fill") == score_colour(one.measures.score)


def test_intervals_are_bars_only_where_they_are_known(subject):
    assert 'class="interval"' not in level_plot(subject)
    known = with_measures(subject.scored[1], score_lo=60.0, score_hi=90.0)
    half = with_measures(subject.scored[2], score_lo=1.0)
    assert level_plot(replace(subject, scored=(subject.scored[0], known, half))).count('class="interval"') == 1


def test_a_spine_without_a_number_still_has_a_plot():
    nothing = Subject("none", (Scored(Measures("L1", 20, status="no_body")), Scored(Measures("L2", 21, status="partial"))))
    plot = parsed(level_plot(nothing))
    assert "L1 not scored; L2 not scored." in plot.find(f"{SVG}desc").text
    assert not list(plot.iter(f"{SVG}circle"))
    assert profile_svg(nothing) == ""
    parsed(level_plot(Subject("empty", ())))
    assert "nan" not in level_plot(nothing)


def outline(path):
    return [tuple(map(float, pair.split(","))) for pair in re.findall(r"[\d.]+,[\d.]+", path.get("d"))]


def test_the_cut_shows_the_lost_quarter_at_the_top(subject):
    one = subject.scored[1]
    cut = parsed(cut_svg(one))
    lost, body = (next(path for path in cut.iter(f"{SVG}path") if path.get("class") == kind) for kind in ("lost", "bone"))
    tops = [min(y for _, y in outline(path)) for path in (lost, body)]
    lows = [max(y for _, y in outline(path)) for path in (lost, body)]
    assert tops[1] - tops[0] == pytest.approx(6.5, abs=1.0)
    assert abs(lows[1] - lows[0]) < 1.5
    assert max(x for x, _ in outline(body)) - min(x for x, _ in outline(body)) == pytest.approx(31.0, abs=1.5)
    assert "M4," in ElementTree.tostring(cut, encoding="unicode")
    assert "10 mm" in "".join(cut.itertext())
    assert cut_svg(Scored(one.measures, one.body, one.frame)) == ""


def test_the_profile_runs_from_head_to_foot_with_anterior_to_the_left(subject):
    profile = parsed(profile_svg(subject))
    filled = [path for path in profile.iter(f"{SVG}path") if path.get("data-score") is not None]
    middles = [sum(y for _, y in outline(path)) / len(outline(path)) for path in filled]
    assert middles == sorted(middles)
    assert len(filled) == 4
    texts = [text.text for text in profile.iter(f"{SVG}text")]
    assert texts == [f"{one.measures.level} · {one.measures.score:.0f}" for one in subject.scored]
    across = [sum(x for x, _ in outline(path)) / len(outline(path)) for path in filled]
    assert LEANING[1, 2] < 0  # the head end lies further back, which is to the right
    assert across == sorted(across, reverse=True)


def test_names_are_escaped():
    odd = parsed(ramp_svg(SCORE, ("<0>", "1&2"), 'a "b"'))
    assert "<0>" in "".join(odd.itertext())
    assert math.isclose(float(odd.get("width")), 300)
