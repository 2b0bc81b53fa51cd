"""The page in a real browser: what it says, asks for and paints, and what clicks and keys do. Software rendering, no network."""

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from shapekit.report import report_html
from tests.report.chromium import Chromium, executable

pytest.importorskip("websocket")
pytestmark = pytest.mark.skipif(executable() is None, reason="needs Chromium (Debian's package chromium) on the path")

ROW = "#scores tbody tr[data-row='{}']"
LEVELS = "[...document.querySelectorAll('#scores tbody th')].map((cell) => cell.textContent.trim())"
NAMES = '<img src=x onerror=document.title="owned">'


@pytest.fixture(scope="module")
def report(subject, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(report_html(replace(subject, name=NAMES)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser():
    with Chromium() as chromium:
        yield chromium


@pytest.fixture
def opened(browser, report):
    browser.open(report)
    yield browser
    assert browser.complaints() == []
    assert browser.requests() == [report.resolve().as_uri()]


def picked(browser):
    """Rows, labels and cuts that are marked."""
    return browser.value(
        "[[...document.querySelectorAll('#scores tr.picked th')].map((e) => e.textContent.trim()),"
        " [...document.querySelectorAll('#labels span.picked')].map((e) => e.textContent)]"
    )


def test_the_spine_is_painted_in_its_scores_colours(opened):
    assert opened.value("document.body.dataset.viewer") == "ready"
    assert opened.value("document.getElementById('profile').hidden") is True
    painted = opened.canvas()
    red, green, blue, cover = np.moveaxis(painted, -1, 0)
    assert 0.08 < (cover > 0.5).mean() < 0.8
    solid = cover > 0.99
    assert (solid & (green > red + 0.15) & (green > blue + 0.1)).mean() > 0.04
    assert (solid & (red > green + 0.25) & (red > blue + 0.25)).mean() > 0.01
    assert ((cover > 0.05) & (cover < 0.9)).mean() > 0.002  # the glass of the expected shapes


@pytest.mark.parametrize("level", ["L2", "L3", "L5"])
def test_a_click_on_a_body_marks_its_row_and_on_the_ground_none(opened, level):
    opened.click(*opened.middle_of(level))
    assert picked(opened) == [[level], [level]]
    assert opened.value("document.getElementById('picked').textContent").startswith(f"{level}: score")
    assert opened.value("document.querySelectorAll('#scores button[aria-pressed=true]').length") == 1
    corner = opened.box("document.getElementById('spine')")
    opened.click(corner["x"] + 5, corner["y"] + 5)
    assert picked(opened) == [[], []]


def test_a_click_on_a_row_marks_its_body(opened):
    before = opened.canvas()
    opened.click_on(ROW.format(3) + " td")
    assert picked(opened) == [["L5"], ["L5"]]
    changed = np.abs(opened.canvas()[..., :3] - before[..., :3]).max(axis=-1) > 0.1
    rows = np.flatnonzero(changed.any(axis=1))
    assert len(rows)
    assert rows.min() > 0.6 * len(changed)  # L5 is the lowest
    opened.click_on(ROW.format(3) + " td")
    assert picked(opened) == [[], []]
    assert opened.canvas() == pytest.approx(before)


def test_the_deficit_switch_paints_the_expected_shapes_by_what_is_missing(opened):
    opened.click_on("#show-deficit")
    red, green, blue, cover = np.moveaxis(opened.canvas(), -1, 0)
    solid = cover > 0.99
    assert (solid & (red > green + 0.25) & (red > blue + 0.25)).mean() > 0.003  # what L3 lost
    assert (solid & (np.abs(red - green) < 0.12) & (red > 0.4)).mean() > 0.05  # most is as expected
    assert opened.value("[document.getElementById('legend-deficit').hidden, document.getElementById('legend-score').hidden]") == [False, True]
    opened.click(*opened.middle_of("L3"))
    assert picked(opened) == [["L3"], ["L3"]]


def test_headings_sort_both_ways_and_names_follow_the_spine(opened, subject):
    by_score = [one.measures.level for one in sorted(subject.scored, key=lambda one: one.measures.score)]
    opened.click_on("#scores thead th:nth-child(2) button")
    assert opened.value(LEVELS) == by_score
    opened.click_on("#scores thead th:nth-child(2) button")
    assert opened.value(LEVELS) == by_score[::-1]
    assert opened.value("document.querySelector('#scores thead th:nth-child(2)').getAttribute('aria-sort')") == "descending"
    opened.click_on("#scores thead th:nth-child(1) button")
    assert opened.value(LEVELS) == ["L2", "L3", "L4", "L5"]
    assert opened.value("document.querySelectorAll('#scores thead th[aria-sort]').length") == 1
    opened.click_on(ROW.format(1) + " button")
    assert picked(opened) == [["L3"], ["L3"]]


def test_the_table_is_copied_as_tab_separated_text(opened, report):
    opened.call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    opened.call("Page.bringToFront")
    opened.click_on("#copy")
    assert opened.value("document.getElementById('copied').textContent") == "Copied."
    lines = opened.value("navigator.clipboard.readText()").rstrip("\n").split("\n")
    cells = [line.split("\t") for line in lines]
    assert cells[0][:2] == ["Level", "Score"]
    assert [row[0] for row in cells[1:]] == ["L2", "L3", "L4", "L5"]
    assert {len(row) for row in cells} == {len(cells[0])}
    assert float(cells[2][1]) > 50


def test_dragging_and_keys_turn_zoom_and_choose(opened):
    box = opened.box("document.getElementById('spine')")
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    start = opened.canvas()
    opened.drag(x, y, 90, 0)
    turned = opened.canvas()
    assert np.abs(turned - start).max(axis=-1).mean() > 0.01
    assert picked(opened) == [[], []]  # a drag is no click
    opened.value("document.getElementById('spine').focus()")
    opened.press("ArrowLeft")
    assert np.abs(opened.canvas() - turned).max(axis=-1).mean() > 0.003
    opened.press("+")
    assert (opened.canvas()[..., 3] > 0.99).sum() > 1.2 * (turned[..., 3] > 0.99).sum()
    opened.press("Home")
    assert opened.canvas() == pytest.approx(start)
    opened.press("PageDown")
    assert picked(opened)[0] == ["L2"]
    opened.press("PageDown")
    assert picked(opened)[0] == ["L3"]
    opened.press("Escape")
    assert picked(opened) == [[], []]


def test_safe_colours_replace_red_and_green_everywhere(opened):
    opened.click_on("#safe")
    red, green, blue, cover = np.moveaxis(opened.canvas(), -1, 0)
    solid = cover > 0.99
    assert (solid & (blue > red + 0.15)).mean() > 0.04
    assert (solid & (green > red + 0.15) & (green > blue + 0.1)).mean() < 1e-4
    fills = opened.value("[...document.querySelectorAll('[data-score]')].map((e) => e.getAttribute('fill') ?? e.getAttribute('stroke'))")
    channels = [[int(colour[n : n + 2], 16) for n in (1, 3, 5)] for colour in fills]
    assert not [rgb for rgb in channels if rgb[1] > rgb[0] + 20 and rgb[1] > rgb[2] + 20]


def test_a_name_that_is_markup_is_shown_as_text(opened):
    assert opened.value("document.querySelector('h1').textContent") == NAMES
    assert opened.value("document.images.length") == 0
    assert opened.value("document.title") == f"{NAMES} - shapekit"


def test_nothing_is_wider_than_a_phone_and_dark_is_dark(browser, report):
    browser.open(report, width=390, height=800, scheme="dark")
    assert browser.value("document.documentElement.scrollWidth") <= 390
    assert browser.value("getComputedStyle(document.body).backgroundColor") == "rgb(21, 25, 28)"
    assert browser.complaints() == []


def test_without_scripts_the_page_is_still_read(browser, report):
    browser.open(report, scripts=False)
    try:
        tree = browser.call("DOM.getDocument", depth=-1)
        said = browser.call("DOM.getOuterHTML", nodeId=tree["root"]["nodeId"])["outerHTML"]
        assert 'data-viewer="' not in said
        shown = browser.value(
            "[...document.querySelectorAll('#profile svg, table#scores, svg.plot, svg.cut')].map((e) => e.getBoundingClientRect().height)"
        )
        assert len(shown) == 4
        assert min(shown) > 50
        assert browser.value("document.getElementById('stage').getBoundingClientRect().height") == 0
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)


def test_print_leaves_the_tools_out(opened):
    opened.call("Emulation.setEmulatedMedia", media="print")
    heights = "[...document.querySelectorAll({!r})].map((e) => e.getBoundingClientRect().height)"
    assert not any(opened.value(heights.format("#stage, .tools button, .aid")))
    assert min(opened.value(heights.format("#profile svg, #scores, svg.plot, svg.cut"))) > 50
    assert base64.b64decode(opened.call("Page.printToPDF", preferCSSPageSize=True)["data"]).startswith(b"%PDF")


def test_without_webgl_the_profile_stands_in_the_spines_place(report):
    with Chromium("--disable-3d-apis") as plain:
        plain.open(report)
        assert plain.value("document.body.dataset.viewer") == "none"
        assert plain.value("document.querySelector('#profile svg').getBoundingClientRect().height") > 200
        assert plain.value("document.getElementById('stage').hidden") is True
        plain.click_on(ROW.format(1) + " td")
        assert picked(plain)[0] == ["L3"]
        assert plain.complaints() == []


def test_a_notebooks_frame_paints_it_too(browser, crushed_result, tmp_path):
    page = tmp_path / "notebook.html"
    page.write_text(f"<!DOCTYPE html><body data-viewer='outside'>{crushed_result.show()._repr_html_()}", encoding="utf-8")
    browser.open(page)
    browser.value("new Promise((done) => setTimeout(done, 1500))")
    shot = np.asarray(Image.open(io.BytesIO(browser.screenshot()))) / 255.0
    red, green, blue = np.moveaxis(shot[:, : shot.shape[1] // 3, :3], -1, 0)
    assert ((green > red + 0.15) & (green > blue + 0.1)).mean() > 0.01
    assert browser.complaints() == []
