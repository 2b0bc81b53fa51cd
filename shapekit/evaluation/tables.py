"""Rows of many patients → the figures that are read, with intervals; as JSON, as text, and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shapekit.core.checks import MissingPackageError
from shapekit.evaluation.statistics import auc, bootstrap, macro_f1
from shapekit.phantom import VERSE_VALUES
from shapekit.pipeline import SCORED

NINETY_SD = 1.645
"""Half the width of the middle nine tenths of a normal distribution, in standard deviations."""
CONTEXTS = ("intact", "one_damaged", "both_damaged", "one_side")
Row = dict[str, object]
Figures = dict[str, object]


def summary(rows: Sequence[Row], *, draws: int = 300, against: str = "generative") -> dict[str, Figures]:
    """Work out every predictor's figures.

    Parameters
    ----------
    rows : sequence of dict
        Of ``judge_phantom``, any number of patients and predictors.
    draws : int
        Of the bootstrap over patients.
    against : str
        The predictor that the others are compared with, vertebra by vertebra; the last one where it was not judged.

    Returns
    -------
    dict
        For each predictor: counts; surface distance, Dice, turn and volume by context for healthy targets, and for fractured ones;
        of the ratios of expected to measured volume also the harmonic mean, which is 1 where the expected volume is the mean of what it
        may be (the arithmetic one is then above 1); mean scores by grade; the bias of fractured ones' scores by context; AUC of
        the scores, of the twins' and of the worst height losses against the expected bodies, macro-F1, errors
        against the twins, coverage and width of the intervals; and paired differences from ``against`` over the vertebrae both have scored
        (positive: more than it). A figure with an interval is a list of value, low, high (95 %).
    """
    names = [str(name) for name in dict.fromkeys(row["predictor"] for row in rows)]
    mine = {name: [row for row in rows if row["predictor"] == name] for name in names}
    rival = against if against in names else names[-1]
    return {name: _one(mine[name], draws) | _beside(mine[name], [] if name == rival else mine[rival], rival, draws) for name in names}


def _one(rows: Sequence[Row], draws: int) -> Figures:
    scored = [row for row in rows if row["status"] in SCORED]
    asked = [row for row in rows if row["status"] in (*SCORED, "no_context")]

    def column(name: str) -> NDArray[np.float64]:
        return np.array([row[name] for row in scored], dtype=np.float64)

    patient, grade, score, twin = column("patient"), column("grade"), column("score"), column("twin_score")
    surface, damaged, height_loss = column("surface_mm"), column("damaged"), column("height_loss")
    context = np.array([str(row["context"]) for row in scored])
    low, high = column("score_lo"), column("score_hi")
    healthy, any_, two = grade == 0, grade >= 1, grade >= 2
    level, ratio, sound = np.array([row["level"] for row in scored]), column("volume_ratio"), healthy & (column("loss") < 0.05)
    told = np.array([-1 if row["genant_grade"] is None else int(str(row["genant_grade"])) for row in scored])

    def mean(values: NDArray[np.float64], which: NDArray[np.bool_]) -> list[float]:
        if not which.any():
            return [float("nan")] * 3
        chosen = np.flatnonzero(which)
        return list(bootstrap(lambda n: float(values[chosen[n]].mean()), patient[chosen], draws=draws))

    def area(values: NDArray[np.float64], positive: NDArray[np.bool_], among: NDArray[np.bool_]) -> list[float]:
        chosen = np.flatnonzero(among)
        return list(bootstrap(lambda n: auc(values[chosen[n]], positive[chosen[n]]), patient[chosen], draws=draws))

    everyone = np.ones(len(scored), dtype=bool)
    beside = damaged > 0
    held = (low <= twin) & (twin <= high)
    stated = ~np.isnan(low)
    return {
        "vertebrae": len(scored),
        "patients": len(np.unique(patient)),
        "abstained": 1.0 - sum(row["status"] == "ok" for row in asked) / max(len(asked), 1),
        "surface_mm": {name: mean(surface, healthy & (context == name)) for name in CONTEXTS}
        | {"beside_damage": mean(surface, healthy & beside), "fractured": mean(surface, any_)},
        "surface_p95_mm": {name: _percentile(surface, healthy & (context == name)) for name in CONTEXTS} | {"fractured": _percentile(surface, any_)},
        "dice": {"healthy": mean(column("dice"), healthy), "fractured": mean(column("dice"), any_)},
        "turn_deg": {"healthy": mean(column("turn_deg"), healthy), "fractured": mean(column("turn_deg"), any_)},
        "volume_ratio_healthy": mean(ratio, sound),
        "volume_ratio_at": {str(name): _mean(ratio[sound & (level == str(name))]) for name in VERSE_VALUES},
        "harmonic_volume_ratio_healthy": [1.0 / value for value in np.array(mean(1.0 / ratio, sound))[[0, 2, 1]]],
        "harmonic_volume_ratio_at": {str(name): 1.0 / _mean(1.0 / ratio[sound & (level == str(name))]) for name in VERSE_VALUES},
        "score_by_grade": {
            str(g): [*mean(score, grade == g), float(score[grade == g].std()) if (grade == g).any() else float("nan")] for g in range(4)
        },
        "twin_score_by_grade": {str(g): mean(twin, grade == g) for g in range(4)},
        "score_bias": {name: mean(score - twin, any_ & (context == name)) for name in CONTEXTS} | {"all": mean(score - twin, any_)},
        "score_error": {"healthy": mean(np.abs(score - twin), healthy), "fractured": mean(np.abs(score - twin), any_)},
        "width_of_errors": float(2 * NINETY_SD * (score - twin).std()),
        "relative_loss_error": mean(np.abs(column("relative_loss") - column("twin_relative_loss")), everyone),
        "auc_any": area(score, any_, everyone),
        "auc_two": area(score, two, everyone),
        "auc_any_twin": auc(twin, any_),
        "auc_two_twin": auc(twin, two),
        "auc_any_by_height_loss": area(height_loss, any_, np.isfinite(height_loss)),
        "auc_two_by_height_loss": area(height_loss, two, np.isfinite(height_loss)),
        "auc_any_beside_fracture": area(score, any_, beside),
        "auc_any_isolated": area(score, any_, ~beside),
        "macro_f1": list(bootstrap(lambda n: macro_f1(told[n], grade[n].astype(int)), patient, draws=draws)),
        "coverage": {name: mean(held.astype(float), stated & (context == name)) for name in CONTEXTS} | {"all": mean(held.astype(float), stated)},
        "interval_width": float(np.median((high - low)[stated])) if stated.any() else float("nan"),
    }


def _beside(rows: Sequence[Row], others: Sequence[Row], rival: str, draws: int) -> Figures:
    """Paired differences from another predictor's rows, all NaN where there are none."""
    theirs = {(row["patient"], row["level"]): row for row in others if row["status"] in SCORED}
    pairs = [(row, theirs[key]) for row in rows if row["status"] in SCORED and (key := (row["patient"], row["level"])) in theirs]
    patient, grade = (np.array([row[name] for row, _ in pairs], dtype=int) for name in ("patient", "grade"))
    context = np.array([str(row["context"]) for row, _ in pairs])
    damaged = np.array([int(str(row["damaged"])) > 0 for row, _ in pairs], dtype=bool)

    def both(name: str) -> NDArray[np.float64]:
        return np.array([[one[name], other[name]] for one, other in pairs], dtype=np.float64).reshape(-1, 2)

    surface, score, twin = both("surface_mm"), both("score"), both("twin_score")
    error = np.abs(score - twin)

    def apart(values: NDArray[np.float64], which: NDArray[np.bool_]) -> list[float]:
        chosen = np.flatnonzero(which)
        return list(bootstrap(lambda n: float(np.diff(values[chosen[n]]).mean() * -1), patient[chosen], draws=draws))

    def areas(positive: NDArray[np.bool_]) -> list[float]:
        return list(bootstrap(lambda n: auc(score[n, 0], positive[n]) - auc(score[n, 1], positive[n]), patient, draws=draws))

    groups = {name: (grade == 0) & (context == name) for name in CONTEXTS} | {"beside_damage": (grade == 0) & damaged, "fractured": grade >= 1}
    return {
        f"surface_mm_beyond_{rival}": {name: apart(surface, which) for name, which in groups.items()},
        f"score_error_beyond_{rival}": {"healthy": apart(error, grade == 0), "fractured": apart(error, grade >= 1)},
        f"auc_any_beyond_{rival}": areas(grade >= 1),
        f"auc_two_beyond_{rival}": areas(grade >= 2),
    }


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _percentile(values: NDArray[np.float64], which: NDArray[np.bool_]) -> float:
    return float(np.percentile(values[which], 95)) if which.any() else float("nan")


def text_of(figures: dict[str, Figures]) -> str:
    """Lay figures out as a Markdown table: one column a predictor."""
    names = list(figures)
    lines = [f"| | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for label, place in _flat(figures[names[0]]):
        cells = []
        for name in names:
            value: object = figures[name]
            for key in place:
                value = value[key]  # type: ignore[index]
            cells.append(_shown(value))
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _flat(figures: Figures) -> list[tuple[str, tuple[str, ...]]]:
    places: list[tuple[str, tuple[str, ...]]] = []
    for name, value in figures.items():
        if isinstance(value, dict):
            places += [(f"{name.replace('_', ' ')}, {key.replace('_', ' ')}", (name, key)) for key in value]
        else:
            places.append((name.replace("_", " "), (name,)))
    return places


def _shown(value: object) -> str:
    if isinstance(value, list):
        middle, low, high = value[:3]
        if np.isnan(middle):
            return "–"
        spread = f" ± {value[3]:.1f}" if len(value) > 3 else ""
        digits = 3 if abs(middle) < 2 else 2
        return f"{middle:.{digits}f}{spread} ({low:.{digits}f}–{high:.{digits}f})"
    if isinstance(value, float):
        return "–" if np.isnan(value) else f"{value:.3f}"
    return str(value)


def check_figures() -> None:
    """Complain where figures cannot be drawn.

    Raises
    ------
    MissingPackageError
        Without matplotlib.
    """
    if find_spec("matplotlib") is None:
        raise MissingPackageError("the figure needs matplotlib; install it with `pip install shapekit[viz]`.")


def draw_figure(rows: Sequence[Row], path: str | Path) -> None:
    """Draw scores by grade and surface distance by context, a colour a predictor; PNG or SVG by the path's ending.

    Raises
    ------
    MissingPackageError
        Without matplotlib.
    """
    check_figures()
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(str(row["predictor"]) for row in rows))
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for n, name in enumerate(names):
        mine = [row for row in rows if row["predictor"] == name and row["status"] in SCORED]
        shift = (n - (len(names) - 1) / 2) * 0.8 / len(names)
        for axes, key, groups, column in ((left, "grade", range(4), "score"), (right, "context", CONTEXTS, "surface_mm")):
            values = [[float(str(row[column])) for row in mine if row[key] == group and (axes is left or row["grade"] == 0)] for group in groups]
            there = [(at, v) for at, v in enumerate(values) if v]
            drawn = axes.boxplot(
                [v for _, v in there], positions=[at + shift for at, _ in there], widths=0.7 / len(names), showfliers=False, patch_artist=True
            )
            for box in drawn["boxes"]:
                box.set_facecolor(f"C{n}")
                box.set_alpha(0.6)
            for line in drawn["medians"]:
                line.set_color("black")
        left.plot([], [], color=f"C{n}", linewidth=6, alpha=0.6, label=name)
    left.set(xlabel="true Genant grade", ylabel="score", xticks=range(4), xticklabels=range(4))
    right.set(xlabel="context of healthy targets", ylabel="expected to true surface (mm)", xticks=range(4), ylim=(0, None))
    right.set_xticklabels([name.replace("_", " ") for name in CONTEXTS])
    left.legend(frameon=False)
    figure.savefig(path, dpi=130)
