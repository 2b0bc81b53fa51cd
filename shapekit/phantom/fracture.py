"""Break a healthy body by a known amount, and draw which bodies of a person are broken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.special import ndtri

from shapekit.core.checks import InputError, check_choice
from shapekit.core.levels import Level
from shapekit.phantom.body import LIP_SUPERIOR, OUTLINES, RIM_FRACTION, UPPER_THIRD, WAIST, BodyShape, Plate
from shapekit.phantom.spine import bump_series

Float = NDArray[np.float64]

KINDS = ("wedge", "biconcave", "crush", "mixed")
KIND_SHARES = (0.51, 0.17, 0.13, 0.19)
"""How often each type occurs; the first three are remembered from the literature, the rest is mixed."""

GRADE_LIMITS = (0.20, 0.25, 0.40)
"""Height loss from which a body has grade 1, 2, 3 (Genant et al. 1993, J Bone Miner Res 8:1137)."""

APEX_FIFTHS = (0.20, 0.45, 0.20, 0.10, 0.05)
"""Where the deepest point lies, by fifths of the depth from the front; the last two share what the source leaves."""

SUPERIOR_ONLY, INFERIOR_ONLY = 0.855, 0.019
"""Share of fractures that press in only the one endplate; more loss means both more often."""

MAX_LOSS = 0.62
MIN_THICKNESS_MM = 4.0

GRADE_COUNTS = {
    "T4": (56, 3, 2, 0),
    "T5": (53, 6, 0, 1),
    "T6": (51, 3, 4, 2),
    "T7": (49, 9, 1, 4),
    "T8": (53, 8, 2, 3),
    "T9": (68, 7, 4, 2),
    "T10": (79, 5, 4, 0),
    "T11": (76, 9, 3, 3),
    "T12": (74, 12, 12, 4),
    "L1": (76, 15, 15, 17),
    "L2": (83, 18, 18, 3),
    "L3": (88, 17, 9, 5),
    "L4": (86, 11, 15, 3),
    "L5": (95, 5, 7, 3),
}
"""Vertebrae of VerSe'19 by level and Genant grade 0-3 (supplement of Löffler et al. 2020, Radiol Artif Intell 2:e190138)."""

NEIGHBOUR_CORRELATION, PERSON_CORRELATION = 0.76, 0.55
"""Of the latent threshold field: adjacent levels, and levels far apart. Gives P(neighbour fractured) 0.55 if fractured, 0.11 if not."""
DEFORMED_SHARE, DEFORMED_LOSS = 0.15, (0.05, 0.19)
"""Grade 0 bodies that are deformed all the same, and by how much [assumed]."""


@dataclass(frozen=True)
class Loss:
    """What a body has lost against its healthy twin.

    Parameters
    ----------
    ha, hm, hp : float
        Share of each height, 0-1; negative where the height grew.
    """

    ha: float
    hm: float
    hp: float

    @property
    def worst(self) -> float:
        """Greatest of the three."""
        return max(self.ha, self.hm, self.hp)

    @property
    def grade(self) -> int:
        """Genant grade 0-3 of the worst loss."""
        return int(np.searchsorted(GRADE_LIMITS, self.worst, side="right"))


def height_loss(actual: BodyShape, healthy: BodyShape) -> Loss:
    """Loss of Ha, Hm, Hp of a body against its healthy twin."""
    return Loss(*(1.0 - a / h for a, h in zip(actual.heights_mm(), healthy.heights_mm(), strict=True)))


def break_body(healthy: BodyShape, kind: str, loss: float, *, generator: Generator) -> BodyShape:
    """Return a body whose worst height loss is ``loss``.

    The posterior wall and, where only one endplate is pressed in, the other endplate stay where they are, so that the healthy twin
    and the broken body share their axes and their place.

    Parameters
    ----------
    healthy : BodyShape
    kind : str
        ``"wedge"``, ``"biconcave"``, ``"crush"`` or ``"mixed"``.
    loss : float
        0-0.62.
    generator : numpy.random.Generator

    Returns
    -------
    BodyShape

    Raises
    ------
    UsageError
        If the kind does not exist.
    InputError
        If the loss is out of range.

    Examples
    --------
    >>> from shapekit.phantom import draw_patient
    >>> body = draw_patient(1, fractures="none")["L1"].healthy
    >>> round(height_loss(break_body(body, "wedge", 0.3, generator=np.random.default_rng(0)), body).ha, 3)
    0.3
    """
    check_choice("kind", kind, KINDS)
    if not 0.0 < loss <= MAX_LOSS:
        raise InputError(f"loss is {loss}, but a phantom's body can lose between 0 and {MAX_LOSS} of its height.")
    damage = _draw_damage(kind, loss, generator)
    walls = _draw_walls(loss, generator)
    low, high = 0.0, 1.0
    while _loss_at(healthy, damage, high, walls) < loss and high < 256.0:
        low, high = high, 2.0 * high
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _loss_at(healthy, damage, middle, walls) < loss else (low, middle)
    return _damaged(healthy, damage, high, walls)


@dataclass(frozen=True, eq=False)
class _Damage:
    """Of one plate, to be scaled: how deep the whole plate sinks, its dents (n, 5) and ramps (n, 4)."""

    sink: float
    dents: Float
    ramps: Float


def _draw_damage(kind: str, loss: float, generator: Generator) -> tuple[_Damage, _Damage]:
    """Unit damage of the superior and the inferior plate."""
    fifth = int(generator.choice(5, p=APEX_FIFTHS))
    apex = 1.0 - 2.0 * (fifth + generator.uniform(0.15, 0.85)) / 5.0
    apex = float(np.clip(apex, -0.6, 0.62))
    if kind == "biconcave":
        apex *= 0.45
    both = max(1.0 - SUPERIOR_ONLY - INFERIOR_ONLY, float(np.clip(1.6 * (loss - 0.2), 0.0, 0.7)))
    if kind == "biconcave":
        both = max(both, 0.6)
    draw = generator.random()
    shares = (0.0, 1.0) if draw < INFERIOR_ONLY else ((1.0, float(generator.uniform(0.2, 0.7))) if draw < INFERIOR_ONLY + both else (1.0, 0.0))
    made = []
    for share in shares:
        side = float(generator.normal(0.0, 0.15))
        broad = [side, apex, *generator.uniform(0.42, 0.6, 2)]
        hinge, power, skew = generator.uniform(-1.05, -0.6), generator.uniform(1.0, 1.5), generator.normal(0.0, 0.12)
        recipe = {"wedge": (0.0, 0.22, 1.0), "biconcave": (0.0, 1.0, 0.0), "crush": (0.85, 0.15, 0.12), "mixed": (0.1, 0.55, 0.6)}[kind]
        sink, dent, ramp = (share * part for part in recipe)
        made.append(_Damage(sink, np.array([[dent, *broad]]), np.array([[ramp, hinge, power, skew]])))
    return made[0], made[1]


def _draw_walls(loss: float, generator: Generator) -> Float:
    """What becomes of the wall: additions to the outline, (OUTLINES, 17) mm. The missing height bulges, and bone may enter the canal."""
    walls = np.zeros((OUTLINES, 17))
    bulge = generator.uniform(1.0, 6.0) * loss
    walls[WAIST] = bump_series(np.pi / 2, 0.9, bulge)
    beak = generator.uniform(0.0, 9.0) * max(loss - 0.1, 0.0)
    walls[LIP_SUPERIOR] = bump_series(np.pi / 2 + generator.normal(0.0, 0.25), 0.5, beak)
    buckle = generator.normal(0.5, 1.2) * min(loss / 0.3, 1.5)
    walls[UPPER_THIRD] = bump_series(np.pi / 2, 0.5, buckle)
    grade = int(np.searchsorted(GRADE_LIMITS, loss, side="right"))
    if (grade == 2 and generator.random() < 0.2) or (grade == 3 and generator.random() < 0.5):
        walls[UPPER_THIRD] += bump_series(-np.pi / 2, 0.35, generator.uniform(0.3, 2.0 if grade == 2 else 5.0))
    return walls


def _loss_at(healthy: BodyShape, damage: tuple[_Damage, _Damage], scale: float, walls: Float) -> float:
    return height_loss(_damaged(healthy, damage, scale, walls), healthy).worst


def _damaged(healthy: BodyShape, damage: tuple[_Damage, _Damage], scale: float, walls: Float) -> BodyShape:
    plates = []
    for plate, part in zip((healthy.superior, healthy.inferior), damage, strict=True):
        plane = plate.plane - np.array([scale * part.sink, 0, 0, 0, 0, 0])
        dents = part.dents * np.array([scale, 1, 1, 1, 1])
        ramps = part.ramps * np.array([scale, 1, 1, 1])
        plates.append(Plate(plane, plate.dish, np.concatenate([plate.dents, dents]), np.concatenate([plate.ramps, ramps])))
    return replace(healthy, outline=healthy.outline + walls, superior=plates[0], inferior=plates[1])


def thinnest_mm(body: BodyShape) -> float:
    """Least distance between the endplates inside the rim, mm."""
    u, v = np.meshgrid(np.linspace(-0.8, 0.8, 17), np.linspace(-0.8, 0.8, 17))
    inside = u**2 + v**2 < 0.8**2
    top, low = body.plate_heights(u[inside] * body.half_width_mm, v[inside] * body.half_depth_mm)
    return float((top - low).min())


def draw_fractures(levels: Sequence[Level], *, generator: Generator) -> dict[Level, tuple[str, float]]:
    """Draw which levels are deformed, how, and by what worst height loss.

    A Gaussian field along the column, part of it shared by the whole person, is cut at each level's own rate, which clusters
    fractures as VerSe'19 has them. A share of the rest is deformed by 5-19 %, below grade 1.

    Returns
    -------
    dict of Level to (kind, loss)
    """
    person = generator.standard_normal()
    own = 0.0
    step = (NEIGHBOUR_CORRELATION - PERSON_CORRELATION) / (1.0 - PERSON_CORRELATION)
    found: dict[Level, tuple[str, float]] = {}
    for n, level in enumerate(levels):
        fresh = generator.standard_normal()
        own = fresh if n == 0 else step * own + np.sqrt(1.0 - step**2) * fresh
        field = np.sqrt(PERSON_CORRELATION) * person + np.sqrt(1.0 - PERSON_CORRELATION) * own
        rate, grades = _rates(level)
        kind = str(generator.choice(KINDS, p=KIND_SHARES))
        grade = int(generator.choice(3, p=grades))
        low, high = ((0.20, 0.25), (0.25, 0.40), (0.40, MAX_LOSS))[grade]
        share = generator.random()
        loss = low + (high - low) * (share**1.6 if grade else share)
        mild = generator.random() < DEFORMED_SHARE, float(generator.uniform(*DEFORMED_LOSS))
        if field > -ndtri(rate):
            found[level] = kind, float(min(max(loss, low + 0.002), high - 0.002))
        elif mild[0]:
            found[level] = kind, mild[1]
    return found


def _rates(level: Level) -> tuple[float, Float]:
    """Share of bodies with grade 1-3, and how these grades divide, drawn a little towards all levels together."""
    counts = np.array(list(GRADE_COUNTS.values()), dtype=np.float64)
    overall = counts.sum(axis=0)
    nearest = {"T1": "T4", "T2": "T4", "T3": "T4", "T13": "T12", "L6": "L5"}.get(str(level), str(level))
    own = np.array(GRADE_COUNTS[nearest], dtype=np.float64)
    if level < Level.T4:
        own = own * np.array([1.0, 0.3, 0.3, 0.3])  # rarely seen above T4
    own = own + 10.0 * overall / overall.sum()
    return float(own[1:].sum() / own.sum()), own[1:] / own[1:].sum()


def type_of(actual: BodyShape, healthy: BodyShape) -> str:
    """Genant type by the truth: ``"crush"`` when the posterior height is lost too, else wedge or biconcave; ``""`` below 5 % loss."""
    loss = height_loss(actual, healthy)
    if loss.worst < 0.05:
        return ""
    if loss.hp > 0.6 * loss.worst:
        return "crush"
    return "wedge" if loss.ha >= loss.hm else "biconcave"


def crest_drop_mm(actual: BodyShape, healthy: BodyShape) -> float:
    """Mean height that the superior and inferior rims have lost at the front and back crest, mm."""
    at = np.array([RIM_FRACTION, 1.0 - RIM_FRACTION])
    return float((healthy.height_at(at) - actual.height_at(at)).mean())


Fractures = str | Mapping[Level | str, tuple[str, float]]
