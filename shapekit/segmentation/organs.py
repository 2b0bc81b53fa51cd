"""The organs before and beside a phantom's spine, in a CT: what tells levels where neither ribs nor sacrum come into view.

Where they lie along the spine, in usual levels, is published; their sizes and how far they lie from the bodies are assumed, from textbook anatomy.
Of spines with a vertebra more or less the organs keep their share of the length (where L5 is part of the sacrum, the aorta mostly divides at L3:
Chithriki et al. 2002, Surg Radiol Anat 24:308).

- The trachea divides at T5-T6 in most adults, the vena cava and the oesophagus pass the diaphragm at T10 and T11, the renal hila lie at L2
  (Shen et al. 2016, Clin Anat 29:165).
- The aorta divides at L4 in 83 % (Lee et al. 2004, AJR 182:1295) or 71 % (Tokgoz et al. 2014, Korean J Radiol 15:258): with an SD of about
  half a level.
- The aortic arch's concavity lies at T4, the diaphragm's domes at T9-T10, the pleura ends at T12, the psoas begins at T12-L1 [textbooks].
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from shapekit.core.grid import Grid
from shapekit.core.levels import Level
from shapekit.phantom import Patient
from shapekit.segmentation.bones import Part, bar_part, place_of, put_tissue

Array = NDArray[np.float32]
Float = NDArray[np.float64]
Tissue = tuple[list[Part], float]
Numbers = Sequence[float] | Float

CARINA, ARCH, HEART, DOME, LUNG_END = 4.5, 3.0, 6.8, 8.6, 11.0
OESOPHAGUS_END, CAVA_END, PSOAS, RENAL_HILUM, FORK = 10.0, 9.0, 11.5, 13.0, 15.0
"""Places in usual levels: 0 is the middle of T1, 16 that of L5."""
LEVEL_SD, BREATH_SD = 0.5, 0.4
"""How much each varies, and with the breath lungs, domes, heart, airway and oesophagus together, in levels."""
BEYOND = 4
"""So many levels above and below a spine are laid on."""
LUNG_HU, FAT_HU, AIR_HU = -850.0, -100.0, -1000.0
RECESS = (
    (5.5, 2.2, (22.0, 26.0), (-6.0, -10.0), 16.0),
    (2.5, 1.0, (28.0, 38.0), (-12.0, -20.0), 9.0),
    (1.2, 0.48, (40.0, 44.0), (-18.0, -22.0), 6.0),
)
"""Of the lungs behind the domes, in three pieces: from and to how many levels above their end, how far outside the bodies' sides and before their
middles at both ends, and radius; levels and mm."""
MUSCLE = ((0.0, 2.0, 5.0, 7.0), (1.5, 3.5, 11.0, 12.0), (3.0, 7.0, 18.0, 17.0))
"""Of the psoas, in three pieces: from and to how many levels below its beginning, how far outside the bodies' sides, and radius; levels and mm."""
AORTIC_ARCH = ((1.2, -21.0, 4.0), (0.1, -25.0, 13.0), (0.0, -21.0, 36.0), (0.4, 2.0, 58.0))
"""From where the aorta begins to descend: levels below its top, to the right of the middle and before the anterior walls, mm."""


class _Column:
    """Places along a patient's spine, in usual levels, and beside it."""

    def __init__(self, patient: Patient) -> None:
        first, last = (_usual(vertebra.level) for vertebra in (patient.vertebrae[0], patient.vertebrae[-1]))
        origins = np.array([vertebra.placement.origin for vertebra in patient])
        axes = np.array([vertebra.placement.axes for vertebra in patient])
        sizes = np.array([(vertebra.healthy.half_width_mm, vertebra.healthy.half_depth_mm) for vertebra in patient])
        pitch = np.linalg.norm(np.diff(origins, axis=0), axis=1) if len(origins) > 1 else np.array([30.0])
        over, under = origins[0] + BEYOND * pitch[0] * axes[0, :, 2], origins[-1] - BEYOND * pitch[-1] * axes[-1, :, 2]
        places = np.linspace(first, last, len(origins)) if len(origins) > 1 else np.array([float(first)])
        self._places = np.array([first - BEYOND, *places, last + BEYOND])
        self._origins = np.vstack([over, origins, under])
        self._axes = np.concatenate([axes[:1], axes, axes[-1:]])
        self._sizes = np.vstack([sizes[:1], sizes, sizes[-1:]])

    def _along(self, values: Float, place: float) -> Float:
        return np.array([np.interp(place, self._places, column) for column in values.reshape(len(values), -1).T]).reshape(values.shape[1:])

    def axes(self, place: float) -> Float:
        """Right, anterior and superior there, (3, 3)."""
        return self._along(self._axes, place)

    def before(self, place: float, side: float, front: float) -> Float:
        """A point so far to the right of the middle and in front of the anterior wall; mm in patient space."""
        _, deep = self._along(self._sizes, place)
        return np.asarray(self._along(self._origins, place) + self.axes(place) @ np.array([side, deep + front, 0.0]))

    def beside(self, place: float, side: float, front: float) -> Float:
        """A point so far outside the body's side, right where positive, and in front of its middle; mm in patient space."""
        wide, _ = self._along(self._sizes, place)
        return np.asarray(self._along(self._origins, place) + self.axes(place) @ np.array([side + np.sign(side) * wide, front, 0.0]))

    def ball(self, place: float, middle: Float, half: Numbers) -> Part:
        """An ellipsoid along the spine's axes."""
        return Part(middle, np.array(half, np.float64), self.axes(place), power=2.0)


def put_organs(hu: Array, patient: Patient, grid: Grid, keep: NDArray[np.bool_], generator: Generator) -> None:
    """Draw the organs before and beside a spine; writes into ``hu``. See ``surroundings.surround``."""
    column = _Column(patient)
    chest, belly, vessels = generator.spawn(3)
    blood = float(vessels.uniform(30.0, 60.0) if vessels.random() < 0.5 else vessels.uniform(100.0, 350.0))
    for parts, value in (*_chest(column, chest), *_belly(column, belly, blood), *_vessels(column, vessels, chest, blood)):
        if place := place_of(parts, grid):
            put_tissue(hu[place.box], place.depth, place.spacing_mm, keep[place.box], value)


def _usual(level: Level) -> int:
    """Place of a level where a spine begins or ends with it: an L6 is where L5 usually is, a T13 where T12 is."""
    below = level.rank - Level.T1.rank
    return below if level < Level.T13 else min(below, Level.L5.rank - Level.T1.rank) - 1


def _line(column: _Column, places: Sequence[float], side: Numbers, front: Numbers, *, beside: bool = False) -> Float:
    """Points at places along the spine; how far they lie from it is given at the first, between and at the last."""
    at = np.linspace(places[0], places[1], max(int(abs(places[1] - places[0]) * 1.5), 2) + 1)
    share = np.linspace(0.0, 1.0, len(at))
    known = np.linspace(0.0, 1.0, len(side))
    point = column.beside if beside else column.before
    return np.array([point(p, float(np.interp(s, known, side)), float(np.interp(s, known, front))) for p, s in zip(at, share, strict=True)])


def _chest(column: _Column, generator: Generator) -> Iterator[Tissue]:
    """Lungs' apices and recesses, liver, spleen and stomach below the domes, heart, oesophagus, trachea and bronchi."""
    breath = generator.normal(0.0, BREATH_SD)

    def place(usual: float) -> float:
        return float(usual + breath + generator.normal(0.0, LEVEL_SD))

    for sign in (-1.0, 1.0):
        end = place(LUNG_END)
        thick = generator.uniform(0.8, 1.2)
        for begin, stop, side, front, radius in RECESS:
            line = _line(column, (end - begin, end - stop), sign * np.array(side), front, beside=True)
            yield [bar_part(line, radius * thick)], LUNG_HU
        top = generator.normal(-0.3, LEVEL_SD)
        yield [column.ball(top + 1.5, column.beside(top + 1.5, sign * 32.0, 15.0), (24.0, 30.0, 42.0))], LUNG_HU
    soft = generator.uniform(35.0, 65.0)
    for sign, depth, wide in ((1.0, 40.0, 72.0), (-1.0, 35.0, 55.0)):  # the liver, and what lies below the left dome
        dome = place(DOME + (0.0 if sign > 0 else 0.4))
        half = generator.uniform(70.0, 95.0)
        middle = column.before(dome, sign * (wide + 12.0), depth) - half * column.axes(dome)[:, 2]
        yield [column.ball(dome, middle, (wide, 78.0, half))], soft
        if sign < 0 and generator.random() < 0.7:  # air in the stomach
            bubble = column.before(dome + 1.5, -50.0, 55.0)
            yield [column.ball(dome, bubble, generator.uniform(12.0, 30.0, 3))], AIR_HU
    heart = place(HEART)
    yield [column.ball(heart, column.before(heart, -18.0, 68.0), (55.0, 44.0, generator.uniform(42.0, 56.0)))], soft
    fork = place(CARINA)
    end = place(OESOPHAGUS_END)
    gullet = _line(column, (-3.0, end), (-6.0, -2.0, -4.0, -12.0), (9.0, 11.0, 13.0, 24.0))
    yield [bar_part(gullet, generator.uniform(5.0, 7.5))], generator.uniform(25.0, 50.0)
    if generator.random() < 0.3:
        yield [bar_part(gullet[2 : 2 + int(generator.integers(2, 5))], 2.5)], AIR_HU
    yield [bar_part(_line(column, (-3.0, fork), (2.0, 2.0), (20.0, 24.0)), generator.uniform(7.0, 10.0))], AIR_HU
    middle = column.before(fork, 2.0, 24.0)
    ends = [column.before(fork + down, side, 26.0) for down, side in ((1.1, 30.0), (1.4, -38.0))]
    yield [bar_part(np.stack([middle, one]), generator.uniform(5.0, 7.0)) for one in ends], AIR_HU


def _belly(column: _Column, generator: Generator, blood: float) -> Iterator[Tissue]:
    """Kidneys in their fat, and the psoas on both sides."""
    for sign in (-1.0, 1.0):
        begin = PSOAS + generator.normal(0.0, LEVEL_SD)
        bulk = generator.uniform(0.7, 1.25)
        muscle, fat = generator.uniform(40.0, 65.0), generator.uniform(0.5, 4.0)
        psoas: list[Part] = []
        for upper, lower, side, radius in MUSCLE:
            line = _line(column, (begin + upper, begin + lower), sign * np.array([side, side + 6.0]) * bulk, (-4.0, 6.0), beside=True)
            yield [bar_part(line, radius * bulk + fat)], FAT_HU
            psoas.append(bar_part(line, radius * bulk))
        yield psoas, muscle
        hilum = RENAL_HILUM + generator.normal(0.0, LEVEL_SD) - (0.3 if sign < 0 else 0.0)
        middle = column.beside(hilum, sign * generator.uniform(40.0, 54.0), generator.uniform(-10.0, 6.0))
        half = generator.uniform((23.0, 22.0, 46.0), (31.0, 30.0, 60.0))
        yield [column.ball(hilum, middle, half + generator.uniform(4.0, 16.0))], FAT_HU
        yield [column.ball(hilum, middle, half)], max(generator.uniform(25.0, 40.0), 0.7 * blood)
        yield [column.ball(hilum, middle - sign * 16.0 * column.axes(hilum)[:, 0], (14.0, 11.0, 18.0))], FAT_HU


def _vessels(column: _Column, generator: Generator, chest: Generator, blood: float) -> Iterator[Tissue]:
    """The aorta from its arch to where it divides, and the vena cava."""
    arch, fork = ARCH + chest.normal(0.0, LEVEL_SD), FORK + generator.normal(0.0, LEVEL_SD)
    wide = generator.uniform(0.85, 1.2)
    top = [column.before(arch + down, side, front) for down, side, front in AORTIC_ARCH]
    yield [bar_part(np.array(top), 12.5 * wide)], blood
    upper = _line(column, (arch + 1.2, 11.0), (-21.0, -18.0, -6.0), (4.0, 8.0, 12.0))
    lower = _line(column, (11.0, fork), (-6.0, -4.0, -2.0), (12.0, 11.0, 10.0))
    yield [bar_part(upper, 11.0 * wide), bar_part(lower, 8.5 * wide)], blood
    iliac = [_line(column, (fork, fork + 2.5), (-2.0, sign * 38.0), (10.0, 6.0)) for sign in (-1.0, 1.0)]
    yield [bar_part(line, 5.5 * wide) for line in iliac], blood
    vein = blood if generator.random() < 0.6 else generator.uniform(30.0, 60.0)
    end = CAVA_END + chest.normal(0.0, LEVEL_SD)
    flat = generator.uniform(7.0, 11.0)
    yield [bar_part(_line(column, (end, 15.5), (22.0, 20.0, 18.0), (30.0, 15.0, 12.0)), flat)], vein
    veins = [_line(column, (15.5, 18.0), (18.0, sign * 40.0), (11.0, 5.0)) for sign in (-1.0, 1.0)]
    yield [bar_part(line, 6.0) for line in veins], vein
