"""The page as text: what it holds, that it asks for nothing, and that what comes from outside stays text."""

import base64
import hashlib
import html
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from shapekit.core.values import Measures
from shapekit.pipeline import Scored
from shapekit.report import InlineReport, Subject, report_html
from shapekit.report.subject import ABNORMAL_SCORE, is_abnormal

MALICIOUS = "<img src=x onerror=alert(1)>\"'&</script>"


class Elements(HTMLParser):
    """Every element with its attributes, and the text of each kind."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.found, self.text, self.open = [], {}, []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in self.open:
            while self.open.pop() != tag:
                pass

    def handle_data(self, data):
        self.text.setdefault(self.open[-1] if self.open else "", []).append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture(scope="module")
def page(subject):
    return report_html(subject)


def test_the_policy_allows_the_pages_own_style_and_scripts_and_no_request(page):
    elements = Elements(page)
    (policy,) = (meta["content"] for meta in elements.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "http" not in policy
    runs = re.findall(r"<(script|style)>(.*?)</\1>", page, re.DOTALL)
    assert [kind for kind, _ in runs] == ["style", "script", "script"]
    for kind, text in runs:
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        (allowed,) = re.findall(rf"{kind}-src ([^;]*)", policy)
        assert f"'sha256-{digest}'" in allowed.split()
    for _, attributes in elements.found:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        assert attributes.get("src") is None
        assert attributes.get("href", "data:,") == "data:,"
    addresses = set(re.findall(r"https?://[^\s\"'<>]+", page))
    assert addresses <= {"http://www.w3.org/2000/svg"}


def test_every_text_from_outside_is_escaped(subject):
    row = replace(subject.scored[1].measures, reason=MALICIOUS, neighbours_used=MALICIOUS)
    page = report_html(Subject(MALICIOUS, (replace(subject.scored[1], measures=row),), (MALICIOUS,), {"scheme": MALICIOUS}))
    elements = Elements(page)
    assert not elements.all("img")
    assert len(elements.all("script")) == 4
    assert elements.text["h1"] == [MALICIOUS]
    assert elements.text["li"] == [MALICIOUS]
    assert any(MALICIOUS in text for text in elements.text["dd"])
    assert any(MALICIOUS in attributes["data-said"] for attributes in elements.all("tr") if "data-said" in attributes)


def test_the_table_holds_every_row_and_reads_without_a_script(page, subject):
    elements = Elements(page)
    rows = [attributes for attributes in elements.all("tr") if "data-row" in attributes]
    assert [row["data-row"] for row in rows] == ["0", "1", "2", "3"]
    assert [row.get("class") for row in rows] == [None, "abnormal", None, None]
    assert elements.text["caption"][0].startswith("One row a vertebra")
    heads = [attributes for attributes in elements.all("th") if attributes["scope"] == "col"]
    assert len(heads) == 11  # no interval, no column for it
    row = subject.scored[1].measures
    shown = html.unescape(page)
    assert f">{row.ha_mm:.1f} ({row.expected_ha_mm:.1f})</td>" in shown
    assert f'data-value="{row.score:.4f}"' in page
    assert "4 vertebrae scored, L2 to L5. Abnormal by score or height: L3 (" in page
    assert "not a medical device" in page


def test_intervals_get_a_column_when_there_are_any(subject):
    row = replace(subject.scored[1].measures, score_lo=61.2, score_hi=88.0)
    page = report_html(replace(subject, scored=(subject.scored[0], replace(subject.scored[1], measures=row))))
    assert "90 % interval" in page
    assert ">61 to 88</td>" in page
    assert "bars are 90 % intervals" in page


def test_a_loss_that_rounds_to_nothing_has_no_sign(subject):
    row = replace(subject.scored[1].measures, height_loss=-0.0002)
    page = report_html(replace(subject, scored=(subject.scored[0], replace(subject.scored[1], measures=row))))
    assert ">0.0</td>" in page
    assert ">-0.0</td>" not in page


def test_the_data_is_json_that_names_levels_scores_and_colours(page, subject):
    (text,) = re.findall(r'<script type="application/json" id="report-data">(.*?)</script>', page)
    told = json.loads(text)
    assert [one["level"] for one in told["vertebrae"]] == ["L2", "L3", "L4", "L5"]
    assert told["vertebrae"][1]["score"] == pytest.approx(subject.scored[1].measures.score, abs=1e-3)
    assert len(told["ramps"]["score"]) == len(told["ramps"]["safe"]) == 5


def test_a_spine_of_which_nothing_was_scored_has_a_report(subject):
    one = subject.scored[0]
    page = report_html(
        Subject(
            "none",
            (
                Scored(Measures("L1", 20, status="no_body", reason="no canal found")),
                Scored(Measures("L2", 21, status="partial"), one.body, one.frame),
            ),
        )
    )
    assert "No vertebra could be scored" in page
    assert "no body; no canal found" in page
    assert not re.search(r"\bnan\b", page[page.index("<h1>") : page.index('id="report-surfaces"')], re.IGNORECASE)
    assert "0 vertebrae" not in report_html(Subject("empty", ()))


def test_the_same_spine_gives_the_same_page(page, subject):
    assert report_html(subject) == page
    assert len(page.encode()) < 600_000


def test_a_notebook_frames_the_page_apart(crushed_result):
    page, shown = report_html(crushed_result._subject()), crushed_result.show()
    assert isinstance(shown, InlineReport)
    assert shown.page == page
    (frame,) = Elements(shown._repr_html_()).all("iframe")
    assert frame["srcdoc"] == page
    assert frame["sandbox"] == "allow-scripts"
    assert "MB of HTML" in repr(shown)


def test_abnormal_is_a_score_or_a_grade():
    assert ABNORMAL_SCORE == 20.0
    assert is_abnormal(Measures("L1", 20, score=20.0))
    assert is_abnormal(Measures("L1", 20, score=2.0, genant_grade=1))
    assert not is_abnormal(Measures("L1", 20, score=19.99, genant_grade=0))
    assert not is_abnormal(Measures("L1", 20, status="partial"))
