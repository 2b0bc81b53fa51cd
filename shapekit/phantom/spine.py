"""Draw the bodies of a spine, correlated down the column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from shapekit.core.levels import Level
from shapekit.phantom.body import (
    FORAMEN,
    HARMONICS,
    LIP_INFERIOR,
    LIP_SUPERIOR,
    OUTLINES,
    RIM_INFERIOR,
    RIM_SUPERIOR,
    WAIST,
    BodyShape,
    Plate,
    outline_series,
)
from shapekit.phantom.reference import FEMALE_RATIO, HEIGHT_SCALE, LEVELS, SIZE_SD, level_references, size_factor

Float = NDArray[np.float64]

TRAIT_ADJACENT = 0.9
"""Correlation of a person's habits of shape (outline, waist, plates) between adjacent levels [assumed]: sizes, which are also set
by each level's own growth, correlate by 0.67-0.87, and bodies that lie side by side look alike."""
LIP_ASIDE, LIP_WIDTHS, MOST_LIP_MM = (0.8, 0.35), (0.35, 0.7), 4.0
"""Osteophytes: how far beside the front they sit (mean, SD; rad), how wide they are (rad), and how large at most."""
WAIST_SPREAD = 0.4
"""Varied build: SD of the logarithm of a waist's depth [assumed; wider than people, whose rim over mid width has SDs of 0.04-0.06 (802 CTs)]."""
MOST_WAIST = 0.15
"""Varied build: how much of the width a waist takes at most on either side [assumed]."""
MOST_DRAWN_IN_MM = {"plain": 2.4, "varied": 4.0}
"""How far a waist draws in the front or the back at most [assumed]."""
FORAMEN_DEPTH, FORAMEN_SPREAD, DEEPEST_FORAMEN, FORAMEN_WIDTH = 0.10, 0.5, 0.24, 0.32
"""Varied build: median depth of the basivertebral foramen as a share of the body's, SD of its logarithm, most, and half width (rad). By CT the canal
reaches 12-22 % of the depth (Tzika et al. 2021, Surg Radiol Anat 43:889); that masks close its narrow end, and its width, are assumed."""
SAG_ADDED_MM, SAG_SPREAD = 0.75, 1.4
"""Varied build: what both plates sag beyond the table, from L2 downward; none up to T9 [fading assumed]; and how much more it differs [assumed]. The
table's 2.2 mm from L1 to L5 were assumed; 100 healthy CTs have 2.65-3.25 (Front Physiol 2026;17:1820186)."""
HOLLOW_SD_MM = 0.6
"""Varied build: how much the posterior wall's concavity differs between people, beside what its outline's habit gives [assumed]."""


@dataclass(frozen=True, eq=False)
class Habits:
    """What a person's healthy bodies have in common down the column: standard normals, a column a usual level (T1 … L5).

    Parameters
    ----------
    sizes : (4, 17) float
        Ha, Hp, width, depth.
    extra : (2, 4) float
        What T13 and L6 add to their neighbours' sizes.
    traits : (24, 17) float
    wobble : (3, 16, 17) float
        Departures from the mean outline: common to both rims, and of either.
    sex : str
        ``"F"`` or ``"M"``.
    degeneration : float
        Mean size of the osteophytic lips, mm.
    walls : (4, 17) float, optional
        Of a varied build: waist at the sides, waist in front and behind, foramen, hollow of the posterior wall. None in a plain one.
    """

    sizes: Float
    extra: Float
    traits: Float
    wobble: Float
    sex: str
    degeneration: float
    walls: Float | None = None


@dataclass(frozen=True, eq=False)
class Own:
    """What one body has of its own, whatever its neighbours look like.

    Parameters
    ----------
    detail : (16,) float
        Standard normals of the rims' proportions (4), the waist (2) and the plates (5 each).
    lips : (2, 17) float, mm
        Osteophytes at the superior and the inferior rim.
    dents : pair of (n, 5) float
        Of the superior and the inferior plate; see ``Plate``.
    walls : (4,) float
        Standard normals beside those of ``Habits.walls``.
    """

    detail: Float
    lips: Float
    dents: tuple[Float, Float]
    walls: Float = field(default_factory=lambda: np.zeros(4))


def draw_habits(*, sex: str, degeneration: float, varied: bool = False, generator: Generator) -> Habits:
    """Draw what the healthy bodies of one person have in common, of a varied or a plain build."""
    sizes = np.clip(size_factor() @ generator.standard_normal(4 * len(LEVELS)), -3.0, 3.0).reshape(4, len(LEVELS))
    extra = generator.standard_normal((2, 4))
    traits = along(generator, 24, len(LEVELS), TRAIT_ADJACENT)
    wobble = along(generator, 3 * 2 * HARMONICS, len(LEVELS), TRAIT_ADJACENT).reshape(3, 2 * HARMONICS, len(LEVELS))
    return Habits(sizes, extra, traits, wobble, sex, degeneration, along(generator, 4, len(LEVELS), TRAIT_ADJACENT) if varied else None)


def draw_bodies(levels: Sequence[Level], habits: Habits, *, generator: Generator) -> dict[Level, BodyShape]:
    """Draw the healthy bodies of one person.

    Parameters
    ----------
    levels : sequence of Level
        From the head downward.
    habits : Habits
    generator : numpy.random.Generator

    Returns
    -------
    dict of Level to BodyShape
    """
    return {level: make_body(level, habits, _draw_own(level, habits, generator)) for level in levels}


def column_of(level: Level) -> int:
    """Column of a level in ``Habits``; T13 shares T12's, L6 L5's."""
    return LEVELS.index({Level.T13: Level.T12, Level.L6: Level.L5}.get(level, level))


def along(generator: Generator, rows: int, columns: int, neighbour: float) -> Float:
    """Rows of unit normals whose neighbours down the column correlate, (rows, columns)."""
    values = generator.standard_normal((rows, columns))
    for n in range(1, columns):
        values[:, n] = neighbour * values[:, n - 1] + np.sqrt(1 - neighbour**2) * values[:, n]
    return values


def _sex_factor(name: str, sex: str) -> float:
    return 2.0 * (FEMALE_RATIO[name] if sex == "F" else 1.0) / (1.0 + FEMALE_RATIO[name])


def _lumbar(level: Level) -> float:
    """0 up to T9, 1 from L2."""
    return float(np.clip((column_of(level) - 8) / 5.0, 0.0, 1.0))


def _draw_own(level: Level, habits: Habits, generator: Generator) -> Own:
    detail = generator.standard_normal(16)
    lips = np.stack([_lip(habits.degeneration, generator) for _ in range(2)])
    schmorl = 0.04 + 0.05 * _lumbar(level)
    dents = _plate_detail(schmorl, generator), _plate_detail(schmorl, generator)
    return Own(detail, lips, dents) if habits.walls is None else Own(detail, lips, dents, generator.standard_normal(4))


def make_body(level: Level, habits: Habits, own: Own) -> BodyShape:
    """Shape a healthy body from what its person's bodies have in common and what it has of its own."""
    column = column_of(level)
    sex, size, traits, wobble = habits.sex, habits.sizes[:, column], habits.traits[:, column], habits.wobble[:, :, column]
    if level in (Level.T13, Level.L6):
        size = 0.85 * size + 0.5 * habits.extra[0 if level is Level.T13 else 1]
    row = level_references()[level]
    lumbar = _lumbar(level)
    ha, hp = (
        HEIGHT_SCALE * mean * _sex_factor(name, sex) * (1.0 + 0.985 * sd / mean * z)
        for name, mean, sd, z in (("ha", row.ha_mm, row.ha_sd, size[0]), ("hp", row.hp_mm, row.hp_sd, size[1]))
    )
    width, depth = (_sex_factor(name, sex) * (1.0 + SIZE_SD[name] * z) for name, z in (("width", size[2]), ("depth", size[3])))
    usual_sag = HEIGHT_SCALE * ((row.ha_mm + row.hp_mm) / 2 - row.hm_mm)
    walls = None if habits.walls is None else 0.85 * habits.walls[:, column] + 0.53 * own.walls
    sag = (0.5 + 0.4 * lumbar) * traits[4]
    sag = max(usual_sag + (sag if walls is None else SAG_ADDED_MM * lumbar + SAG_SPREAD * sag), 0.25)
    detail = 0.85 * traits[8:] + 0.53 * own.detail
    hollow = row.posterior_concavity_mm + 0.6 * traits[3]
    pressed = hollow if walls is None else _pressed(hollow + HOLLOW_SD_MM * walls[3])
    outline = np.zeros((OUTLINES, 2 * HARMONICS + 1))
    for n, (rim, w, d) in enumerate(
        ((RIM_SUPERIOR, row.width_superior_mm, row.depth_superior_mm), (RIM_INFERIOR, row.width_inferior_mm, row.depth_inferior_mm))
    ):
        jitter = 1.0 + 0.015 * detail[2 * n : 2 * n + 2]
        outline[rim] = outline_series(
            w * width * jitter[0],
            d * depth * jitter[1],
            widest=0.14 - 0.08 * lumbar + 0.03 * traits[0],
            front_power=float(np.clip(1.9 + 0.3 * lumbar + 0.15 * traits[1], 1.6, 2.8)),
            back_power=float(np.clip(2.4 + 0.2 * lumbar + 0.25 * traits[2], 1.9, 3.2)),
            pressed_mm=pressed * depth,
        )
        outline[rim, 1:] += _wobble_series(0.8 * wobble[0] + 0.6 * wobble[n + 1]) * outline[rim, 0]
    side = (0.040 + 0.026 * lumbar + 0.014 * traits[6]) * row.width_superior_mm * width
    drawn_in = 0.9 + 0.5 * lumbar + 0.35 * detail[4:6]
    if walls is not None:
        side, drawn_in = (
            min(side * float(np.exp(WAIST_SPREAD * walls[0])), MOST_WAIST * row.width_superior_mm * width),
            drawn_in * np.exp(WAIST_SPREAD * walls[1]),
        )
        reach = min(FORAMEN_DEPTH * float(np.exp(FORAMEN_SPREAD * walls[2])), DEEPEST_FORAMEN)
        outline[FORAMEN] = bump_series(-np.pi / 2, FORAMEN_WIDTH, -reach * row.depth_superior_mm * depth)
    outline[WAIST] = _waist(max(side, 0.3), *drawn_in.clip(0.2, MOST_DRAWN_IN_MM["plain" if walls is None else "varied"]))
    outline[[LIP_SUPERIOR, LIP_INFERIOR]] = own.lips
    half_width = 0.25 * (row.width_superior_mm + row.width_inferior_mm) * width
    half_depth = 0.25 * (row.depth_superior_mm + row.depth_inferior_mm) * depth
    share = float(np.clip(0.62 + 0.15 * traits[5], 0.2, 0.9))
    rim_mm = float(np.clip(1.9 + 0.6 * lumbar + 0.35 * traits[7], 1.2, 3.2))
    plates = [
        Plate(
            np.array([0.0, 0.25 * habit[0], 0.0, *(0.3 * habit[1:4])]),
            np.array([portion * sag, 0.92, -0.35 + 0.25 * habit[4]]),
            dents,
        )
        for portion, habit, dents in zip((1.0 - share, share), (detail[6:11], detail[11:]), own.dents, strict=True)
    ]
    body = BodyShape(outline, plates[0], plates[1], half_width, half_depth, rim_mm)
    return _with_heights(body, ha, (ha + hp) / 2 - sag, hp, share)


def _wobble_series(normals: Float) -> Float:
    """A person's own departures from the mean outline, as shares of its radius: symmetric terms vary twice as much as the others."""
    order = np.tile(np.arange(1, HARMONICS + 1), 2)
    sine = np.repeat([False, True], HARMONICS)
    symmetric = sine == (order % 2 == 1)
    strength = np.where(order < 2, 0.004, 0.036 / order**1.2) * np.where(symmetric, 1.0, 0.5)
    return np.asarray(normals * strength)


def _pressed(hollow_mm: float) -> float:
    """How far ``outline_series`` must press the posterior wall in so that its midline comes to lie ``hollow_mm`` in front of its corners.

    A line through what it gives from 0.5 mm on, for the outlines of T5 to L4, to 0.3 mm; where the wall should bulge, the value itself.
    """
    return 1.61 * max(hollow_mm, 0.0) + min(hollow_mm, 0.0) + 1.21 * float(np.clip(1.0 + hollow_mm / 0.6, 0.0, 1.0))


def _waist(side: float, front: float, back: float) -> Float:
    """How far the wall is drawn in at mid-height: laterally, in front and behind, mm."""
    series = np.zeros(2 * HARMONICS + 1)
    series[0], series[2] = -(side + front) / 2, -(side - front) / 2
    return series + bump_series(-np.pi / 2, 0.45, front - back)


def bump_series(angle: float, width: float, height_mm: float) -> Float:
    """Fourier coefficients of a bump of the wall about a polar angle (rad, π/2 = anterior) with a Gaussian width (rad)."""
    order = np.arange(1, HARMONICS + 1)
    weight = np.exp(-0.5 * (order * width) ** 2)
    scale = height_mm / (1.0 + 2.0 * weight.sum())
    return np.asarray(scale * np.concatenate([[1.0], 2.0 * weight * np.cos(order * angle), 2.0 * weight * np.sin(order * angle)]))


def _lip(degeneration: float, generator: Generator) -> Float:
    """Osteophytes: mostly anterolateral, 0-4 mm."""
    sides = np.pi / 2 + generator.choice([-1.0, 1.0]) * generator.normal(*LIP_ASIDE)
    size = min(float(generator.exponential(max(degeneration, 1e-9))), MOST_LIP_MM)
    return bump_series(float(sides), float(generator.uniform(*LIP_WIDTHS)), size)


def _plate_detail(schmorl: float, generator: Generator) -> Float:
    """Two shallow unevennesses, and now and then a Schmorl's node, (n, 5)."""
    dents = [[generator.normal(0.0, 0.22), *generator.uniform(-0.5, 0.5, 2), *generator.uniform(0.3, 0.5, 2)] for _ in range(2)]
    node = [generator.uniform(1.0, 3.5), generator.uniform(-0.4, 0.4), generator.uniform(-0.5, 0.2), *generator.uniform(0.14, 0.24, 2)]
    if generator.random() < schmorl:
        dents.append(node)
    return np.array(dents)


def _with_heights(body: BodyShape, ha: float, hm: float, hp: float, share: float) -> BodyShape:
    """Return the body whose Ha, Hm, Hp are the wanted ones: its plates' offset, slope and dishes are adjusted."""
    plates = [body.superior, body.inferior]
    offset, slope = (ha + hp) / 4, (ha - hp) / 4
    depth = np.array([plates[0].dish[0], plates[1].dish[0]])
    for _ in range(6):
        adjusted = [
            Plate(plate.plane + np.array([offset, 0, slope, 0, 0, 0]), np.array([d, *plate.dish[1:]]), plate.dents)
            for plate, d in zip(plates, depth, strict=True)
        ]
        body = BodyShape(body.outline, adjusted[0], adjusted[1], body.half_width_mm, body.half_depth_mm, body.rim_mm)
        got = body.heights_mm()
        front, middle, back = ha - got[0], hm - got[1], hp - got[2]
        offset, slope = offset + (front + back) / 4, slope + (front - back) / 4 / 0.8
        depth = depth - np.array([1 - share, share]) * (middle - (front + back) / 2)
    return body
