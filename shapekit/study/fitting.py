"""Samples → a predictor's weights with the spread behind its intervals: what ``shapekit train`` and ``shapekit reproduce`` both do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from shapekit.core.checks import InputError, UsageError, check_choice
from shapekit.evaluation import Judged, Spec, evaluate_phantoms, fit_prior, fit_shift, fit_spread
from shapekit.io.shipped import shipped_weights
from shapekit.networks import read_weights
from shapekit.predictors import LinearModel, SizePrior, make_predictor
from shapekit.predictors.generative import Generative, PaperGenerative
from shapekit.training import Samples, TrainingConfig, fit_linear, launched, refuse_several, train_networks, write_predictor
from shapekit.training.learners import learner_of
from shapekit.training.loop import load_start
from shapekit.training.package import USE

TRAINED = ("generative", "linear", "neighbours")
"""Predictors that have something to be fitted; of the neighbour mean it is its intervals only."""
VALIDATION_SHARE = 20
"""One spine in so many is held out to watch the training."""

Counting = Callable[[str, int], AbstractContextManager[Callable[..., None]]]
"""Opens a count to a total under a name; what it yields takes how many are done and, if need be, a text."""


@contextmanager
def uncounted(what: str, total: int) -> Iterator[Callable[..., None]]:  # noqa: ARG001
    """Count nothing: the ``counting`` of a call that nobody watches."""

    def done(count: int, text: str = "") -> None:
        """Say nothing."""

    yield done


def fit_predictor(
    output: Path,
    predictor: str,
    options: TrainingConfig,
    cohort: Callable[[], Sequence[Samples]],
    *,
    card: Mapping[str, object] | None = None,
    start: str | Path | None = None,
    calibration: int = 80,
    workers: int | None = None,
    accelerator: str = "cpu",
    devices: str = "1",
    counting: Counting = uncounted,
) -> tuple[Path, str]:
    """Fit a predictor to samples, measure on phantoms how far its shapes lie from the true ones, and write it as one file.

    Where torchrun started several processes, the networks learn in all of them; the first one alone draws, calibrates and writes.

    Parameters
    ----------
    output : Path
        Folder for ``<predictor>.safetensors``, and for the networks' logs and checkpoint, from which a stopped run goes on.
    predictor : {"generative", "linear", "neighbours"}
    options : TrainingConfig
    cohort : callable
        Returns the samples; not called for the neighbour mean, which learns nothing. Of their subjects the last in so many are held out
        to watch the networks. Of several processes the first calls it before the others do.
    card : mapping, optional
        What else the file's card is to say.
    start : path or "shipped", optional
        Weights that the networks go on from, with their linear model: for a cohort too small to learn from alone.
    calibration : int
        Phantoms (seed ``options.seed`` + 1) to measure bodies' own sizes and the intervals' spread on; 0 leaves both out.
    workers : int, optional
        Processes for the calibration; by default one a core.
    accelerator, devices : str
        As Lightning Fabric takes them; a process has one device.
    counting : callable
        See ``Counting``.

    Returns
    -------
    path : Path
    identity : str
        Twelve digits of the weights' checksum.

    Raises
    ------
    UsageError
        For another predictor, if there are not as many processes as it takes, if what is no network is to start from weights, or if
        the weights to start from would be overwritten.
    InputError
        If the samples have no healthy target with a whole neighbour, or the weights to start from do not fit.
    OutputError
        If the folder cannot be written.
    MissingPackageError
        If Lightning Fabric is needed and not installed.
    """
    check_choice("predictor", predictor, TRAINED)
    if start is not None and predictor != "generative":
        raise UsageError(f"the predictor {predictor} starts from no weights; leave --start out or choose generative.")
    path = output / f"{predictor}.safetensors"
    trained, told = (None, {}) if start is None else _networks(start, path, options)
    if isinstance(trained, Generative):
        options = replace(options, components=len(trained.linear.model.modes))
    written: dict[str, object] = {"kind": predictor, "config": asdict(options), **(card or {}), **told}
    if trained is not None and (own := (card or {}).get("cohort", USE["cohort"])) != told["cohort"]:
        written["cohort"] = f"{own}; before that: {told['cohort']}"
    finish = partial(_finish, path, predictor, options, calibration, workers, counting)
    if predictor != "generative":
        refuse_several(f"fitting the predictor {predictor}")
        if predictor == "neighbours":
            return path, finish({}, written)
        alone = fit_linear(cohort(), seed=options.seed)
        return path, finish(_linear(alone), written | {"ridge": alone.ridge})
    fabric = launched(accelerator, devices, options.precision)
    model: LinearModel | None = None
    with fabric.rank_zero_first():  # what the first process draws is there when the others look for it
        learn, watch = held_out(cohort())
        if isinstance(trained, Generative):
            model = trained.linear.model
        elif fabric.is_global_zero and options.networks == "efficient":
            model = fit_linear(learn, seed=options.seed, components=options.components).as_stored()
    model = fabric.broadcast(model)
    with counting("training", options.coarse_steps + options.refine_steps) as done:

        def tell(stage: str, step: int, _: int, told: dict[str, float]) -> None:
            text = " ".join([stage, *(f"{name} {value:.3f}" for name, value in told.items())])
            done((options.coarse_steps if stage == "refine" else 0) + step, text)

        networks = train_networks(options, model, learn, watch, output, start=trained, accelerator=accelerator, devices=devices, progress=tell)
    with fabric.rank_zero_first():
        written |= {"processes": fabric.world_size, **({"ridge": model.ridge} if model is not None else {})}
        identity = finish(_linear(model) | networks, written) if fabric.is_global_zero else ""
    return path, fabric.broadcast(identity)


def _networks(start: str | Path, path: Path, options: TrainingConfig) -> tuple[Generative | PaperGenerative, dict[str, object]]:
    """Read networks that fit a configuration, and say for a card which they are and whom they have seen."""
    source = shipped_weights("generative") if str(start) == "shipped" else Path(start)
    if source.resolve() == path.resolve():
        raise UsageError(f"{path.name} would be overwritten by what starts from it; train in another folder.")
    networks = make_predictor("generative", source)
    assert isinstance(networks, Generative | PaperGenerative)
    if (options.networks == "paper") != isinstance(networks, PaperGenerative):
        raise InputError(f"{source.name} holds no {options.networks} networks; give the configuration they were trained with.")
    learner = learner_of(options, networks.linear.model if isinstance(networks, Generative) else None)
    load_start(learner.networks(), networks, options)
    _, card, identity = read_weights(source, "generative")
    return networks, {"started_from": identity, "cohort": card.get("cohort", USE["cohort"])}


def _linear(model: LinearModel | None) -> dict[str, object]:
    """Name a linear model's arrays as the file holds them; none where there is no model."""
    return {f"linear.{name}": value for name, value in model.tensors().items()} if model is not None else {}


def _sizes(prior: SizePrior) -> dict[str, object]:
    """Name a prior's arrays as the file holds them."""
    return {f"sizes.{name}": value for name, value in prior.tensors().items()}


def _finish(
    path: Path,
    predictor: str,
    options: TrainingConfig,
    calibration: int,
    workers: int | None,
    counting: Counting,
    tensors: dict[str, object],
    card: dict[str, object],
) -> str:
    """Write a predictor, measure in turn how its sizes, its scores and its shapes err, and write it again with each; return its identity."""
    identity = write_predictor(path, tensors, card)
    if not calibration:
        return identity
    names = ("generative", "coarse") if predictor == "generative" else (predictor,)
    specs = [Spec(name, name, None if predictor == "neighbours" else str(path)) for name in names]
    build = "both" if options.varied else "plain"

    def judged_by(some: Sequence[Spec], what: str) -> list[Judged]:
        with counting(what, calibration) as done:
            return evaluate_phantoms(calibration, some, seed=options.seed + 1, build=build, workers=workers, residuals=True, progress=done)

    if predictor != "neighbours" and options.networks != "paper":  # these two stay as they were published
        alone = judged_by([replace(specs[0], own=False)], "measuring sizes")
        prior = fit_prior(alone, names[0], centred=card.get("cohort", USE["cohort"]) != USE["cohort"])
        write_predictor(path, tensors | _sizes(prior), card)
        tensors = tensors | _sizes(fit_shift(prior, judged_by(specs[:1], "measuring scores"), names[0]))
        write_predictor(path, tensors, card)
    judged = judged_by(specs, "calibrating")
    spreads = {f"spread_{name}.{key}": value for name in names for key, value in fit_spread(judged, name).tensors().items()}
    return write_predictor(path, tensors | spreads, card | {"calibration_patients": calibration, "calibration_build": build})


def held_out(cohort: Sequence[Samples]) -> tuple[list[Samples], list[Samples]]:
    """Divide samples into those to learn from and those to watch the training on: the last twentieth of the subjects with a healthy vertebra."""
    subjects = list(dict.fromkeys(spine.subject for spine in cohort if spine.is_target.any()))
    held = set(subjects[-max(len(subjects) // VALIDATION_SHARE, 1) :])
    learn, watch = ([spine for spine in cohort if (spine.subject in held) == kept] for kept in (False, True))
    return learn, watch
