"""Rows of scores and grades → what a paper reports: means with tests, AUC and F1 with intervals over patients, by grade, level and type."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shapekit.core.levels import Level
from shapekit.evaluation import auc, bootstrap, macro_f1
from shapekit.pipeline import SCORED

if TYPE_CHECKING:
    import pandas

Figures = dict[str, Any]

PAPER: dict[str, dict[str, Any]] = {
    "internal": {"fractured": (59.9, 24.8), "normal": (10.1, 6.9), "p": "< 0.001"},
    "external": {"fractured": (75.1, 32.6), "normal": (5.6, 7.9), "p": "< 0.001"},
}
"""Botros et al. (2022): mean and SD of the scores; 115 CTs with 10 % of them as internal test, and 20 external CTs."""
CUT_OFFS = (20.2, 27.1, 64.6)
"""Scores from which a vertebra reads as grade 1, 2, 3: the paper's first implementation (0.303, 0.407, 0.969 before division by 1.5 mm)."""
ORDER = tuple(str(level) for level in Level)


def graded(rows: pandas.DataFrame) -> pandas.DataFrame:
    """Keep the rows that have a score and a grade."""
    return rows[rows["status"].isin(SCORED) & rows["grade"].notna() & rows["score"].notna()].reset_index(drop=True)


def compare(fractured: ArrayLike, normal: ArrayLike) -> Figures:
    """Hold fractured against normal scores: mean ± SD of each, and two tests of their difference.

    Parameters
    ----------
    fractured, normal : (n,), (m,) float
        Scores.

    Returns
    -------
    dict
        ``fractured`` and ``normal`` (each n, mean, sd: the sample's, with n - 1), ``mann_whitney_p`` (two-sided; Mann and Whitney 1947) and
        ``welch_p`` (two-sided; Welch 1947). NaN where there are too few. Both tests take vertebrae as independent, which those of one
        patient are not; see the interval over patients that :func:`summarise` sets beside them.

    Examples
    --------
    >>> told = compare([50.0, 60.0, 70.0], [5.0, 10.0, 15.0])
    >>> told["fractured"], round(told["mann_whitney_p"], 3), told["welch_p"] < 0.01
    ({'n': 3, 'mean': 60.0, 'sd': 10.0}, 0.1, True)
    """
    from scipy.stats import mannwhitneyu, ttest_ind_from_stats

    one, other = np.asarray(fractured, dtype=np.float64), np.asarray(normal, dtype=np.float64)
    told: Figures = {"fractured": _moments(one), "normal": _moments(other), "mann_whitney_p": math.nan, "welch_p": math.nan}
    if len(one) and len(other):
        told["mann_whitney_p"] = float(mannwhitneyu(one, other, alternative="two-sided").pvalue)
    if len(one) > 1 and len(other) > 1 and one.std() + other.std() > 0:
        sides = [told[side][name] for side in ("fractured", "normal") for name in ("mean", "sd", "n")]
        told["welch_p"] = float(ttest_ind_from_stats(*sides, equal_var=False).pvalue)
    return told


def summarise(rows: pandas.DataFrame, *, beside: bool = False, draws: int = 500) -> Figures:
    """Work out one set's figures.

    Parameters
    ----------
    rows : DataFrame
        Of ``shapekit.study.scans.keep_rows``; those without a score or a grade are counted and passed by.
    beside : bool
        Whether fractured vertebrae are held against their direct neighbours graded 0 (the paper's external comparison) instead of all graded 0.
    draws : int
        Of the bootstrap over patients.

    Returns
    -------
    dict
        Counts; :func:`compare`; ``difference`` of the means, ``auc_any``, ``auc_two``, ``macro_f1_score`` (``CUT_OFFS``) and
        ``macro_f1_heights`` (Genant grade from heights), each as value, low, high (95 %, patients drawn again); tables ``by_grade``,
        ``by_level`` and ``by_type``. AUC and F1 are over all graded vertebrae.
    """
    known = graded(rows)
    score, grade, owner = known["score"].to_numpy(np.float64), known["grade"].to_numpy(int), known["subject"].to_numpy(str)
    normal = (grade == 0) & (known["beside_fracture"].to_numpy(bool) if beside else True)
    compared = np.flatnonzero((grade > 0) | normal)
    heights = known["genant_grade"].to_numpy(np.float64, na_value=-1).astype(int)
    read = np.searchsorted(CUT_OFFS, score, side="right")

    def interval(figure: Callable[[NDArray[np.integer]], float], among: NDArray[np.integer]) -> list[float]:
        return list(bootstrap(lambda n: figure(among[n]), owner[among], draws=draws))

    def difference(n: NDArray[np.integer]) -> float:
        broken = grade[n] > 0
        return float(score[n][broken].mean() - score[n][~broken].mean()) if broken.any() and not broken.all() else math.nan

    everyone = np.arange(len(known))
    return {
        "scans": int(rows["case"].nunique()),
        "patients": int(rows["subject"].nunique()),
        "vertebrae": len(known),
        "ungraded": int(rows["grade"].isna().sum()),
        "graded_without_score": int((rows["grade"].notna() & ~rows["status"].isin(SCORED)).sum()),
        **compare(score[grade > 0], score[normal]),
        "difference": interval(difference, compared),
        "auc_any": interval(lambda n: auc(score[n], grade[n] >= 1), everyone),
        "auc_two": interval(lambda n: auc(score[n], grade[n] >= 2), everyone),
        "macro_f1_score": interval(lambda n: macro_f1(read[n], grade[n]), everyone),
        "macro_f1_heights": interval(lambda n: macro_f1(heights[n], grade[n]), everyone),
        "by_grade": {str(g): _moments(score[grade == g]) for g in range(4)},
        "by_level": _divided(known["level"].to_numpy(str), score, grade, ORDER),
        "by_type": {
            kind: _moments(score[(known["type"] == kind) & (grade > 0)]) | {"auc": auc(score[which], grade[which] > 0)}
            for kind in ("wedge", "biconcave", "crush")
            if (which := ((grade == 0) | (known["type"] == kind)).to_numpy(bool)).any() and ((known["type"] == kind) & (grade > 0)).any()
        },
    }


def _divided(groups: NDArray[np.str_], score: NDArray[np.float64], grade: NDArray[np.integer], order: Sequence[str]) -> dict[str, Figures]:
    found = {}
    for name in order:
        which = groups == name
        if which.any():
            broken = grade[which] > 0
            parts = {"fractured": _moments(score[which][broken]), "normal": _moments(score[which][~broken])}
            found[name] = parts | {"auc": auc(score[which], broken)}
    return found


def _moments(values: NDArray[np.float64]) -> Figures:
    n = len(values)
    return {"n": n, "mean": float(values.mean()) if n else math.nan, "sd": float(values.std(ddof=1)) if n > 1 else math.nan}


def text_of(findings: Figures) -> str:
    """Lay findings out as Markdown, the paper's numbers in the last column.

    Parameters
    ----------
    findings : dict
        Set → what :func:`summarise` returned.
    """
    parts = []
    for name, told in findings.items():
        paper = PAPER.get(name, {})
        against = "normal beside a fracture" if name == "external" else "normal"
        lines = [f"### {name.capitalize()} set", "", "| | here | Botros et al. 2022 |", "|---|---|---|"]
        lines += [
            f"| scans, patients | {told['scans']}, {told['patients']} | |",
            f"| vertebrae with grade and score | {told['vertebrae']} | |",
            f"| graded, without a score | {told['graded_without_score']} | |",
            f"| fractured, score | {_spread(told['fractured'])} | {_paper(paper.get('fractured'))} |",
            f"| {against}, score | {_spread(told['normal'])} | {_paper(paper.get('normal'))} |",
            f"| difference of the means | {_between(told['difference'], 1)} | |",
            f"| Mann-Whitney p | {_p(told['mann_whitney_p'])} | {paper.get('p', '')} (test not stated) |",
            f"| Welch p | {_p(told['welch_p'])} | |",
            f"| AUC, any fracture | {_between(told['auc_any'], 3)} | |",
            f"| AUC, grade 2 or 3 | {_between(told['auc_two'], 3)} | |",
            f"| macro-F1, grades from the score's cut-offs | {_between(told['macro_f1_score'], 3)} | |",
            f"| macro-F1, grades from heights | {_between(told['macro_f1_heights'], 3)} | |",
        ]
        lines += ["", "| grade | score |", "|---|---|", *(f"| {grade} | {_spread(row)} |" for grade, row in told["by_grade"].items())]
        lines += ["", "| type | score | AUC against normal |", "|---|---|---|"]
        lines += [f"| {kind} | {_spread(row)} | {_number(row['auc'], 3)} |" for kind, row in told["by_type"].items()] or ["| – | – | – |"]
        lines += ["", "| level | fractured | normal | AUC |", "|---|---|---|---|"]
        lines += [
            f"| {level} | {_spread(row['fractured'])} | {_spread(row['normal'])} | {_number(row['auc'], 3)} |"
            for level, row in told["by_level"].items()
        ]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _number(value: float, digits: int) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def _spread(row: Figures) -> str:
    return f"{_number(row['mean'], 1)} ± {_number(row['sd'], 1)} (n = {row['n']})" if row["n"] else "–"


def _between(value: Sequence[float], digits: int) -> str:
    return "–" if math.isnan(value[0]) else f"{value[0]:.{digits}f} ({_number(value[1], digits)} to {_number(value[2], digits)})"


def _paper(pair: tuple[float, float] | None) -> str:
    return f"{pair[0]} ± {pair[1]}" if pair else ""


def _p(value: float) -> str:
    return "–" if math.isnan(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"
