"""Train the network of iterative instance segmentation on phantoms or scans with random looks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from shapekit.core.levels import Level
from shapekit.ops import signed_distance
from shapekit.segmentation import Sample, Segmenter, Volume, draw_looks, segmenter_card
from shapekit.segmentation.labelling import vote_of
from shapekit.segmentation.network import KIND
from shapekit.training.config import SegmenterConfig
from shapekit.training.steps import Progress, StepTrainer, held_out

FIRST_LAMBDA, RISE = 0.1, 0.5
"""Weight of false positives at first, and the share of all steps over which it rises to 1."""
NEAR, REACH_MM2 = 8.0, 36.0
"""How much more voxels at the surface count, and over which squared distance that falls off."""
TYPICAL_MM3 = 150_000.0
"""Weighted volume of a usual body: brings the paper's sum over voxels to the order of 1."""
LABEL_WEIGHT = 0.02
VALIDATION_STREAM, SCATTER_STREAM = 1, 2
SCATTER_VIEWS, SCATTER_REACH, LEAST_SCATTER = 240, 0.7, 0.2
"""Views on which the votes' errors are measured, over how many levels their means are smoothed (SD), and what an error is taken for at least
[assumed: real CTs differ from what is learnt from]."""
CENTRED = 4.0
"""A body is looked at by a patch that stands still when its middle lies within so many voxels of the patch's."""


@dataclass(frozen=True, eq=False)
class Patches:
    """A batch: ``image``, ``memory``, ``target`` (B, 1, P, P, P) and ``complete``, ``value``, ``present`` (B,)."""

    image: Tensor
    memory: Tensor
    target: Tensor
    complete: Tensor
    value: Tensor
    present: Tensor

    def to(self, device: str) -> Patches:
        """Return the same on a device."""
        return Patches(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


def gathered(samples: Sequence[Sample]) -> Patches:
    """Lay samples into tensors."""
    image, memory, target = (torch.from_numpy(np.stack([getattr(s, name) for s in samples])[:, None]) for name in ("image", "memory", "target"))
    complete, value = (torch.tensor([getattr(s, name) for s in samples], dtype=torch.float32) for name in ("complete", "value"))
    return Patches(image, memory, target, complete, value, (value > 0).float())


def nearness(target: Tensor, spacing_mm: float) -> Tensor:
    """Weight voxels by their distance d (mm) from a body's surface: 1 + 8 exp(-d² / 36); (B, 1, P, P, P) shares of body → the same shape."""
    distance = signed_distance(target[:, 0] > 0.5, (spacing_mm,) * 3)
    return 1.0 + NEAR * torch.exp(-(distance**2) / REACH_MM2)[:, None]


def off_centre(target: Tensor) -> Tensor:
    """Largest distance along an axis, in voxels, of bodies' middles from their patches'; (B, 1, P, P, P) → (B,), 0 where there is no body."""
    ramp = torch.arange(target.shape[-1], device=target.device) - (target.shape[-1] - 1) / 2
    total = target.sum(dim=(1, 2, 3, 4)).clamp(min=1e-6)
    sums = [target.sum(dim=[axis for axis in (1, 2, 3, 4) if axis != kept]) @ ramp for kept in (2, 3, 4)]
    return torch.stack([(part / total).abs() for part in sums]).amax(dim=0)


def segmenter_loss(outputs: tuple[Tensor, Tensor, Tensor], batch: Patches, *, fp_weight: float, cross_entropy: float, spacing_mm: float) -> Tensor:
    """Return λ·FP + FN weighted near the surface, with cross-entropies and the label's 10·L1 + MSE (Lessmann et al. 2019, section 3.2).

    Parameters
    ----------
    outputs : (B, 1, P, P, P), (B,), (B,)
        What the network says: logits, completeness logit, level value.
    batch : Patches
    fp_weight : float
        λ.
    cross_entropy : float
        Weight of the segmentation's cross-entropy.
    spacing_mm : float

    Returns
    -------
    scalar Tensor
    """
    logits, complete, value = outputs
    made = torch.sigmoid(logits)
    wrong = fp_weight * (1.0 - batch.target) * made + batch.target * (1.0 - made)
    entropy = functional.binary_cross_entropy_with_logits(logits, batch.target, reduction="none")
    scale = spacing_mm**3 / TYPICAL_MM3
    loss = ((wrong + cross_entropy * entropy) * nearness(batch.target, spacing_mm)).sum() * scale / len(logits)
    count = batch.present.sum().clamp(min=1.0)
    whole = functional.binary_cross_entropy_with_logits(complete, batch.complete, reduction="none")
    apart = (value - batch.value).abs()
    return loss + ((whole + LABEL_WEIGHT * (10.0 * apart + apart**2)) * batch.present).sum() / count


def draw_batch_of_patches(volumes: Sequence[Volume], config: SegmenterConfig, step: int, *, stream: int = 0) -> Patches:
    """Draw the batch of a step: the same for a seed and a step, whatever came before."""
    generator = np.random.default_rng(np.random.SeedSequence(config.seed, spawn_key=(stream, step)))
    drawn = [draw_looks(volumes[int(generator.integers(len(volumes)))], config.patch, generator=own) for own in generator.spawn(config.batch)]
    return gathered([sample for pair in drawn for sample in pair])


class SegmenterTrainer(StepTrainer[Patches]):
    """One run of the segmentation's network; see ``StepTrainer``."""

    kind, build, drawn = KIND, Segmenter, staticmethod(draw_batch_of_patches)
    config: SegmenterConfig

    def objective(self, batch: Patches, share: float) -> Tensor:
        """Return the loss; false positives count more and more over the first half of a training that starts from nothing."""
        risen = 1.0 if self.goes_on else min(share / RISE, 1.0)
        return self.loss(batch.to(self.device), fp_weight=FIRST_LAMBDA + (1 - FIRST_LAMBDA) * risen)

    def loss(self, batch: Patches, *, fp_weight: float = 1.0) -> Tensor:
        """Return what is minimised; see ``segmenter_loss``."""
        with self.rounded():
            outputs = self.network(batch.image, batch.memory)
        logits, complete, value = (part.float() for part in outputs)
        return segmenter_loss(
            (logits, complete, value), batch, fp_weight=fp_weight, cross_entropy=self.config.cross_entropy, spacing_mm=self.config.spacing_mm
        )

    def _watched(self, number: int, stream: int) -> Iterator[tuple[Patches, tuple[Tensor, Tensor, Tensor]]]:
        """Batches of held-out phantoms, and what the network says of them."""
        self.network.eval()
        for step in range(number):
            batch = draw_batch_of_patches(self.watched, self.config, step, stream=stream).to(self.device)
            with torch.no_grad():
                told = self.network(batch.image, batch.memory)
            yield batch, told
        self.network.train()

    def validated(self) -> dict[str, float]:
        """Mean Dice, level error (levels) and share told rightly whole or cut, on patches of held-out phantoms that show a body."""
        if not self.watched:
            return {}
        rows = []
        for batch, (logits, complete, value) in self._watched(self.config.watched, VALIDATION_STREAM):
            made, real = (logits > 0).flatten(1), (batch.target > 0.5).flatten(1)
            dice = 2 * (made & real).sum(dim=1) / (made.sum(dim=1) + real.sum(dim=1)).clamp(min=1)
            right = ((complete > 0) == (batch.complete > 0.5)).float()
            rows.append(torch.stack([dice, (value - batch.value).abs(), right], dim=1)[batch.present > 0])
        table = torch.cat(rows)
        if not len(table):
            return {}
        return dict(zip(("dice", "levels_off", "complete"), table.mean(dim=0).tolist(), strict=True))

    def scatter(self) -> dict[str, float]:
        """By how many levels votes for whole bodies in a patch's middle err, by level, on held-out phantoms; smooth over neighbouring levels."""
        if not self.watched:
            return {}
        rows = []
        for batch, (_, _, value) in self._watched(-(-SCATTER_VIEWS // self.config.batch), SCATTER_STREAM):
            seen = (batch.complete > 0.5) & (off_centre(batch.target) <= CENTRED)
            rows.append(torch.stack([batch.value, (value - batch.value).abs()], dim=1)[seen])
        true, error = torch.cat(rows).double().cpu().numpy().T
        near = {level: np.exp(-(((true - vote_of(level)) / SCATTER_REACH) ** 2) / 2) for level in Level if not level.is_cervical}
        return {str(level): max(float(near[level] @ error / near[level].sum()), LEAST_SCATTER) for level in near if near[level].sum() > 1.0}


def train_segmenter(
    config: SegmenterConfig,
    volumes: Sequence[Volume],
    folder: str | Path,
    *,
    watched: Sequence[Volume] | None = None,
    cohort: str = "",
    start: str | Path | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> tuple[Path, str]:
    """Train and write ``segmentation.safetensors``; a run that was stopped goes on where its last checkpoint stood.

    Parameters
    ----------
    config : SegmenterConfig
    volumes : sequence of Volume
        To learn from.
    folder : path
    watched : sequence of Volume, optional
        To watch the training on; by default the last twentieth of ``volumes``, at least one where there are several, which then is not learnt from.
    cohort : str
        What scans these are, for the weights' card; empty for phantoms.
    start : path, optional
        Weights of the same task and sizes to go on from.
    device : str
        A torch device.
    progress : callable, optional
        Told step, steps and figures after every step.

    Returns
    -------
    path : Path
    identity : str
        Twelve digits of the weights' checksum.

    Raises
    ------
    InputError
        If the folder's checkpoint or the start does not fit.
    OutputError
        If the folder cannot be written.
    """
    learnt, watched = held_out(volumes, watched)
    trainer = SegmenterTrainer(config, learnt, watched, Path(folder), device=device, cohort=cohort, start=start)
    trainer.resume()
    trainer.run(progress)
    card = segmenter_card(trainer.network.sizes, asdict(config)) | {"validation": trainer.validated(), "scatter": trainer.scatter()}
    return trainer.write(Path(folder) / "segmentation.safetensors", card)
