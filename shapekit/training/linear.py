"""Fit the linear conditional shape model to samples, with the networks' own augmentation; and let it guess for whole batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from shapekit.predictors.base import DIRECT, SLOTS
from shapekit.predictors.linear import BAND_MM, LinearModel
from shapekit.training.batches import PLACE_OF_RANK, Batch, draw_seats, full_seats, targets_of
from shapekit.training.samples import Samples, seeded


def fit_linear(cohort: Sequence[Samples], *, seed: int = 1000, components: int = 80, ridge: float = 25.0) -> LinearModel:
    """Fit the model; every target is seen with its full company and once with some of it missing.

    Parameters
    ----------
    cohort : sequence of Samples
    seed : int
    components : int
    ridge : float

    Raises
    ------
    InputError
        If there are fewer than three healthy targets with a whole neighbour.
    """
    targets = targets_of(cohort)
    generator = seeded(seed, 9)
    starts = np.cumsum([0, *(len(spine.ranks) for spine in cohort)])
    contexts = np.concatenate([spine.measured for spine in cohort]) if cohort else np.zeros((0, 40, 32, 32), np.float16)
    shapes = np.array([cohort[n].healthy[t] for n, t in targets])
    levels = np.array([PLACE_OF_RANK[int(cohort[n].ranks[t])] for n, t in targets])
    seats = []
    for n, t in targets:
        spine = cohort[n]
        for seat in (full_seats(spine, t), draw_seats(spine, t, generator)):
            seats.append([(-1, -1) if who is None else (int(starts[n]) + who, PLACE_OF_RANK[int(spine.ranks[who])]) for who in seat.slots])
    return LinearModel.fit(shapes, levels, contexts, np.array(seats).reshape(-1, 2, len(SLOTS), 2), components=components, ridge=ridge)


class BatchGuess(nn.Module):
    """What ``LinearModel.guess`` gives, for batches on any device; batch → (B, 1, 40, 32, 32) mm.

    Who is there decides which of 2⁴ - 1 regressions applies; all of them are solved once.

    Parameters
    ----------
    model : LinearModel
    """

    maps: Tensor
    shares: Tensor
    mean: Tensor
    modes: Tensor
    level_means: Tensor
    seat_means: Tensor

    def __init__(self, model: LinearModel) -> None:
        super().__init__()
        count, modes = len(SLOTS), len(model.modes)
        seen = np.arange(2**count)[:, None] >> np.arange(count) & 1
        maps = np.zeros((2**count, count * modes, modes))
        for pattern in range(1, 2**count):
            rows = np.flatnonzero(np.repeat(seen[pattern], modes))
            inner = model.covariance[np.ix_(rows, rows)] + model.ridge * np.eye(len(rows))
            maps[pattern, rows] = np.linalg.solve(inner, model.covariance[rows, count * modes :])
        direct = np.isin(np.arange(count), DIRECT)
        shares = np.where((seen & direct).any(axis=1, keepdims=True), seen & direct, seen)
        parts = {"maps": maps, "shares": shares / np.maximum(shares.sum(axis=1, keepdims=True), 1)}
        parts |= {name: getattr(model, name) for name in ("mean", "modes", "level_means", "seat_means")}
        for name, part in parts.items():
            self.register_buffer(name, torch.from_numpy(np.asarray(part, np.float32)))

    def forward(self, batch: Batch) -> Tensor:
        """Guess the targets of a batch."""
        fields, there = batch.fields, batch.present
        pattern = (there.long() << torch.arange(there.shape[1], device=there.device)).sum(dim=1)
        known = (fields.clamp(-BAND_MM, BAND_MM).flatten(2) - self.mean) @ self.modes.T
        known = (known - self.level_means[batch.places.clamp(min=0)] - self.seat_means[:-1]) * there[:, :, None]
        found = self.level_means[batch.level] + self.seat_means[-1] + torch.einsum("bi,bij->bj", known.flatten(1), self.maps[pattern])
        half = (self.mean + found @ self.modes).view(-1, 1, *fields.shape[2:])
        base = (fields * self.shares[pattern][:, :, None, None, None]).sum(dim=1, keepdim=True)
        return base + half - base.clamp(-BAND_MM, BAND_MM)
