"""What the training loop needs to know of the networks it trains: what they see, what they make of it, and how that is judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from shapekit.core.checks import UsageError
from shapekit.networks import Critic, Generator, PaperCritic, PaperGenerator, distance_of, masks_of
from shapekit.networks.critic import occupancy
from shapekit.ops import blended
from shapekit.predictors.linear import LinearModel
from shapekit.training.batches import Batch
from shapekit.training.config import TrainingConfig
from shapekit.training.linear import BatchGuess
from shapekit.training.losses import shape_loss, surface_error_mm

QUARTER = (-0.0234375, 0.2265625, 0.8671875, -0.0703125)
"""Shares of four values in a row at a quarter of the way from the third to the second."""

Network = Callable[..., Any]
"""A network in the precision asked for."""


class Learner(Protocol):
    """One kind of networks; shapes are whatever its networks make, fields or logits.

    ``starts_from_fields`` tells whether what a stage starts from is a field on the samples' own patch, which can stand for a broken neighbour.
    """

    starts_from_fields: bool

    def networks(self) -> dict[str, nn.Module]:
        """Make coarse, refine and critic."""
        ...

    def shown(self, batch: Batch) -> Batch:
        """Return a batch as the networks see it."""
        ...

    def first(self, batch: Batch) -> Tensor | None:
        """Say what coarse starts from beside the neighbours."""
        ...

    def made(self, network: Network, batch: Batch, before: Tensor | None) -> Tensor:
        """Return the shapes that a stage makes of a batch and of what the stage before it made."""
        ...

    def loss(self, made: Tensor, batch: Batch) -> Tensor:
        """Measure how far shapes are from the targets; a scalar."""
        ...

    def judged(self, batch: Batch, made: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what the critic sees: soft occupancies of the neighbours, of the targets and of what was made."""
        ...

    def error_mm(self, made: Tensor, batch: Batch) -> Tensor:
        """Mean distance from shapes to the targets of a batch that was not yet ``shown``; (B,) mm."""
        ...


class EfficientLearner:
    """Distance fields at 2 mm, as corrections to the linear model's guess."""

    starts_from_fields = True

    def __init__(self, config: TrainingConfig, model: LinearModel) -> None:
        self.config, self.guess = config, BatchGuess(model)

    def networks(self) -> dict[str, nn.Module]:
        """See ``Learner``."""
        critic = Critic(self.config.critic_width)  # first, as when the shipped weights were trained: their start depends on it
        return {"coarse": Generator(self.config.coarse_width), "refine": Generator(self.config.width), "critic": critic}

    def shown(self, batch: Batch) -> Batch:
        """See ``Learner``."""
        return batch

    def first(self, batch: Batch) -> Tensor:
        """See ``Learner``."""
        guess: Tensor = self.guess.to(batch.fields.device)(batch)
        return guess

    def made(self, network: Network, batch: Batch, before: Tensor | None) -> Tensor:
        """See ``Learner``."""
        assert before is not None
        return blended(batch.fields, before, *network(batch.fields, before, batch.level, batch.present))

    def loss(self, made: Tensor, batch: Batch) -> Tensor:
        """See ``Learner``."""
        return shape_loss(made, batch.target)

    def judged(self, batch: Batch, made: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See ``Learner``."""
        return occupancy(batch.fields), occupancy(batch.target), occupancy(made)

    def error_mm(self, made: Tensor, batch: Batch) -> Tensor:
        """See ``Learner``."""
        return surface_error_mm(made, batch.target)


class PaperLearner:
    """Masks at 1 mm → logits, as Botros et al. 2022 have it; the critic sees probabilities, never a threshold."""

    starts_from_fields = False

    def __init__(self, config: TrainingConfig) -> None:
        self.config = config

    def networks(self) -> dict[str, nn.Module]:
        """See ``Learner``."""
        coarse, refine = PaperGenerator(4, self.config.coarse_width), PaperGenerator(5, self.config.width)
        return {"coarse": coarse, "refine": refine, "critic": PaperCritic(self.config.critic_width)}

    def shown(self, batch: Batch) -> Batch:
        """See ``Learner``."""
        return replace(batch, fields=masks_of(_doubled(batch.fields)), target=masks_of(_doubled(batch.target)))

    def first(self, batch: Batch) -> None:  # noqa: ARG002
        """See ``Learner``; nothing."""
        return

    def made(self, network: Network, batch: Batch, before: Tensor | None) -> Tensor:
        """See ``Learner``."""
        logits: Tensor = network(batch.fields if before is None else torch.cat([batch.fields, torch.sigmoid(before)], dim=1)).float()
        return logits

    def loss(self, made: Tensor, batch: Batch) -> Tensor:
        """See ``Learner``."""
        return functional.binary_cross_entropy_with_logits(made, batch.target)

    def judged(self, batch: Batch, made: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See ``Learner``."""
        return batch.fields, batch.target, torch.sigmoid(made)

    def error_mm(self, made: Tensor, batch: Batch) -> Tensor:
        """See ``Learner``."""
        fields = torch.stack([torch.from_numpy(distance_of(one)) for one in made[:, 0].cpu().numpy()])[:, None]
        return surface_error_mm(fields, _doubled(batch.target.cpu()))


def learner_of(config: TrainingConfig, model: LinearModel | None) -> Learner:
    """Choose the learner of a configuration's networks.

    Raises
    ------
    UsageError
        If the efficient networks are to learn without a linear model.
    """
    if config.networks == "paper":
        return PaperLearner(config)
    if model is None:
        raise UsageError("the efficient networks start from a linear model's guess, but none was given; fit one to the cohort with `fit_linear`.")
    return EfficientLearner(config, model)


def _doubled(fields: Tensor) -> Tensor:
    """Bring fields (..., 40, 32, 32) at 2 mm to (..., 80, 64, 64) at 1 mm, by cubics (Catmull-Rom): straight lines would shave off curves."""
    for axis in (-3, -2, -1):
        last = fields.shape[axis] - 1
        around = [fields.index_select(axis, (torch.arange(last + 1, device=fields.device) + step).clamp(0, last)) for step in range(-2, 3)]
        before = sum(weight * field for weight, field in zip(QUARTER, around[:4], strict=True))
        after = sum(weight * field for weight, field in zip(QUARTER, reversed(around[1:]), strict=True))
        fields = torch.stack([torch.as_tensor(before), torch.as_tensor(after)], dim=axis).flatten(axis - 1, axis)
    return fields
