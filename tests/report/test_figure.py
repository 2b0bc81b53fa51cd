import io
import sys

import numpy as np
import pytest

import shapekit as sk
from shapekit.core.values import Measures
from shapekit.pipeline import Scored
from shapekit.report import Subject
from shapekit.report.figure import draw_scores, draw_spine, draw_vertebra, save_figure

pytest.importorskip("matplotlib")


def pixels(figure, dpi=60):
    """The picture as drawn, (h, w, 3) float."""
    import matplotlib.image

    with io.BytesIO() as file:
        figure.savefig(file, format="png", dpi=dpi)
        file.seek(0)
        return np.asarray(matplotlib.image.imread(file))[..., :3]


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts] + [text.get_text() for text in figure.texts]


def test_the_spine_is_drawn_with_levels_scores_and_both_colours(crushed_result, subject):
    figure = crushed_result.figure()
    assert [text.split()[0] for text in texts(figure)] == ["L2", "L3", "L4", "L5"]
    assert f"L3  {crushed_result['L3'].score:.0f}" in texts(figure)
    picture = pixels(figure)
    red, green, blue = np.moveaxis(picture, -1, 0)
    assert ((green > red + 0.15) & (green > blue + 0.1)).mean() > 0.02  # the sound bodies
    assert ((red > green + 0.25) & (red > blue + 0.25)).mean() > 0.005  # the crushed one
    with pytest.raises(sk.InputError, match="no body to draw"):
        draw_spine(Subject("none", (Scored(Measures("L1", 20, status="no_body")),)))


def test_a_vertebras_card_tells_its_numbers(crushed_result):
    figure = crushed_result.figure("L3")
    headline = figure.get_suptitle()
    row = crushed_result["L3"].measures
    assert headline.startswith(f"L3: score {row.score:.0f}, relative loss {row.relative_loss:.0%}")
    assert headline.endswith("Genant grade 2 (crush)")
    assert "10 mm" in texts(figure)
    spans = {tuple(np.round(np.diff(side)[0], 6) for side in (axes.get_xlim(), axes.get_ylim())) for axes in figure.axes[:3]}
    assert len(spans) == 1  # the same millimetres in each
    with pytest.raises(KeyError, match="T4 is not in"):
        crushed_result.figure("T4")
    alone = Scored(crushed_result["L3"].measures, crushed_result["L3"]._scored.body, crushed_result["L3"].frame)
    with pytest.raises(sk.InputError, match="L3 has no expected shape to draw"):
        draw_vertebra(alone)


def test_a_cohort_is_drawn_by_group_with_examples_from_green_to_red(subject):
    groups = {"0": [1.0, 2.0, float("nan"), 4.0], "1": [25.0, 31.0, 18.0], "3": [90.0], "unknown": []}
    figure = draw_scores(groups, subject.scored[:3], group_name="Genant grade")
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0\n(n = 3)", "1\n(n = 3)", "3\n(n = 1)", "unknown\n(n = 0)"]
    drawn = [np.asarray(dots.get_offsets()) for dots in axes.collections]
    assert np.concatenate([dots[:, 1] for dots in drawn]).tolist() == pytest.approx([1, 2, 4, 25, 31, 18, 90])
    for place, dots in enumerate(drawn):
        assert (np.abs(dots[:, 0] - place) < 0.25).all()
    shown = [float(text.split(": ")[1]) for text in texts(figure)]
    assert shown == sorted(shown)
    assert len(figure.axes) == 4
    with pytest.raises(sk.InputError, match="no groups"):
        draw_scores({})
    with pytest.raises(sk.InputError, match="no expected shape"):
        draw_scores(groups, [Scored(Measures("L1", 20, status="no_body"))])


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_a_figure_is_written_whole_and_the_same_every_time(crushed_result, tmp_path, suffix):
    first, second = (save_figure(crushed_result.figure("L3"), tmp_path / f"{name}.{suffix}") for name in "ab")
    assert first.read_bytes() == second.read_bytes()
    assert first.stat().st_size > 10_000
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"a.{suffix}", f"b.{suffix}"]


def test_other_formats_and_places_are_refused(tmp_path):
    figure = draw_scores({"0": [1.0]})
    with pytest.raises(sk.UsageError, match=r"figure\.bmp ends in \.bmp, but a figure is written as one of: \.png, \.svg, \.pdf"):
        save_figure(figure, tmp_path / "figure.bmp")
    with pytest.raises(sk.OutputError, match="choose a folder that you may write"):
        save_figure(figure, tmp_path / "nosuch" / "figure.png")
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_the_extra_is_named(subject, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(sk.MissingPackageError, match=r"shapekit\[viz\]"):
        draw_spine(subject)
