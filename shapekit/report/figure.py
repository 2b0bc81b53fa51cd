"""Figures for papers, by matplotlib and without a display: a whole spine, one vertebra's card, and a cohort's scores by group."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shapekit.core.checks import InputError, MissingPackageError, OutputError, UsageError
from shapekit.core.frame import Frame
from shapekit.core.values import Mesh
from shapekit.pipeline import Scored
from shapekit.report.colours import DEFICIT, DEFICIT_LIMIT_MM, SCORE, score_colour
from shapekit.report.raster import Layer, render
from shapekit.report.shapes import actual_surface, expected_surface, midsagittal_outline
from shapekit.report.subject import Subject

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Float = NDArray[np.float64]

FORMATS = (".png", ".svg", ".pdf")
FINE_MM = 1.0
"""Lattice of a single vertebra's surfaces."""
SHELL, BONE, LOST = "#5f7f9f", "#cfc6b2", "#e7b3a2"
OBLIQUE = (0.95, 0.22)
"""Turn from the front towards the left side and lift, radians: how a single vertebra is seen."""
DPI = 200
SPINE_PIXELS, CARD_PIXELS = 4.0, 10.0
"""Pixels a mm of the pictures of bodies."""


def draw_spine(subject: Subject) -> Figure:
    """Draw a spine from the left and from the front, bodies in their scores' colours, with the scores beside them.

    Parameters
    ----------
    subject : Subject

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If no vertebra has a body.
    MissingPackageError
        Without matplotlib.
    """
    surfaces = [(one, mesh) for one in subject.scored if (mesh := actual_surface(one)) is not None]
    if not surfaces:
        raise InputError(f"{subject.name} has no body to draw; its table says why.")
    points = np.concatenate([mesh.vertices for _, mesh in surfaces])
    middle, extent = (points.min(axis=0) + points.max(axis=0)) / 2, np.ptp(points, axis=0)
    layers = [Layer(mesh.vertices - middle, mesh.faces, _rgb(score_colour(one.measures.score))) for one, mesh in surfaces]
    shells = filter(None, (expected_surface(one) for one, _ in surfaces))
    layers += [Layer(deficit.mesh.vertices - middle, deficit.mesh.faces, _rgb(SHELL), glass=True) for deficit in shells]
    widths = (extent[1] + 42.0, extent[0] + 14.0)
    tall = extent[2] + 10.0
    mm = 7.6 / tall
    figure = _figure(sum(widths) * mm + 0.9, 8.2)
    for n, (turn, name) in enumerate(((math.pi / 2, "left"), (0.0, "front"))):
        width = widths[n] * mm / (sum(widths) * mm + 0.9)
        axes = figure.add_axes((0.01 + (widths[0] * mm / (sum(widths) * mm + 0.9)) * n, 0.02, width, 7.6 / 8.2))
        camera = _camera(turn, 0.0)
        _look(axes, layers, camera, SPINE_PIXELS)
        for one, mesh in surfaces:
            if n == 0:
                place = (mesh.vertices - middle) @ camera
                score = "" if math.isnan(one.measures.score) else f"  {one.measures.score:.0f}"
                axes.text(place[:, 0].min() - 5, place[:, 1].mean(), one.measures.level + score, ha="right", va="center", fontsize=8)
        side = extent[1] / 2 if n == 0 else extent[0] / 2
        axes.set_xlim(-side - (36.0 if n == 0 else 7.0), side + (6.0 if n == 0 else 7.0))
        axes.set_ylim(-tall / 2, tall / 2)
        axes.set_title(f"from the {name}", fontsize=8, color="#555555")
    bar = figure.add_axes((1 - 0.62 / (sum(widths) * mm + 0.9), 0.12, 0.012, 0.3))
    _bar(bar, SCORE, 0.0, 100.0, "score")
    return figure


def draw_vertebra(one: Scored) -> Figure:
    """Draw one vertebra's card: the body within the expected one, where bone is missing, and the cut through the middle.

    Parameters
    ----------
    one : Scored

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If nothing was expected of the vertebra.
    MissingPackageError
        Without matplotlib.
    """
    row, mesh, deficit = one.measures, actual_surface(one, FINE_MM), expected_surface(one, FINE_MM)
    if mesh is None or deficit is None or one.expected is None or one.actual is None:
        raise InputError(f"{row.level} has no expected shape to draw: {row.reason or row.status}.")
    frame = one.expected.frame
    figure = _figure(9.0, 3.3)
    figure.suptitle(_headline(one), x=0.02, ha="left", fontsize=10, fontweight="bold")
    camera = _camera(*OBLIQUE)
    cells = [figure.add_axes((x, 0.03, 0.29, 0.76)) for x in (0.01, 0.31, 0.70)]
    _look(cells[0], _layers(one, mesh, deficit.mesh), camera, CARD_PIXELS)
    shades = _ramp_rgb(DEFICIT, 0.5 + deficit.along_si_mm / (2 * DEFICIT_LIMIT_MM))
    _look(cells[1], [Layer(frame.to_local(deficit.mesh.vertices), deficit.mesh.faces, shades)], camera, CARD_PIXELS)
    _cut(cells[2], one, frame)
    _window(cells)
    for x, name in ((0.155, "actual in expected"), (0.455, "missing along SI"), (0.845, "mid-sagittal, anterior left")):
        figure.text(x, 0.83, name, fontsize=8, color="#555555", ha="center")
    bar = figure.add_axes((0.625, 0.2, 0.012, 0.5))
    _bar(bar, DEFICIT, -DEFICIT_LIMIT_MM, DEFICIT_LIMIT_MM, "missing, mm")
    return figure


def draw_scores(groups: Mapping[str, Sequence[float]], examples: Sequence[Scored] = (), *, group_name: str = "grade") -> Figure:
    """Draw a cohort as Botros et al. (2022) do in their Figure 2: scores by group, and example vertebrae from green to red.

    Parameters
    ----------
    groups : mapping of sequences of float
        Scores (0-100) by grade or status, in the order to be drawn; NaNs are left out.
    examples : sequence of Scored
        Vertebrae with an expected shape; they are drawn by rising score.
    group_name : str
        What the groups are.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If there are no groups, or an example has no expected shape.
    MissingPackageError
        Without matplotlib.

    Examples
    --------
    >>> figure = draw_scores({"0": [1.0, 3.0, 2.0], "1": [30.0, 24.0], "2": [55.0]})
    >>> [label.get_text().split()[0] for label in figure.axes[0].get_xticklabels()]
    ['0', '1', '2']
    """
    if not groups:
        raise InputError("there are no groups to draw; give scores by grade or status.")
    figure = _figure(max(4.2, 1.15 * max(len(groups), len(examples))), 5.4 if examples else 3.6)
    axes = figure.add_axes((0.11, 0.47, 0.86, 0.5) if examples else (0.11, 0.15, 0.86, 0.8))
    for place, scores in enumerate(groups.values()):
        known = np.array([score for score in scores if math.isfinite(score)])
        if len(known) > 1:
            whiskers, ink = {"linewidth": 0.8}, {"color": "#444444", "linewidth": 0.8}
            axes.boxplot(known, positions=[place], widths=0.5, showfliers=False, boxprops=ink, whiskerprops=ink, capprops=whiskers, medianprops=ink)
        aside = ((np.arange(len(known)) * 0.618034 + 0.5) % 1.0 - 0.5) * 0.34  # spread evenly, the same every time
        axes.scatter(place + aside, known, s=13, c=[score_colour(score) for score in known], linewidths=0, zorder=3)
    axes.set_xticks(range(len(groups)), [f"{name}\n(n = {sum(map(math.isfinite, scores))})" for name, scores in groups.items()], fontsize=8)
    axes.set_xlim(-0.6, len(groups) - 0.4)
    axes.set_ylim(-3, 103)
    axes.set_xlabel(group_name, fontsize=9)
    axes.set_ylabel("score", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    ordered, cells = sorted(examples, key=lambda one: one.measures.score), []
    for n, one in enumerate(ordered):
        mesh, deficit = actual_surface(one, FINE_MM), expected_surface(one, FINE_MM)
        if mesh is None or deficit is None:
            raise InputError(f"{one.measures.level} has no expected shape to draw: {one.measures.reason or one.measures.status}.")
        left, width = 0.02 + 0.96 * n / len(ordered), 0.96 / len(ordered) - 0.01
        cells.append(figure.add_axes((left, 0.01, width, 0.27)))
        _look(cells[-1], _layers(one, mesh, deficit.mesh), _camera(*OBLIQUE), CARD_PIXELS)
        figure.text(left + width / 2, 0.27, f"{one.measures.level}: {one.measures.score:.0f}", fontsize=9, ha="center")
    if cells:
        _window(cells)
    return figure


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write a figure as PNG, SVG or PDF; it appears complete or not at all, and is the same every time.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : path
        Its suffix says the format.

    Returns
    -------
    Path

    Raises
    ------
    UsageError
        For another suffix.
    OutputError
        If the file cannot be written.
    """
    import matplotlib as mpl

    path = Path(path)
    kind = path.suffix.lower()
    if kind not in FORMATS:
        raise UsageError(f"{path.name} ends in {kind or 'nothing'}, but a figure is written as one of: {', '.join(FORMATS)}.")
    about = {".png": {"Software": None}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}[kind]
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".part-") as staged, mpl.rc_context({"svg.hashsalt": "shapekit"}):
            figure.savefig(Path(staged) / path.name, dpi=DPI, metadata=about)
            (Path(staged) / path.name).replace(path)
    except OSError as error:
        raise OutputError(f"{path.name} cannot be written ({error.strerror or error}); choose a folder that you may write.") from error
    return path


def _figure(width_in: float, height_in: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPackageError("figures need matplotlib, which is not installed; pip install 'shapekit[viz]'.") from error
    return Figure(figsize=(width_in, height_in), facecolor="white", dpi=DPI)


def _headline(one: Scored) -> str:
    row = one.measures
    grade = f", Genant grade {row.genant_grade}" if row.genant_grade else ""
    kind = f" ({row.deformity})" if row.deformity else ""
    return f"{row.level}: score {row.score:.0f}, relative loss {row.relative_loss:.0%}, height loss {row.height_loss:z.0%}{grade}{kind}"


def _camera(turn: float, lift: float) -> Float:
    """Columns: right and up on the page, and towards the eye; from the front at turn 0, from the left at a quarter."""
    s, c, sl, cl = math.sin(turn), math.cos(turn), math.sin(lift), math.cos(lift)
    return np.array([[-c, -s, 0.0], [s * sl, -c * sl, cl], [-s * cl, c * cl, sl]]).T


def _layers(one: Scored, actual: Mesh, expected: Mesh) -> list[Layer]:
    """Lay a body and the glass of its expected shape out in the expected body's frame."""
    assert one.expected is not None
    local = one.expected.frame.to_local
    return [
        Layer(local(actual.vertices), actual.faces, _rgb(score_colour(one.measures.score))),
        Layer(local(expected.vertices), expected.faces, _rgb(SHELL), glass=True),
    ]


def _look(axes: Axes, layers: Sequence[Layer], camera: Float, pixels_per_mm: float) -> None:
    picture, extent = render(layers, camera, pixels_per_mm)
    axes.imshow(picture, extent=extent, origin="lower", interpolation="antialiased")
    _bare(axes)


def _window(cells: Sequence[Axes]) -> None:
    """Give all the same millimetres, so that what they show compares."""
    limits = [(axes.get_xlim(), axes.get_ylim()) for axes in cells]
    half = [max((pair[side][1] - pair[side][0]) / 2 for pair in limits) for side in range(2)]
    for axes, pair in zip(cells, limits, strict=True):
        (x, y) = (sum(side) / 2 for side in pair)
        axes.set(xlim=(x - half[0], x + half[0]), ylim=(y - half[1], y + half[1]))


def _cut(axes: Axes, one: Scored, frame: Frame) -> None:
    """Draw the mid-sagittal cut, anterior to the left, with a scale."""
    assert one.expected is not None
    assert one.actual is not None
    should, real = (midsagittal_outline(sdf, frame) for sdf in (one.expected.sdf, one.actual))
    for lines, face, edge, dash in ((should, LOST, "none", "-"), (real, BONE, "#222222", "-"), (should, "none", "#222222", (0, (4, 2.5)))):
        for line in lines:
            axes.fill(-line[:, 0], line[:, 1], facecolor=face, edgecolor=edge, linewidth=1.0, linestyle=dash)
    low = min(float(line[:, 1].min()) for line in [*should, *real])
    left = min(float((-line[:, 0]).min()) for line in [*should, *real])
    axes.plot([left, left + 10.0], [low - 3.5] * 2, color="#222222", linewidth=1.6, solid_capstyle="butt")
    axes.text(left + 11.5, low - 3.5, "10 mm", fontsize=7, va="center")
    _bare(axes)


def _bar(axes: Axes, ramp: tuple[str, ...], low: float, high: float, name: str) -> None:
    shades = _ramp_rgb(ramp, np.linspace(0.0, 1.0, 128))
    axes.imshow(shades[:, None], origin="lower", extent=(0.0, 1.0, low, high), aspect="auto")
    axes.set_xticks([])
    axes.yaxis.tick_right()
    axes.tick_params(labelsize=7, length=2)
    axes.set_title(name, fontsize=7, loc="left")


def _bare(axes: Axes) -> None:
    axes.set_aspect("equal")
    axes.set_axis_off()


def _rgb(colour: str) -> Float:
    return np.array([int(colour[n : n + 2], 16) / 255.0 for n in (1, 3, 5)])


def _ramp_rgb(ramp: tuple[str, ...], share: Any) -> Float:
    stops = np.array([_rgb(colour) for colour in ramp])
    place = np.clip(np.asarray(share, dtype=np.float64), 0.0, 1.0) * (len(ramp) - 1)
    return np.stack([np.interp(place, np.arange(len(ramp)), stops[:, channel]) for channel in range(3)], axis=1)
