"""The cohort's report: what it says, that it asks for nothing, that what comes from outside stays text, and how a browser takes it."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from shapekit.cohort.page import MOST, group_html
from shapekit.cohort.plots import box_plot, grade_plot, height_plot
from shapekit.cohort.scans import Outcome
from shapekit.cohort.statistics import by_level
from shapekit.report.page import digest
from tests.cohort.test_statistics import row
from tests.report.chromium import Chromium, executable
from tests.report.test_page import MALICIOUS, Elements

LEVELS = [f"T{n}" for n in range(1, 13)] + [f"L{n}" for n in range(1, 6)]


def drawn(scans=40, levels=LEVELS):
    """A cohort's table with a grade 3 fracture and an odd scan in it."""
    generator = np.random.default_rng(4)
    rows = []
    for scan in range(scans):
        for n, level in enumerate(levels):
            height = 18 + 0.7 * n + generator.normal(0, 1.0)
            loss = 0.5 if (scan, level) == (3, "L1") else abs(generator.normal(0.06, 0.05))
            heights = {"ha_mm": height * (1 - loss), "hm_mm": height * 0.95, "hp_mm": height * 1.02}
            cells = {name: f"{value:.4f}" for name, value in heights.items()} | {f"expected_{name}": f"{height:.4f}" for name in heights}
            grade = sum(loss >= limit for limit in (0.2, 0.25, 0.4))
            cells |= {"score": f"{min(100, 160 * loss):.4f}", "genant_grade": grade, "status": "ok", "actual_mm3": f"{30 * height**2:.1f}"}
            rows.append(row(f"sub-{scan:02d}", level, participant_id=f"sub-{scan:02d}", **cells))
    return rows


@pytest.fixture(scope="module")
def page():
    outcomes = [Outcome(f"sub-{n:02d}", f"sub-{n:02d}", "scored") for n in range(40)]
    outcomes += [Outcome(MALICIOUS, "sub-x", "failed", f"{MALICIOUS} is cut off."), Outcome("sub-98", "sub-98", "waiting", "not scored yet.")]
    rows = [*drawn(), row(MALICIOUS, "L1", score=90, hm_mm=90, status="ok", ha_mm=1)]
    ways = [{"predictor": "generative", "preset": "botros2022", "weights": "abc", "shapekit_version": "0.1.0"}]
    reports = {"sub-03": "sub-03/sub-03/report.html", MALICIOUS: '"javascript:alert(1)/report.html'}
    return group_html(MALICIOUS, rows, outcomes, notes=[MALICIOUS], made_with=ways, reports=reports)


def test_the_policy_allows_the_pages_own_style_and_nothing_else(page):
    (policy,) = (meta["content"] for meta in Elements(page).all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    assert policy == f"default-src 'none'; style-src {digest(style)}; img-src data:; base-uri 'none'; form-action 'none'"


def test_words_from_outside_are_text(page):
    elements = Elements(page)
    assert not elements.all("img")
    assert not elements.all("script")
    assert not [attributes for _, attributes in elements.found if any(name.startswith("on") or name == "style" for name in attributes)]
    assert "".join(elements.text["h1"]) == MALICIOUS
    links = [link["href"] for link in elements.all("a")]
    assert "sub-03/sub-03/report.html" in links
    assert [link for link in links if "javascript" in link] == ["%22javascript%3Aalert%281%29/report.html"]


def test_the_page_says_what_came_out(page):
    said = " ".join(" ".join(parts) for parts in Elements(page).text.values())
    assert "681 vertebrae of 40 scans are scored" in said
    assert "Without a score: 2." in said
    assert "not scored yet." in said
    assert "generative" in said
    assert re.search(r"<td[^>]*>H[am]</td><td[^>]*>(1|90)\.0</td>", page)


def test_long_lists_end_and_say_so():
    outcomes = [Outcome(f"sub-{n}", f"sub-{n}", "failed", "cut off.") for n in range(MOST + 7)]
    page = group_html("many", [], outcomes)
    assert page.count("cut off.") == MOST
    assert f"The first {MOST} of {MOST + 7}." in page
    assert "0 vertebrae of 0 scans are scored" in page


def texts(drawing):
    return [element.text for element in ElementTree.fromstring(drawing).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314 (our own)


def test_drawings_hold_every_level_and_say_their_numbers():
    rows = drawn(scans=11)
    for drawing in (box_plot(by_level(rows, "score")), grade_plot(rows), height_plot(rows)):
        assert [text for text in texts(drawing) if text in LEVELS] == LEVELS
        assert not re.search(r"\bnan\b", drawing)
    assert "L1 median" in box_plot(by_level(rows, "score"))
    assert "L1: 10 of grade 0, 0 of grade 1, 0 of grade 2, 1 of grade 3" in grade_plot(rows)


def test_a_box_stands_where_its_numbers_are():
    rows = [row(f"s{n}", "L1", score=value) for n, value in enumerate([0, 25, 50, 75, 100])]
    box = next(ElementTree.fromstring(box_plot(by_level(rows, "score"))).iter("{http://www.w3.org/2000/svg}rect"))  # noqa: S314 (our own)
    top, height = float(box.get("y")), float(box.get("height"))
    assert (top, top + height) == (34.0 + 0.25 * 180.0, 34.0 + 0.75 * 180.0)


def test_nothing_to_draw_is_said():
    assert [draw([]) for draw in (box_plot, grade_plot, height_plot)] == [
        "<p>No vertebra is scored.</p>",
        "<p>No vertebra is graded.</p>",
        "<p>No height is measured.</p>",
    ]


@pytest.mark.skipif(executable() is None, reason="needs Chromium (Debian's package chromium) on the path")
def test_a_browser_shows_it_without_a_word_or_a_request(page, tmp_path):
    pytest.importorskip("websocket")
    path = tmp_path / "group_report.html"
    path.write_text(page, encoding="utf-8")
    with Chromium() as browser:
        browser.open(path, width=900, scripts=False)
        assert browser.value("document.querySelectorAll('svg.plot').length") == 3
        assert browser.value("document.documentElement.scrollWidth") <= 900
        assert browser.value("getComputedStyle(document.querySelector('main')).maxWidth") == "1500px"
        browser.call("Emulation.setScriptExecutionDisabled", value=False)  # the browser's own clock needs it
        assert browser.complaints() == []
        assert browser.requests() == [path.resolve().as_uri()]
