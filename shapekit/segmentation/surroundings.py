"""What lies around a phantom's spine in a CT: ribs, sacrum, iliac wings and neck, and organs. All sizes are assumed, from textbook anatomy.

Bones beside the spine are no targets. What tells a first sacral segment from a fifth lumbar body is what it is part of: wings, fusion
with the next, the turn of the curve; and what tells thoracic levels from lumbar ones is, beside size, whether a rib leaves from them.
Where a scan shows neither end of the spine, organs tell most (``organs.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from shapekit.core.frame import Frame
from shapekit.core.grid import Grid
from shapekit.core.levels import Level
from shapekit.phantom import Patient, Vertebra
from shapekit.segmentation.bones import Part, bar_part, place_of, put_bone
from shapekit.segmentation.organs import put_organs

Array = NDArray[np.float32]
Float = NDArray[np.float64]

BELOW_MM, ABOVE_MM = 80.0, 45.0
"""How far a volume goes on beyond the spine to show what lies there."""
RIBS, SACRUM, WINGS, NECK, ORGANS = 0.75, 0.85, 0.8, 0.65, 0.9
"""How often each is there: masks' CTs may be crops, and phantoms elsewhere have none of them."""
SEGMENT_HALF_MM = np.array([25.0, 15.5, 14.0])
"""Of the first sacral segment, for a last lumbar body of 26 mm half width."""
SEGMENTS = np.array([[1.0, 1.0, 1.0], [0.78, 0.74, 0.88], [0.62, 0.54, 0.76], [0.5, 0.42, 0.68], [0.4, 0.34, 0.6]])
GAP_MM, WORN = (0.5, 4.0, 12.0), 0.3
"""Height of the last disc, mm: least, least of those that are not worn, most; and the share of worn ones. Discs are degenerate in 37 % of those of
20 years and 96 % of those of 80 without pain, and fewer have lost height (Brinjikji et al. 2015, AJNR 36:811); share and heights are assumed."""
NECK_HALF_MM = np.array([13.5, 8.3, 6.8])


def surround(hu: Array, patient: Patient, grid: Grid, keep: NDArray[np.bool_], generator: Generator) -> None:
    """Draw what lies around a spine; writes into ``hu``.

    Parameters
    ----------
    hu : (i, j, k) float32
    patient : Patient
    grid : Grid
    keep : (i, j, k) bool
        The patient's vertebrae.
    generator : numpy.random.Generator
    """
    apart = generator.spawn(1)[0]
    if apart.random() < ORGANS:
        put_organs(hu, patient, grid, keep, apart)
    ribs, sacrum, wings, neck = generator.random(4) < (RIBS, SACRUM, WINGS, NECK)
    bones: list[list[Part]] = []
    if ribs:
        bones += _ribs(patient, generator)
    if sacrum:
        bones += _sacrum(patient.vertebrae[-1], generator, wings=bool(wings))
    if neck:
        bones += _neck(patient.vertebrae[0], generator)
    for parts in bones:
        if place := place_of(parts, grid):
            put_bone(hu[place.box], place.depth, place.spacing_mm, keep[place.box], generator)


def _turned(frame: Frame, degrees: float) -> Frame:
    """The frame leaned forward by an angle: its superior axis goes anterior."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    lr, ap, si = frame.axes.T
    return replace(frame, axes=np.stack([lr, cos * ap - sin * si, cos * si + sin * ap], axis=1))


def _block(frame: Frame, at: Sequence[float], half: Float) -> Part:
    return Part(frame.to_world(np.array(at)), half, frame.axes)


def _sacrum(last: Vertebra, generator: Generator, *, wings: bool) -> list[list[Part]]:
    """Five fused segments that shrink and curl forward, with wings of their own and a crest behind; two iliac wings."""
    scale = last.healthy.half_width_mm / 26.0 * generator.uniform(0.9, 1.1, 3)
    place, _ = last.endplates()[1]
    frame = _turned(replace(last.placement, origin=place), generator.normal(8.0, 3.0))
    rank = generator.random()
    gap = float(np.interp(rank, (0.0, WORN, 1.0), GAP_MM))
    first: Frame | None = None
    parts: list[Part] = []
    behind: list[Float] = []
    for n, size in enumerate(SEGMENTS):
        half = SEGMENT_HALF_MM * size * scale
        frame = _turned(frame, generator.normal(8.0, 3.0) if n == 0 else -generator.normal(17.0, 5.0))
        frame = replace(frame, origin=frame.to_world(np.array([0.0, 0.0, -gap - half[2]])))
        first = first or frame
        parts.append(_block(frame, (0.0, 0.0, 0.0), half))
        if n < 3:
            side, deep = half[0] + 6.0 - 2.0 * n, -half[1] * generator.uniform(0.2, 0.5)
            reach = np.array([21.0 - 4.0 * n, 13.0 - 2.5 * n, half[2] + 2.0]) * scale[0]
            parts += [_block(frame, (sign * side, deep, 0.0), reach) for sign in (-1, 1)]
        behind.append(frame.to_world(np.array([0.0, -half[1] - 15.0 + 2.0 * n, 0.0])))
        frame = replace(frame, origin=frame.to_world(np.array([0.0, 0.0, -half[2]])))
        gap = generator.uniform(0.0, 4.0 if n == 0 else 2.0)  # what is left of the discs
    parts.append(bar_part(np.stack(behind), generator.uniform(4.0, 7.0)))
    assert first is not None
    return [parts, *([[wing] for wing in _iliac_wings(first, float(scale[0]), generator)] if wings else [])]


def _iliac_wings(first: Frame, scale: float, generator: Generator) -> list[Part]:
    """Plates beside the sacrum that flare forward and aside."""
    aside, back, up = generator.uniform(52.0, 66.0), generator.uniform(-28.0, -8.0), generator.uniform(0.0, 25.0)
    half = np.array([generator.uniform(4.0, 8.0), 42.0, 46.0]) * scale
    flare = np.radians(generator.uniform(25.0, 50.0))
    wings = []
    for sign in (-1.0, 1.0):
        cos, sin = np.cos(sign * flare), np.sin(sign * flare)
        axes = first.axes @ np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])
        wings.append(Part(first.to_world(np.array([sign * aside * scale, back, up])), half, axes))
    return wings


def _neck(top: Vertebra, generator: Generator) -> list[list[Part]]:
    """Four cervical vertebrae above the first body: smaller, with pillars beside the canal and a process behind."""
    scale = top.healthy.half_width_mm / 15.5 * generator.uniform(0.85, 1.05, 3)
    place, _ = top.endplates()[0]
    frame = replace(top.placement, origin=place)
    bones = []
    for n in range(4):
        half = NECK_HALF_MM * scale * (1.0 - 0.04 * n)
        frame = _turned(frame, generator.normal(-3.0, 4.0))
        frame = replace(frame, origin=frame.to_world(np.array([0.0, 0.0, generator.uniform(3.5, 6.5) + half[2]])))
        back = -half[1] - generator.uniform(10.0, 14.0)
        pillars = [_block(frame, (sign * half[0] * 1.35, back + 4.0, -1.0), np.array([5.0, 6.0, half[2] + 1.5])) for sign in (-1, 1)]
        process = _block(frame, (0.0, back - 14.0, -6.0), np.array([3.0, generator.uniform(10.0, 18.0), 4.0]))
        bones.append([_block(frame, (0.0, 0.0, 0.0), half), *pillars, process])
        frame = replace(frame, origin=frame.to_world(np.array([0.0, 0.0, half[2]])))
    return bones


def _ribs(patient: Patient, generator: Generator) -> list[list[Part]]:
    """A pair for every thoracic vertebra: from the body's rim behind the transverse process and around; the last two are short."""
    bones = []
    thoracic = [vertebra for vertebra in patient if vertebra.level < Level.L1]
    droop, radius = generator.uniform(0.2, 0.9), generator.uniform(3.0, 5.0)
    for n, vertebra in enumerate(thoracic):
        left = len(thoracic) - 1 - n
        wide, deep = vertebra.healthy.half_width_mm, vertebra.healthy.half_depth_mm
        head_up = generator.uniform(4.0, 9.0) if 0 < n and left > 1 else generator.uniform(0.0, 4.0)
        points = [
            (wide + 2.0, -0.75 * deep, head_up),
            (wide + 18.0, -deep - 11.0, 1.0),
            (wide + 42.0, -deep - 17.0, -8.0),
            (wide + 66.0, -deep + 2.0, -24.0),
            (wide + 74.0, deep + 25.0, -40.0),
        ][: {0: 3, 1: 4}.get(left, 5)]
        if left == 0:
            points[-1] = (wide + generator.uniform(22.0, 45.0), -deep - 14.0, -6.0)
        for sign in (-1.0, 1.0):
            line = np.array(points) + generator.normal(0.0, 1.0, (len(points), 3))
            line[1:] += generator.normal(0.0, 2.0, (len(points) - 1, 3))
            line[:, 0] *= sign
            line[2:, 2] *= 1.0 + droop
            bones.append([bar_part(vertebra.placement.to_world(line), radius * generator.uniform(0.85, 1.15))])
    return bones
