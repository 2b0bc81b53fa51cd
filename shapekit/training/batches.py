"""Batches of targets with their neighbours: who is left out, who is broken, mirrored and scaled, all from a seed and a step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional

from shapekit.core.conventions import COARSE_SHAPE
from shapekit.predictors.linear import LEVELS
from shapekit.training.samples import Samples, as_held, seeded

GONE, ONE_SIDED, DROPPED, MENDED = 0.06, 0.12, 0.08, 0.5
"""Chances that a neighbour is missing and the next takes its seat, that one side is, that a slot is empty, that a broken one is shown repaired."""
SCALED = 0.5
HOST = torch.device("cpu")
SCALE_SD, STRETCH_SD = 0.06, 0.03

PLACE_OF_RANK = {level.rank: n for n, level in enumerate(LEVELS)}


@dataclass(frozen=True)
class Batch:
    """Tensors of ``count`` targets.

    Parameters
    ----------
    fields : (B, 4, 40, 32, 32) float32, mm
        Neighbours; zeros where there is none.
    present : (B, 4) bool
    level : (B,) int64
    target : (B, 1, 40, 32, 32) float32, mm
    places : (B, 4) int64
        Positions of the neighbours in T1 … L6; -1 where there is none.
    """

    fields: Tensor
    present: Tensor
    level: Tensor
    target: Tensor
    places: Tensor


@dataclass(frozen=True)
class Seats:
    """Who sits beside one target: numbers into its spine, None where nobody does; ``mended`` ones are shown as expected, where that is known."""

    target: int
    slots: tuple[int | None, ...]
    mended: tuple[bool, ...] = (False, False, False, False)


def targets_of(cohort: Sequence[Samples]) -> list[tuple[int, int]]:
    """Pairs of spine and vertebra that may be targets: their healthy shape is known and they have a whole neighbour."""
    return [(n, int(t)) for n, spine in enumerate(cohort) for t in np.flatnonzero(spine.is_target) if np.delete(spine.is_context, t).any()]


def full_seats(spine: Samples, target: int, *, mended: bool = False) -> Seats:
    """Seat the nearest two whole neighbours on either side."""
    above = [int(n) for n in np.flatnonzero(spine.is_context) if n < target]
    below = [int(n) for n in np.flatnonzero(spine.is_context) if n > target]
    return Seats(target, _seated(above, below), (mended,) * 4)


def draw_seats(spine: Samples, target: int, generator: Generator) -> Seats:
    """Seat neighbours with some of them missing, as scans have it; one at least stays."""
    usable = [int(n) for n in np.flatnonzero(spine.is_context) if n != target]
    chance = generator.random(len(usable) + 10)
    above = [n for n, c in zip(usable, chance, strict=False) if n < target and c > GONE]
    below = [n for n, c in zip(usable, chance, strict=False) if n > target and c > GONE]
    one_sided, dropped, mended = chance[-1], chance[-5:-1], chance[-9:-5]
    if one_sided < ONE_SIDED / 2 and below:
        above = []
    elif one_sided < ONE_SIDED and above:
        below = []
    slots = _seated(above, below)
    kept = tuple(None if d < DROPPED else slot for slot, d in zip(slots, dropped, strict=True))
    if all(slot is None for slot in kept):
        kept = slots if any(slot is not None for slot in slots) else full_seats(spine, target).slots
    return Seats(target, kept, tuple(bool(m < MENDED) for m in mended))


def _seated(above: list[int], below: list[int]) -> tuple[int | None, ...]:
    return (
        above[-2] if len(above) > 1 else None,
        above[-1] if above else None,
        below[0] if below else None,
        below[1] if len(below) > 1 else None,
    )


def assembled(spines: Sequence[Samples], seats: Sequence[Seats], *, device: torch.device = HOST) -> Batch:
    """Gather the tensors of a batch, on a device."""
    fields = np.zeros((len(seats), 4, *COARSE_SHAPE), dtype=np.float16)  # as samples hold them
    present = np.zeros((len(seats), 4), dtype=bool)
    target = np.zeros((len(seats), 1, *COARSE_SHAPE), dtype=np.float16)
    level = np.zeros(len(seats), dtype=np.int64)
    places = np.full((len(seats), 4), -1, dtype=np.int64)
    for n, (spine, seat) in enumerate(zip(spines, seats, strict=True)):
        for slot, (who, mended) in enumerate(zip(seat.slots, seat.mended, strict=True)):
            if who is not None:
                fields[n, slot] = spine.expected.get(who, spine.measured[who]) if mended else spine.measured[who]
                present[n, slot] = True
                places[n, slot] = PLACE_OF_RANK[int(spine.ranks[who])]
        target[n, 0] = spine.healthy[seat.target]
        level[n] = PLACE_OF_RANK[int(spine.ranks[seat.target])]
    batch = Batch(*(torch.from_numpy(part).to(device) for part in (fields, present, level, target, places)))
    return replace(batch, fields=batch.fields.float(), target=batch.target.float())


def repaired(spine: Samples, expect: Callable[[Batch], Tensor], *, device: torch.device = HOST) -> Samples:
    """Say how a spine's broken bodies are expected: first from their neighbours as they are, then from these as they are expected.

    Parameters
    ----------
    spine : Samples
    expect : callable
        Returns the shapes (B, 1, 40, 32, 32) in mm that are expected of a batch's targets.
    device : torch.device
        Where it wants its batches.
    """
    whom = [t for _, t in targets_of([spine]) if spine.broken[t] and spine.is_context[t]]
    done = replace(spine, expected={})
    for mended in (False, True) if whom else ():
        batch = assembled([done] * len(whom), [full_seats(done, n, mended=mended) for n in whom], device=device)
        done = replace(done, expected=dict(zip(whom, as_held(expect(batch)[:, 0].cpu().numpy()), strict=True)))
    return done


def draw_batch(
    cohort: Sequence[Samples], targets: Sequence[tuple[int, int]], count: int, *, key: tuple[int, ...], seed: int, device: torch.device = HOST
) -> Batch:
    """Draw targets, their company and their augmentation; the same for the same seed and key.

    Parameters
    ----------
    cohort : sequence of Samples
    targets : sequence of (int, int)
        See ``targets_of``.
    count : int
    key : tuple of int
        Stage, step and process.
    seed : int
    device : torch.device
        Where they are mirrored and scaled, and stay.
    """
    generator = seeded(seed, *key)
    picked = [targets[int(n)] for n in generator.integers(0, len(targets), count)]
    seats = [draw_seats(cohort[n], t, generator) for n, t in picked]
    batch = assembled([cohort[n] for n, _ in picked], seats, device=device)
    mirrored = torch.from_numpy(generator.random(count) < 0.5).to(device)
    scale = np.exp(SCALE_SD * generator.standard_normal((count, 1)) + STRETCH_SD * generator.standard_normal((count, 3)))
    scale[generator.random(count) >= SCALED] = 1.0
    both = torch.cat([batch.fields, batch.target], dim=1)
    both = torch.where(mirrored[:, None, None, None, None], both.flip(2), both)
    both = _scaled(both, torch.from_numpy(scale.astype(np.float32)))
    return replace(batch, fields=both[:, :4] * batch.present[:, :, None, None, None], target=both[:, 4:])


def _scaled(fields: Tensor, scale: Tensor) -> Tensor:
    """Stretch shapes about their patch's middle by factors along (LR, AP, SI); distances grow by their mean, which is near enough to 1."""
    turned = (scale != 1).any(dim=1).nonzero()[:, 0]
    if not len(turned):
        return fields
    theta = torch.zeros(len(turned), 3, 4)
    for axis in range(3):
        theta[:, axis, axis] = 1.0 / scale[turned, 2 - axis]  # grid_sample wants the last array axis first
    grid = functional.affine_grid(theta, [len(turned), *fields.shape[1:]], align_corners=False)
    factor = scale[turned].mean(dim=1)[:, None, None, None, None]
    turned, grid, factor = (part.to(fields.device) for part in (turned, grid, factor))
    moved = functional.grid_sample(fields[turned], grid, mode="bilinear", padding_mode="border", align_corners=False)
    fields = fields.clone()
    fields[turned] = moved * factor
    return fields
