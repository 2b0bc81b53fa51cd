"""Train the network that tells levels from whole scans, on phantoms or scans with random looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from shapekit.segmentation import LevelNetwork, View, Volume, draw_view, levels_card
from shapekit.segmentation.labelling import candidates
from shapekit.segmentation.levels import CLASSES, KIND, sequence_scores
from shapekit.segmentation.views import VIEW_MM
from shapekit.training.config import LevelConfig
from shapekit.training.steps import Progress, StepTrainer, held_out

ALONE_UNTIL = 0.5
"""Share of all steps over which what is said of each body alone counts less and less; then only sequences do."""
VALIDATION_STREAM = 1


def draw_views(volumes: Sequence[Volume], config: LevelConfig, step: int, *, stream: int = 0) -> list[View]:
    """Draw the views of a step: the same for a seed and a step, whatever came before."""
    generator = np.random.default_rng(np.random.SeedSequence(config.seed, spawn_key=(stream, step)))
    return [draw_view(volumes[int(generator.integers(len(volumes)))], generator=own) for own in generator.spawn(config.batch)]


class LevelTrainer(StepTrainer[list[View]]):
    """One run of the network of levels; see ``StepTrainer``."""

    kind, build, drawn = KIND, LevelNetwork, staticmethod(draw_views)
    config: LevelConfig

    @staticmethod
    def prepared(volumes: Sequence[Volume]) -> Sequence[Volume]:
        """Bring volumes onto the voxels of views."""
        return [volume.coarser(round(VIEW_MM / volume.spacing_mm)) for volume in volumes]

    def _told(self, view: View) -> Tensor:
        with self.rounded():
            image, bodies = (torch.from_numpy(part)[None, None].to(self.device) for part in (view.image, view.bodies))
            told: Tensor = self.network(image, bodies, [view.count])[0]
        return told.float()

    def objective(self, batch: list[View], share: float) -> Tensor:
        """Return the mean of minus the log-probability of each view's sequence; where nothing was learnt yet also that of its bodies alone."""
        alone = 0.0 if self.goes_on else max(1.0 - share / ALONE_UNTIL, 0.0)
        losses = []
        for view in batch:
            told = self._told(view)
            loss = -sequence_scores(told)[candidates(view.count)[0].index(view.levels)]
            if alone:
                classes = torch.tensor([CLASSES.index(level) for level in view.levels], device=told.device)
                loss = loss + alone * functional.cross_entropy(told, classes)
            losses.append(loss)
        return torch.stack(losses).mean()

    def validated(self) -> dict[str, float]:
        """Share of bodies and of views named rightly, and minus the mean log-probability of what is right, on views of what is held out."""
        if not self.watched:
            return {}
        self.network.eval()
        rows = []
        for step in range(self.config.watched):
            for view in draw_views(self.watched, self.config, step, stream=VALIDATION_STREAM):
                with torch.no_grad():
                    scores = sequence_scores(self._told(view))
                sequences, _ = candidates(view.count)
                best = sequences[int(scores.argmax())]
                right = sum(one is other for one, other in zip(best, view.levels, strict=True))
                rows.append((right, view.count, best == view.levels, -float(scores[sequences.index(view.levels)])))
        self.network.train()
        bodies, counts, views, losses = np.array(rows, np.float64).T
        return {"bodies_right": float(bodies.sum() / counts.sum()), "views_right": float(views.mean()), "surprise": float(losses.mean())}


def train_levels(
    config: LevelConfig,
    volumes: Sequence[Volume],
    folder: str | Path,
    *,
    watched: Sequence[Volume] | None = None,
    cohort: str = "",
    start: str | Path | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> tuple[Path, str]:
    """Train and write ``levels.safetensors``; a run that was stopped goes on where its last checkpoint stood.

    Parameters
    ----------
    config : LevelConfig
    volumes : sequence of Volume
        To learn from.
    folder : path
    watched : sequence of Volume, optional
        To watch the training on; see ``held_out``.
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
    trainer = LevelTrainer(config, learnt, watched, Path(folder), device=device, cohort=cohort, start=start)
    trainer.resume()
    trainer.run(progress)
    card = levels_card(trainer.network.sizes, asdict(config)) | {"validation": trainer.validated()}
    return trainer.write(Path(folder) / "levels.safetensors", card)
