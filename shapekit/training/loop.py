"""The training loop: coarse, then refine against its critic, on any device Lightning Fabric knows; on a CPU it resumes to the bit.

Every process holds the same weights, draws its own batches and takes the mean of all processes' gradients. They are averaged here and not
by DistributedDataParallel, which does not reach the second derivatives of the critic's penalty.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from shapekit.core.checks import InputError
from shapekit.networks import gradient_penalty, read_weights, write_weights
from shapekit.predictors.generative import Generative, PaperGenerative
from shapekit.predictors.linear import LinearModel
from shapekit.training.batches import Batch, assembled, draw_batch, draw_seats, full_seats, repaired, targets_of
from shapekit.training.config import TrainingConfig
from shapekit.training.learners import learner_of
from shapekit.training.processes import launched
from shapekit.training.samples import Samples, seeded

STAGES = ("coarse", "refine")
PENALTY = 10.0
WARM_UP = 200
LOG_EVERY = 20
Progress = Callable[[str, int, int, dict[str, float]], None]


class Trainer:
    """One run: networks, optimisers and averages, and where they stand; the same in every process.

    Parameters
    ----------
    config : TrainingConfig
    model : LinearModel or None
        Makes the guess that the efficient networks start from; the paper's need none.
    cohort, validation : sequences of Samples
    folder : Path
        Holds ``checkpoint.safetensors`` and TensorBoard's logs.
    start : Generative or PaperGenerative, optional
        Where coarse and refine start from in place of random weights; the critic starts anew.
    accelerator, devices : str
        As Lightning Fabric takes them.
    """

    def __init__(
        self,
        config: TrainingConfig,
        model: LinearModel | None,
        cohort: Sequence[Samples],
        validation: Sequence[Samples],
        folder: Path,
        *,
        start: Generative | PaperGenerative | None = None,
        accelerator: str = "cpu",
        devices: str = "1",
    ) -> None:
        self.config, self.cohort, self.validation, self.folder = config, cohort, validation, folder
        self.targets = targets_of(cohort)
        if not self.targets:
            raise InputError("no healthy vertebra with a whole neighbour was found to learn from; give spines with grades of 0.")
        self.fabric = launched(accelerator, devices, config.precision)
        torch.manual_seed(config.seed)
        self.learner = learner_of(config, start.linear.model if isinstance(start, Generative) else model)
        self.networks = self.learner.networks()
        self.started_from = ""
        if start is not None:
            if not any(len(targets_of([spine])) for spine in validation):
                raise InputError("no held-out spine has a healthy vertebra to tell whether the weights to start from get worse; give more spines.")
            load_start(self.networks, start, config)
            self.started_from = start.identity or "weights without identity"
        rates = {"coarse": (config.rate, (0.9, 0.99)), "refine": (config.rate / 2, (0.9, 0.99)), "critic": (config.rate / 3, (0.5, 0.9))}
        self.optimisers: dict[str, Any] = {}
        for name, network in self.networks.items():
            self.fabric.to_device(network)
            optimiser = torch.optim.AdamW(network.parameters(), lr=rates[name][0], betas=rates[name][1], weight_decay=0.01)
            self.optimisers[name] = self.fabric.setup_optimizers(optimiser)
        self.average = {name: {k: v.detach().clone() for k, v in self.networks[name].state_dict().items()} for name in STAGES}
        self.best: dict[str, dict[str, Tensor]] = {}
        self.best_error = dict.fromkeys(STAGES, math.inf)
        self.done = dict.fromkeys(STAGES, 0)

    def run(self, progress: Progress | None = None) -> None:
        """Train what is left of both stages; each ends with its average where that erred least on held-out spines (see ``validated``)."""
        steps = {"coarse": self.config.coarse_steps, "refine": self.config.refine_steps}
        for stage in STAGES:
            if self.done[stage] < steps[stage]:
                self.enter(stage)
            if self.started_from and self.done[stage] == 0 and self.fabric.is_global_zero:
                told = self._look(stage)  # what it starts from may stay the best
                if progress is not None:
                    progress(stage, 0, steps[stage], told)
            for step in range(self.done[stage], steps[stage]):
                self._set_rate(stage, step, steps[stage])
                batch = self._batch(stage, step)
                told = self._step(stage, batch, step)
                self._keep_average(stage, step)
                self.done[stage] = step + 1
                if self.fabric.is_global_zero and ((step + 1) % self.config.checkpoint_every == 0 or step + 1 == steps[stage]):
                    told |= self._look(stage)
                    self.save_checkpoint()
                if progress is not None:
                    progress(stage, step + 1, steps[stage], told)
            best = {name: value.to("cpu", copy=True) for name, value in self.best.get(stage, self.average[stage]).items()}
            self.average[stage] = self.fabric.broadcast(best)  # only the first process looked

    def enter(self, stage: str) -> None:
        """Let a stage see what it will see in use: coarse's best average, and broken neighbours repaired by what the stage starts from."""
        if stage == "refine" and self.done["refine"] == 0:
            self.networks["coarse"].load_state_dict(self.average["coarse"])
        if self.learner.starts_from_fields:
            expect, device = partial(self._before, stage), self.fabric.device
            with torch.no_grad():
                self.cohort, self.validation = ([repaired(one, expect, device=device) for one in some] for some in (self.cohort, self.validation))

    def _look(self, stage: str) -> dict[str, float]:
        """Judge the averaged weights on held-out spines, and keep them if they have erred least so far."""
        told = self.validated(stage)
        error = fmean(told.values()) if told else math.inf
        if error < self.best_error[stage]:
            self.best_error[stage] = error
            self.best[stage] = {name: value.clone() for name, value in self.average[stage].items()}
        return told

    def _batch(self, stage: str, step: int) -> Batch:
        key = (STAGES.index(stage), step, self.fabric.global_rank)
        drawn = draw_batch(self.cohort, self.targets, self.config.batch, key=key, seed=self.config.seed, device=self.fabric.device)
        return self.learner.shown(drawn)

    def _set_rate(self, stage: str, step: int, steps: int) -> None:
        factor = min((step + 1) / WARM_UP, 1.0) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / steps)))
        top = {"coarse": 1.0, "refine": 0.5, "critic": 1 / 3}
        for name in ("coarse",) if stage == "coarse" else ("refine", "critic"):
            for group in self.optimisers[name].param_groups:
                group["lr"] = self.config.rate * top[name] * factor

    def _step(self, stage: str, batch: Batch, step: int) -> dict[str, float]:
        made = self._made(stage, batch)
        loss = self.learner.loss(made, batch)
        told = {"loss": float(loss.detach())}
        if stage == "refine" and self.config.critic_weight > 0:
            shares = torch.rand(self.fabric.world_size, len(made), generator=torch.Generator().manual_seed(self.config.seed + step))
            apart, penalty = self._critic_loss(batch, made.detach(), shares[self.fabric.global_rank])
            self._descend("critic", apart + PENALTY * penalty)
            told["critic"] = -float(apart.detach())
            loss = loss - self.config.critic_weight * self._verdict(batch, made)
        self._descend(stage, loss)
        return told

    def _critic_loss(self, batch: Batch, made: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
        """How much better made shapes are judged than real ones, and the penalty for the critic's slope between them."""
        context, real, fake = self.learner.judged(batch, made)
        apart = self._judged(context, fake, batch) - self._judged(context, real, batch)
        with torch.autocast(real.device.type, enabled=False):  # the penalty differentiates twice: full precision
            penalty = gradient_penalty(self.networks["critic"], context, real, fake, batch.level, batch.present, share.to(real))
        return apart, penalty

    def _verdict(self, batch: Batch, made: Tensor) -> Tensor:
        """Mean of what the critic says of made shapes."""
        context, _, fake = self.learner.judged(batch, made)
        return self._judged(context, fake, batch)

    def _judged(self, context: Tensor, shape: Tensor, batch: Batch) -> Tensor:
        verdict: Tensor = self._run("critic", context, shape, batch.level, batch.present).float().mean()
        return verdict

    def _before(self, stage: str, batch: Batch) -> Any:
        """What a stage starts from: the learner's first guess, or for refine what coarse makes of it."""
        before = self.learner.first(batch)
        if stage == "refine":
            with torch.no_grad():
                before = self.learner.made(partial(self._run, "coarse"), batch, before)
        return before

    def _made(self, stage: str, batch: Batch) -> Tensor:
        """Shapes of a stage; only the stage itself learns."""
        return self.learner.made(partial(self._run, stage), batch, self._before(stage, batch))

    def _run(self, name: str, *given: Tensor) -> Any:
        """Let a network work in the precision asked for."""
        with self.fabric.autocast():
            return self.networks[name](*given)

    def _descend(self, name: str, loss: Tensor) -> None:
        optimiser = self.optimisers[name]
        optimiser.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        self._share_gradients(name)
        self.fabric.clip_gradients(self.networks[name], optimiser, max_norm=1.0)
        optimiser.step()

    def _share_gradients(self, name: str) -> None:
        """Give every process the mean of all processes' gradients, in one message."""
        if self.fabric.world_size == 1:
            return
        gradients = [parameter.grad for parameter in self.networks[name].parameters() if parameter.grad is not None]
        mean = self.fabric.all_reduce(torch.cat([gradient.flatten() for gradient in gradients]), reduce_op="mean")
        for gradient, part in zip(gradients, mean.split([gradient.numel() for gradient in gradients]), strict=True):  # type: ignore[union-attr]
            gradient.copy_(part.view_as(gradient))

    def _keep_average(self, stage: str, step: int) -> None:
        keep = min(self.config.averaging, (1 + step) / (10 + step))
        for name, value in self.networks[stage].state_dict().items():
            kept = self.average[stage][name]
            if kept.device != value.device:
                kept = self.average[stage][name] = kept.to(value.device)
            kept.mul_(keep).add_(value, alpha=1 - keep)

    def validated(self, stage: str) -> dict[str, float]:
        """Tell how far the averaged weights err on held-out spines, if there are any; mean surface errors in mm.

        ``validation_mm``: with the company that each target has in full; ``validation_missing_mm``: drawn as batches draw it, the same at every look.
        """
        if not self.validation:
            return {}
        live = {name: value.clone() for name, value in self.networks[stage].state_dict().items()}
        self.networks[stage].load_state_dict(self.average[stage])
        generator = seeded(self.config.seed, 8)
        errors: dict[str, list[Tensor]] = {"validation_mm": [], "validation_missing_mm": []}
        with torch.no_grad():
            for spine in self.validation:
                targets = [t for _, t in targets_of([spine])]
                companies = [full_seats(spine, t) for t in targets], [draw_seats(spine, t, generator) for t in targets]
                for name, seats in zip(errors, companies, strict=True):
                    batch = assembled([spine] * len(seats), seats, device=self.fabric.device)
                    errors[name].append(self.learner.error_mm(self._made(stage, self.learner.shown(batch)), batch))
        self.networks[stage].load_state_dict(live)
        return {name: float(torch.cat(found).mean()) for name, found in errors.items()}

    def save_checkpoint(self) -> None:
        """Write everything a resumed run needs; the file appears when it is complete."""
        tensors: dict[str, Tensor] = {}
        for name, network in self.networks.items():
            tensors |= {f"live.{name}.{k}": v for k, v in network.state_dict().items()}
            state = self.optimisers[name].optimizer.state_dict()["state"]
            tensors |= {f"optimiser.{name}.{n}.{k}": torch.as_tensor(v) for n, entry in state.items() for k, v in entry.items()}
        for what, averages in (("average", self.average), ("best", self.best)):
            tensors |= {f"{what}.{name}.{k}": v for name, kept in averages.items() for k, v in kept.items()}
        card = {"kind": "checkpoint", "config": asdict(self.config), "done": self.done, "processes": self.fabric.world_size}
        card |= {"started_from": self.started_from, "best_error": {name: self.best_error[name] for name in self.best}}
        write_weights(self.folder / "checkpoint.safetensors", tensors, card)

    def resume(self) -> bool:
        """Go on from the folder's checkpoint; False where there is none.

        Raises
        ------
        InputError
            If it is damaged, belongs to another configuration or another start, or was written by another number of processes.
        """
        path = self.folder / "checkpoint.safetensors"
        if not path.exists():
            return False
        tensors, card, _ = read_weights(path, "checkpoint")
        if asdict(TrainingConfig()) | {"coarse_width": self.config.width} | card["config"] != asdict(self.config):  # type: ignore[operator]  # options it does not name are younger
            raise InputError(f"{path.name} belongs to another configuration; train in another folder, or delete it.")
        if (before := card.get("started_from", "")) != self.started_from:
            raise InputError(
                f"{path.name} is of a training that started from {before or 'nothing'}, but this one starts from {self.started_from or 'nothing'}; "
                "start from the same, or train in another folder."
            )
        if (wrote := card.get("processes", 1)) != self.fabric.world_size:
            raise InputError(f"{path.name} is of a training by {wrote} processes, but this is one by {self.fabric.world_size}; start as many again.")
        for name, network in self.networks.items():
            network.load_state_dict(tensors_under(tensors, f"live.{name}."))
            optimiser = self.optimisers[name].optimizer
            state: dict[int, dict[str, Tensor]] = {}
            for key, value in tensors_under(tensors, f"optimiser.{name}.").items():
                number, field = key.split(".", 1)
                state.setdefault(int(number), {})[field] = value
            optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
        self.average = {name: tensors_under(tensors, f"average.{name}.") for name in STAGES}
        for name, error in card.get("best_error", {}).items():  # type: ignore[attr-defined]
            self.best_error[name], self.best[name] = error, tensors_under(tensors, f"best.{name}.")
        self.done = {name: int(card["done"][name]) for name in STAGES}  # type: ignore[index]
        return True

    def tensors(self) -> dict[str, Tensor]:
        """Averaged weights of both generators, as they are shipped; see ``run``."""
        return {f"{name}.{k}": v for name in STAGES for k, v in self.average[name].items()}


def load_start(networks: dict[str, torch.nn.Module], start: Generative | PaperGenerative, config: TrainingConfig) -> None:
    """Let coarse and refine begin as trained ones are.

    Raises
    ------
    InputError
        If those are of another kind or width.
    """
    try:
        for name, network in (("coarse", start.coarse), ("refine", start.refine)):
            networks[name].load_state_dict(network.state_dict())
    except RuntimeError as error:
        wanted = f"{config.networks} networks of coarse_width {config.coarse_width} and width {config.width}"
        raise InputError(f"the weights {start.identity} are no start for {wanted}; give the configuration they were trained with.") from error


def tensors_under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those tensors whose names begin with a prefix, without it."""
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}


def train_networks(
    config: TrainingConfig,
    model: LinearModel | None,
    cohort: Sequence[Samples],
    validation: Sequence[Samples],
    folder: str | Path,
    *,
    start: Generative | PaperGenerative | None = None,
    accelerator: str = "cpu",
    devices: str = "1",
    progress: Progress | None = None,
) -> dict[str, Tensor]:
    """Train coarse and refine on healthy targets; a run that was stopped goes on where its last checkpoint stood.

    Parameters
    ----------
    config : TrainingConfig
    model : LinearModel or None
        Makes the guess that the efficient networks start from; the paper's need none, and trained ones bring theirs.
    cohort, validation : sequences of Samples
    folder : path
    start : Generative or PaperGenerative, optional
        Trained networks to start from; see ``make_predictor``. Each stage ends with its start where nothing erred less on ``validation``.
    accelerator, devices : str
        As Lightning Fabric takes them; ``"cpu"`` and ``"1"`` here, ``"cuda"`` and ``"8"`` in each of the eight processes that torchrun starts.
        Only the first one writes to the folder; all of them return the same weights.
    progress : callable, optional
        Told stage, step, steps and figures of this process after every step.

    Returns
    -------
    dict of str to Tensor

    Raises
    ------
    InputError
        If nothing can be learnt from, or the folder's checkpoint or the start does not fit.
    UsageError
        If there are not as many processes as devices.
    MissingPackageError
        Without Lightning Fabric.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(config, model, cohort, validation, target, start=start, accelerator=accelerator, devices=devices)
    trainer.resume()
    with _logs(target / "logs", trainer.fabric.global_rank) as log:

        def told(stage: str, step: int, steps: int, figures: dict[str, float]) -> None:
            if step % LOG_EVERY == 0 or "validation_mm" in figures:
                log(stage, step, figures)
            if progress is not None:
                progress(stage, step, steps, figures)

        trainer.run(told)
    return trainer.tensors()


@contextmanager
def _logs(folder: Path, rank: int) -> Iterator[Callable[[str, int, dict[str, float]], None]]:
    """Write figures where TensorBoard finds them; only the first process does, and none where TensorBoard is missing."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        rank = -1
    if rank != 0:
        yield _hush
        return
    writer = SummaryWriter(folder)

    def log(stage: str, step: int, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            writer.add_scalar(f"{stage}/{name}", value, step)

    try:
        yield log
    finally:
        writer.close()


def _hush(stage: str, step: int, figures: dict[str, float]) -> None:
    """Write nothing."""
