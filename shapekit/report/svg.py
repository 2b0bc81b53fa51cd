"""The strokes that every drawing is made of: inline SVG in the page's text colour."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape

WIDTH, LEFT, RIGHT = 760, 46, 14
"""Pixels: of a plot, and left free beside its axes."""


def scale(low: float, high: float, bottom: float, top: float) -> Callable[[float], float]:
    """Map values from ``low`` to ``high`` onto the page from ``bottom`` to ``top``."""
    return lambda value: bottom + (value - low) / (high - low) * (top - bottom)


def ticks(low: float, high: float) -> range:
    """Whole numbers to mark an axis with."""
    return range(int(low), int(high) + 1, 5 if high - low <= 30 else 10)


def axis(place: Callable[[float], float], marks: Iterable[int], name: str, name_y: float) -> str:
    """Lines across the plot with their numbers, and the axis's name."""
    lines = "".join(
        f'<path d="M{LEFT},{place(mark):.1f}H{WIDTH - RIGHT}" class="grid"/>' + text(LEFT - 6, place(mark) + 4, str(mark), "end") for mark in marks
    )
    return lines + text(8, name_y + 4, name, "start")


def text(x: float, y: float, words: str, anchor: str = "middle", *, size: float = 12, strong: bool = False) -> str:
    """Words at a place; they are escaped."""
    weight = ' font-weight="700"' if strong else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"{weight} fill="currentColor">{escape(words)}</text>'


def svg(width: float, height: float, title: str, said: str, content: str, kind: str = "plot", *, zoom: float = 1.0) -> str:
    """Wrap strokes into a drawing with a title, and what it says for those who cannot see it."""
    return (
        f'<svg class="{kind}" viewBox="0 0 {width} {height}" width="{width * zoom:.0f}" height="{height * zoom:.0f}" role="img" xmlns="http://www.w3.org/2000/svg">'
        f"<title>{escape(title)}</title><desc>{escape(said)}</desc>{content}</svg>"
    )
