"""``report.html``: one file, readable without a network, without JavaScript and without WebGL."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from string import Template

from shapekit.core.values import Measures
from shapekit.report.colours import DEFICIT, DEFICIT_LIMIT_MM, SCORE, SCORE_SAFE, UNSCORED, score_colour
from shapekit.report.payload import pack_surfaces
from shapekit.report.plots import cut_svg, level_plot, profile_svg, ramp_svg
from shapekit.report.subject import ABNORMAL_SCORE, Subject, is_abnormal
from shapekit.version import __version__

HEADINGS = (
    ("Level", "words"),
    ("Score", ""),
    ("90 % interval", ""),
    ("Relative loss, %", ""),
    ("Height loss, %", ""),
    ("Grade", "words"),
    ("Ha, mm", ""),
    ("Hm, mm", ""),
    ("Hp, mm", ""),
    ("Distance, mm", ""),
    ("Neighbours", "words"),
    ("Status and remarks", "words"),
)
INTERVAL = 2
"""The interval's column, which is left out where no row has one."""


def report_html(subject: Subject) -> str:
    """Write the report of one scored spine.

    Parameters
    ----------
    subject : Subject

    Returns
    -------
    str
        A whole HTML page. Its content security policy allows its own style and scripts, by their digests, and no request at all; every text that
        comes from outside (the case's name, notes) is escaped.
    """
    style, viewer, script = (asset(name) for name in ("page.css", "viewer.js", "page.js"))
    vertebrae, surfaces = pack_surfaces(subject)
    rows = [one.measures for one in subject.scored]
    told = {
        "vertebrae": vertebrae,
        "ramps": {"score": SCORE, "safe": SCORE_SAFE, "deficit": DEFICIT, "unscored": UNSCORED},
        "deficit_limit_mm": DEFICIT_LIMIT_MM,
    }
    policy = (
        f"default-src 'none'; script-src {digest(viewer)} {digest(script)}; style-src {digest(style)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    cuts = [(n, one) for n, one in enumerate(subject.scored) if is_abnormal(one.measures)]
    limit = f"{DEFICIT_LIMIT_MM:.0f}"
    steps = ("0", "25", "50", "75", "100")
    return Template(asset("template.html")).substitute(
        policy=policy,
        style=style,
        name=escape(subject.name),
        found=escape(_found(rows)),
        facts=_facts(subject),
        profile=profile_svg(subject),
        legend_score=ramp_svg(SCORE, steps, "Score"),
        legend_safe=ramp_svg(SCORE_SAFE, steps, "Score"),
        legend_deficit=ramp_svg(DEFICIT, (f"{limit} mm too much", "0", f"{limit} mm missing"), "Deficit"),
        table=_table(rows),
        plot=level_plot(subject),
        plot_note=escape(_plot_note(rows)),
        cuts="".join(
            f'<figure class="cutout" data-row="{n}">{cut_svg(one)}<figcaption>{_caption(one.measures)}</figcaption></figure>' for n, one in cuts
        ),
        cuts_note=escape(
            f"Those that score {ABNORMAL_SCORE:.0f} or more, or whose height loss reaches Genant grade 1. Dashed: the expected outline; what the "
            "actual body lacks of it is tinted. Anterior (A) is to the left."
            if cuts
            else f"None scores {ABNORMAL_SCORE:.0f} or more or has a height loss of Genant grade 1."
        ),
        notes=_notes(subject.notes),
        data=json.dumps(told, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"),
        surfaces=surfaces,
        viewer=viewer,
        script=script,
    )


@dataclass(frozen=True)
class InlineReport:
    """A report that a notebook shows in place: the last value of a cell.

    Parameters
    ----------
    page : str
        The report's HTML.
    height_px : int
        Of its frame.
    """

    page: str
    height_px: int = 860

    def _repr_html_(self) -> str:
        """Frame without leave to touch the notebook around it."""
        return (
            f'<iframe srcdoc="{escape(self.page)}" sandbox="allow-scripts" allow="clipboard-write" title="shapekit report" '
            f'width="100%" height="{self.height_px}" frameborder="0"></iframe>'
        )

    def __repr__(self) -> str:
        return f"<InlineReport: {len(self.page) / 1e6:.1f} MB of HTML; a notebook shows it>"


def asset(name: str) -> str:
    """Return a file of the report's own: its style, its template, its scripts."""
    return (files("shapekit.report") / name).read_text(encoding="utf-8")


def digest(text: str) -> str:
    """Return the word by which a content security policy allows a style or script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _found(rows: list[Measures]) -> str:
    """Say in one sentence what came out."""
    scored = [row for row in rows if math.isfinite(row.score)]
    if not scored:
        return "No vertebra could be scored; the table says why."
    worst = sorted((row for row in scored if is_abnormal(row)), key=lambda row: -row.score)
    told = ", ".join(f"{row.level} ({row.score:.0f})" for row in worst)
    range_ = scored[0].level if len(scored) == 1 else f"{scored[0].level} to {scored[-1].level}"
    count = f"{len(scored)} vertebra{'' if len(scored) == 1 else 'e'} scored, {range_}."
    left_out = f" {len(rows) - len(scored)} could not be scored." if len(rows) > len(scored) else ""
    return f"{count} {'Abnormal by score or height: ' + told + '.' if worst else 'None is abnormal by score or height.'}{left_out}"


def _facts(subject: Subject) -> str:
    weights = sorted({one.measures.weights_id for one in subject.scored} - {""})
    facts = [*subject.options.items(), *([("weights", ", ".join(weights))] if weights else []), ("shapekit", __version__)]
    return "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(str(value))}</dd></div>" for name, value in facts)


def _notes(notes: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f"<p>How the input was understood:</p><ul>{items}</ul>" if items else ""


def _plot_note(rows: list[Measures]) -> str:
    bars = "The bars are 90 % intervals." if any(math.isfinite(row.score_lo) for row in rows) else "This predictor states no interval."
    return f"Above, the score of each level. Below, the heights that were measured (marks) and expected (strokes). {bars}"


def _table(rows: list[Measures]) -> str:
    shown = [n for n in range(len(HEADINGS)) if n != INTERVAL or any(_interval(row) for row in rows)]
    heads = "".join(f'<th scope="col" class="{HEADINGS[n][1]}"><button type="button">{escape(HEADINGS[n][0])}</button></th>' for n in shown)
    body = "".join(_row(n, row, shown) for n, row in enumerate(rows))
    return (
        '<table id="scores"><caption>One row a vertebra; expected heights in brackets. A heading sorts; a row marks its body in the spine.</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
    )


def _interval(row: Measures) -> str:
    return f"{row.score_lo:.0f} to {row.score_hi:.0f}" if math.isfinite(row.score_lo) and math.isfinite(row.score_hi) else ""


def _row(n: int, row: Measures, shown: list[int]) -> str:
    colour = score_colour(row.score)
    square = f'<rect width="10" height="10" rx="2" fill="{colour}" data-score="{_plain(row.score)}"/>'
    chip = f'<svg class="chip" viewBox="0 0 10 10" aria-hidden="true">{square}</svg>'
    remark = "; ".join(filter(None, ("" if row.status == "ok" else row.status.replace("_", " "), row.reason)))
    grade = "" if row.genant_grade is None else str(row.genant_grade)
    cells = [
        (_plain(row.score), _shown(row.score), ""),
        (_plain(row.score_lo), _interval(row), ""),
        (_plain(100 * row.relative_loss), _shown(100 * row.relative_loss), ""),
        (_plain(100 * row.height_loss), _shown(100 * row.height_loss), ""),
        (grade, f"{grade} {row.deformity}".strip(), "words"),
        *((_plain(getattr(row, name)), _beside(getattr(row, name), getattr(row, f"expected_{name}")), "") for name in ("ha_mm", "hm_mm", "hp_mm")),
        (_plain(row.surface_distance_mm), _shown(row.surface_distance_mm, 2), ""),
        (row.neighbours_used, row.neighbours_used, "words company"),
        (remark, remark or "ok", "words remark"),
    ]
    written = "".join(
        f'<td class="{kind}" data-value="{escape(value)}" data-text="{escape(text)}">{escape(text)}</td>'
        for value, text, kind in (cells[column - 1] for column in shown[1:])
    )
    said = f"{row.level}: " + (f"score {row.score:.1f}" if math.isfinite(row.score) else "not scored") + (f", {remark}" if remark else "")
    level = escape(row.level)
    button = f'<button type="button" aria-pressed="false">{level}</button>'
    return (
        f'<tr data-row="{n}" data-said="{escape(said)}"{" class=abnormal" if is_abnormal(row) else ""}>'
        f'<th scope="row" data-value="{n:03d}" data-text="{level}">{chip}{button}</th>{written}</tr>'
    )


def _plain(value: float) -> str:
    return "" if math.isnan(value) else f"{value:z.4f}"


def _shown(value: float, digits: int = 1) -> str:
    return "" if math.isnan(value) else f"{value:z.{digits}f}"


def _beside(value: float, expected: float) -> str:
    return _shown(value) + (f" ({expected:.1f})" if math.isfinite(expected) else "")


def _caption(row: Measures) -> str:
    grade = f", grade {row.genant_grade}" if row.genant_grade else ""
    kind = f", {row.deformity}" if row.deformity else ""
    return escape(f"{row.level}: score {row.score:.0f}{grade}{kind}")
