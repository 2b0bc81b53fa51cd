"""Train a network step by step on batches that other processes draw; on a CPU a run that was stopped goes on to the bit."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import torch
from joblib import cpu_count
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from shapekit.core.checks import InputError
from shapekit.networks import read_weights, write_weights
from shapekit.segmentation import Volume
from shapekit.training.config import LevelConfig, SegmenterConfig
from shapekit.training.loop import WARM_UP, tensors_under
from shapekit.training.package import USE
from shapekit.version import __version__

HELD_OUT = 20
"""One in so many only watches."""
DRAWING = 2
"""Processes that draw batches: on a CPU one draws about as long as a step takes; beside a GPU every core but this process's draws, up to a number."""
MOST_DRAWING = 16
OF_SCANS = {"licence": "not stated; the scans' own terms decide", "limits": "thoracic and lumbar levels, as its cohort shows them"}
"""What the card of weights from a user's scans says instead of the phantoms'."""
Progress = Callable[[int, int, dict[str, float]], None]
Batch = TypeVar("Batch")


class _Steps(Dataset[Batch]):
    """The batch of each step, by its number."""

    def __init__(self, draw: Callable[[int], Batch]) -> None:
        self.draw = draw

    def __getitem__(self, step: int) -> Batch:
        return self.draw(step)


class StepTrainer(ABC, Generic[Batch]):
    """One run: network, optimiser and where they stand.

    Parameters
    ----------
    config : SegmenterConfig or LevelConfig
    volumes, watched : sequences of Volume
        To learn from, and to watch the training on.
    folder : Path
        Holds the checkpoint.
    device : str
        A torch device.
    cohort : str
        What scans are learnt from; empty for phantoms, which the configuration tells.
    start : path, optional
        Weights of the same task and sizes to go on from, in place of random ones.

    Raises
    ------
    InputError
        If the weights to go on from cannot be read or do not fit.
    """

    kind: ClassVar[str]
    """What the cards of its task's weights call them."""
    build: ClassVar[type[Any]]
    """Of its network, made of a configuration's sizes."""

    def __init__(
        self,
        config: SegmenterConfig | LevelConfig,
        volumes: Sequence[Volume],
        watched: Sequence[Volume],
        folder: Path,
        *,
        device: str = "cpu",
        cohort: str = "",
        start: str | Path | None = None,
    ) -> None:
        self.config, self.path, self.device = config, folder / f"{self.kind}-checkpoint.safetensors", device
        self.draw: Callable[[int], Batch] = partial(self.drawn, self.prepared(volumes), config)
        """Draws the batch of a step; other processes get nothing but it."""
        self.watched = self.prepared(watched)
        torch.manual_seed(config.seed)
        self.network = self.build(config.sizes)
        self.origin: dict[str, object] = {"cohort": cohort, **OF_SCANS} if cohort else {}
        if start is not None:
            tensors, told = read_start(start, self.kind, config)
            self.network.load_state_dict({name: value.float() for name, value in tensors.items()})
            self.origin = started(self.origin, told)
        self.goes_on = start is not None
        self.network.to(device)
        if device != "cpu":
            self.network.to(memory_format=torch.channels_last_3d)  # as a GPU's convolutions are fastest
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=config.rate)
        self.done = 0

    @staticmethod
    def prepared(volumes: Sequence[Volume]) -> Sequence[Volume]:
        """Bring volumes onto the voxels that the network sees."""
        return volumes

    @staticmethod
    @abstractmethod
    def drawn(volumes: Sequence[Volume], config: Any, step: int, *, stream: int = 0) -> Any:
        """Draw a batch of prepared volumes: the same for a seed, a stream and a step, whatever came before."""

    @abstractmethod
    def objective(self, batch: Batch, share: float) -> Tensor:
        """Return what is minimised when this share of all steps is done."""

    @abstractmethod
    def validated(self) -> dict[str, float]:
        """Return figures of what is held out; none where nothing is."""

    def rounded(self) -> torch.autocast:
        """Within it the network computes as precisely as the configuration asks."""
        return torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.config.precision == "bf16-mixed")

    def run(self, progress: Progress | None = None) -> None:
        """Train what is left; other processes draw the next batches meanwhile."""
        config = self.config
        left = range(self.done, config.steps)
        drawing = DRAWING if self.device == "cpu" else min(max(cpu_count() - 1, DRAWING), MOST_DRAWING)
        batches = DataLoader(_Steps(self.draw), batch_size=None, sampler=left, num_workers=drawing, prefetch_factor=2)
        for step, batch in zip(left, batches, strict=True):
            told = {"loss": self._step(batch, step)}
            self.done = step + 1
            if self.done % config.checkpoint_every == 0 or self.done == config.steps:
                told |= self.validated()
                self.save_checkpoint()
            if progress is not None:
                progress(self.done, config.steps, told)

    def _step(self, batch: Batch, step: int) -> float:
        share = step / self.config.steps
        factor = min((step + 1) / WARM_UP, 1.0) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.rate * factor
        loss = self.objective(batch, share)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        return float(loss.detach())

    def write(self, path: Path, card: Mapping[str, object]) -> tuple[Path, str]:
        """Write the weights in half precision; return their path and identity."""
        whole = {**USE, "shapekit_version": __version__, **card, **self.origin}
        return path, write_weights(path, {name: value.half() for name, value in self.network.state_dict().items()}, whole)

    def _of(self) -> dict[str, object]:
        """What a checkpoint must be of to be gone on from, beside its configuration."""
        return {"task": self.kind, **self.origin}

    def save_checkpoint(self) -> None:
        """Write everything a resumed run needs; the file appears when it is complete."""
        tensors = {f"live.{name}": value for name, value in self.network.state_dict().items()}
        state = self.optimiser.state_dict()["state"]
        tensors |= {f"optimiser.{n}.{name}": torch.as_tensor(value) for n, entry in state.items() for name, value in entry.items()}
        write_weights(self.path, tensors, {"kind": "checkpoint", "config": asdict(self.config), "done": self.done, "of": self._of()})

    def resume(self) -> bool:
        """Go on from the folder's checkpoint; False where there is none.

        Raises
        ------
        InputError
            If it is damaged or belongs to another configuration, other scans or another start.
        """
        if not self.path.exists():
            return False
        tensors, card, _ = read_weights(self.path, "checkpoint")
        if card["config"] != asdict(self.config):
            raise InputError(f"{self.path.name} belongs to another configuration; train in another folder, or delete it.")
        if card.get("of") != self._of():
            raise InputError(f"{self.path.name} was trained on other scans or from another start; train in another folder, or delete it.")
        self.network.load_state_dict(tensors_under(tensors, "live."))
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors_under(tensors, "optimiser.").items():
            number, name = key.split(".", 1)
            state.setdefault(int(number), {})[name] = value
        self.optimiser.load_state_dict({"state": state, "param_groups": self.optimiser.state_dict()["param_groups"]})
        self.done = int(str(card["done"]))
        return True


def read_start(path: str | Path, kind: str, config: SegmenterConfig | LevelConfig) -> tuple[dict[str, Tensor], dict[str, object]]:
    """Read weights to go on from.

    Parameters
    ----------
    path : path
    kind : str
        What their card must call them.
    config : SegmenterConfig or LevelConfig
        Whose sizes they must have.

    Returns
    -------
    tensors : dict
    card : dict
        With their ``identity``.

    Raises
    ------
    InputError
        If they cannot be read, are of another kind or of other sizes.
    """
    tensors, card, identity = read_weights(path, kind)
    if card.get("sizes") != asdict(config.sizes):
        raise InputError(f"{Path(path).name} is no start for this configuration: its sizes are {card.get('sizes')}; give these.")
    return tensors, {**card, "identity": identity}


def started(origin: Mapping[str, object], card: Mapping[str, object]) -> dict[str, object]:
    """Add to what weights are made of what they started from: its cohort, and the terms of a cohort of scans."""
    own, before = origin.get("cohort", USE["cohort"]), card.get("cohort", USE["cohort"])
    whole = {**origin, "started_from": card["identity"]}
    if before != own:
        whole |= {"cohort": f"{own}; before it: {before}", **OF_SCANS}
    return whole


def held_out(volumes: Sequence[Volume], watched: Sequence[Volume] | None) -> tuple[Sequence[Volume], Sequence[Volume]]:
    """Say which volumes are learnt from and which watch: where none are named, the last twentieth, at least one where there are several."""
    if watched is not None:
        return volumes, watched
    count = max(len(volumes) // HELD_OUT, 1) if len(volumes) > 1 else 0
    return volumes[: len(volumes) - count], volumes[len(volumes) - count :]
