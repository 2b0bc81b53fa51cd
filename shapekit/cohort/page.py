"""``group_report.html``: one file without a script, readable without a network; every word from outside is escaped."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from urllib.parse import quote

from shapekit.cohort.plots import box_plot, grade_plot, height_plot
from shapekit.cohort.scans import Outcome
from shapekit.cohort.statistics import FAR, by_level, number, outliers
from shapekit.pipeline import SCORED
from shapekit.report.page import asset, digest
from shapekit.report.subject import ABNORMAL_SCORE

MOST = 100
"""Rows of a list on the page; the tables hold all of them."""

Row = Mapping[str, str]


def group_html(
    name: str,
    rows: Sequence[dict[str, str]],
    outcomes: Sequence[Outcome],
    *,
    notes: Iterable[str] = (),
    made_with: Sequence[Mapping[str, str]] = (),
    reports: Mapping[str, str] | None = None,
) -> str:
    """Write the report of a cohort.

    Parameters
    ----------
    name : str
        The data set's.
    rows : sequence of dict
        Of the group's table: text by column.
    outcomes : sequence of Outcome
        One a scan.
    notes : iterable of str
    made_with : sequence of mapping
        The ways in which scans were scored; one, as a rule.
    reports : mapping of str to str
        Address of a scan's own report, relative to the page's, by case.

    Returns
    -------
    str
        A whole HTML page, whose content security policy allows its own style and no request.
    """
    style, links = asset("page.css"), reports or {}
    scored = [row for row in rows if row["status"] in SCORED]
    policy = f"default-src 'none'; style-src {digest(style)}; img-src data:; base-uri 'none'; form-action 'none'"
    failures = [one for one in outcomes if one.status != "scored"]
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<title>{escape(name)} - shapekit cohort</title>
<style>{style}</style>
</head>
<body>
<main>
<header>
<p class="kicker">How far the vertebral bodies of a cohort depart from the shape they should have</p>
<h1>{escape(name)}</h1>
<p class="found">{escape(_found(scored, outcomes))}</p>
<dl class="facts">{_facts(outcomes, rows, made_with)}</dl>
</header>
<section>
<h2>Scores by level</h2>
<p class="quiet">Median, quartiles and the range from 5 to 95 %, and each vertebra beyond it; above, how many.</p>
{box_plot(by_level(scored, "score"))}
</section>
<section>
<h2>Genant grades by level</h2>
<p class="quiet">Shares of the scored vertebrae, by the worst height loss against the expected body.</p>
{grade_plot(scored)}
</section>
<section>
<h2>Heights by level</h2>
<p class="quiet">Medians of the actual heights (marks) with their quartiles, and of the expected ones (strokes).</p>
{height_plot(rows)}
</section>
<section>
<h2>Levels</h2>
<div class="scroller">{_levels(scored)}</div>
</section>
<section>
<h2>Outliers</h2>
{_outliers(rows, links)}
</section>
<section>
<h2>Scans without a score</h2>
{_failures(failures)}
</section>
<footer>
{_notes(notes)}
<p>Research software, not a medical device.</p>
</footer>
</main>
</body>
</html>
"""


def _found(scored: Sequence[Row], outcomes: Sequence[Outcome]) -> str:
    scans = sum(one.status == "scored" for one in outcomes)
    high = sum(number(row["score"]) >= ABNORMAL_SCORE for row in scored)
    left = len(outcomes) - scans
    missing = f" Without a score: {left}." if left else ""
    return f"{len(scored)} vertebrae of {scans} scans are scored, {high} of them {ABNORMAL_SCORE:.0f} or more.{missing}"


def _facts(outcomes: Sequence[Outcome], rows: Sequence[Row], made_with: Sequence[Mapping[str, str]]) -> str:
    statuses = Counter(row["status"] for row in rows)
    ways = [{key: way[key] for key in ("predictor", "preset", "bodies", "shapekit_version") if key in way} for way in made_with]
    facts = [
        ("participants", str(len({one.subject for one in outcomes}))),
        *((f"vertebrae {status}", str(count)) for status, count in sorted(statuses.items())),
        *((key.replace("_", " "), value) for way in ways for key, value in way.items()),
    ]
    return "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)


def _levels(scored: Sequence[dict[str, str]]) -> str:
    heads = (
        "Level",
        "Vertebrae",
        "Score, median",
        "quartiles",
        f"{ABNORMAL_SCORE:.0f} or more",
        "Grade 1",
        "Grade 2",
        "Grade 3",
        "Ha, mm",
        "Hm, mm",
        "Hp, mm",
    )
    medians = {name: {one.level: one.quantile(0.5) for one in by_level(scored, name)} for name in ("ha_mm", "hm_mm", "hp_mm")}
    body = []
    for one in by_level(scored, "score"):
        grades = Counter(row["genant_grade"] for row in scored if row["level"] == one.level)
        high = sum(value >= ABNORMAL_SCORE for value in one.values)
        cells = [str(len(one.values)), f"{one.quantile(0.5):.1f}", f"{one.quantile(0.25):.1f} to {one.quantile(0.75):.1f}", str(high)]
        cells += [str(grades[grade]) for grade in "123"]
        cells += [_short(medians[name].get(one.level, math.nan)) for name in medians]
        body.append((one.level, *cells))
    return _table(heads, body, "One row a level; heights are medians of the actual bodies.")


def _outliers(rows: Sequence[dict[str, str]], links: Mapping[str, str]) -> str:
    found = outliers(rows)
    if not found:
        return "<p>No vertebra lies far from the others of its level.</p>"
    heads = ("Scan", "Level", "Measure", "Value", "Level's median", "z", "Score", "Status")
    known = {(row["case"], row["level"]): row for row in rows}
    body = []
    for one in found[:MOST]:
        row = known[one.case, one.level]
        cells = (one.level, one.measure, _short(one.value), _short(one.median), f"{one.z:+.1f}", _short(number(row["score"])), row["status"])
        body.append((one.case, *cells))
    said = f"Modified z-scores beyond {FAR} within a level: a fracture, an unusual shape, or a mask gone wrong.{_more(len(found))}"
    return f'<div class="scroller">{_table(heads, body, said, links)}</div>'


def _failures(failures: Sequence[Outcome]) -> str:
    if not failures:
        return "<p>None.</p>"
    body = [(one.case, one.status, one.reason) for one in failures[:MOST]]
    said = f"failures.tsv lists them all ({len(failures)}).{_more(len(failures))}"
    return f'<div class="scroller">{_table(("Scan", "Status", "Reason"), body, said)}</div>'


def _more(count: int) -> str:
    return f" The first {MOST} of {count}." if count > MOST else ""


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], caption: str, links: Mapping[str, str] | None = None) -> str:
    head = "".join(f'<th scope="col"{_kind(title)}>{escape(title)}</th>' for title in heads)
    body = []
    for first, *cells in rows:
        address = (links or {}).get(first, "")
        shown = f'<a href="{escape(quote(address))}">{escape(first)}</a>' if address else escape(first)
        rest = "".join(f"<td{_kind(title)}>{escape(cell)}</td>" for title, cell in zip(heads[1:], cells, strict=True))
        body.append(f'<tr><th scope="row">{shown}</th>{rest}</tr>')
    return f"<table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def _kind(title: str) -> str:
    words = {"Level": "words", "Scan": "words", "Measure": "words", "Status": "words", "Reason": "words remark"}
    return f' class="{words[title]}"' if title in words else ""


def _notes(notes: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f"<p>How the data set was understood:</p><ul>{items}</ul>" if items else ""


def _short(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.0f}" if abs(value) >= 1000 else f"{value:.1f}"
