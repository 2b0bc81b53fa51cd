"""``shapekit train``: weights from phantoms, or from a user's own masks with grades."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

if TYPE_CHECKING:
    from shapekit.training import Samples, TrainingConfig

VALIDATION_SHARE = 20
"""One spine in so many is held out to watch the training."""


def train(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the weights, samples, logs and checkpoint.", metavar="DIR")],
    task: Annotated[str, typer.Option(help="shape (a predictor of shapes), or segmentation (the network of `shapekit segment`).")] = "shape",
    predictor: Annotated[
        str, typer.Option(help="generative (coarse and refine networks), linear, or neighbours (its intervals only).")
    ] = "generative",
    config: Annotated[Optional[Path], typer.Option(help="YAML file of options; see docs/training.md.", metavar="FILE")] = None,  # noqa: UP045
    data: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Learn from a data set's masks instead of phantoms; only vertebrae that it grades as 0 are targets.", metavar="DIR"),
    ] = None,
    kind: Annotated[str, typer.Option(help="Kind of the data set: auto, verse, plain, ...; see docs/datasets.md.")] = "auto",
    patients: Annotated[int, typer.Option(help="Phantoms to learn from; 0 for the configuration's number.")] = 0,
    calibration: Annotated[int, typer.Option(help="Phantoms to measure the spread of the intervals on; 0 leaves intervals out.")] = 80,
    accelerator: Annotated[str, typer.Option(help="cpu or cuda; several processes through torchrun.")] = "cpu",
    devices: Annotated[str, typer.Option(help="How many, as Lightning Fabric takes it.")] = "1",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
) -> int:
    """Train a predictor on synthetic patients and write DIR/<predictor>.safetensors; a stopped run goes on where it was."""
    from dataclasses import replace

    from shapekit.cli.app import complain
    from shapekit.cli.bars import counting
    from shapekit.core.checks import ShapekitError, check_choice
    from shapekit.training import TrainingConfig, fit_linear, read_config, train_networks, write_predictor

    try:
        if check_choice("task", task, ("shape", "segmentation")) == "segmentation":
            from shapekit.cli.segment import train_segmentation

            path, identity = train_segmentation(output, config, patients=patients, accelerator=accelerator, quiet=quiet)
            if not quiet:
                typer.echo(f"{path.name}: {identity}")
            return 0
        check_choice("predictor", predictor, ("generative", "linear", "neighbours"))
        options = read_config(config) if config is not None else TrainingConfig()
        options = replace(options, patients=patients) if patients else options
        card: dict[str, object] = {"kind": predictor, "config": asdict(options)}
        if data is not None:
            card["cohort"] = f"{data.name}, vertebrae of grade 0"
        tensors: dict[str, object] = {}
        if predictor != "neighbours":
            cohort = _cohort(output, data, kind, options, quiet)
            subjects = list(dict.fromkeys(spine.subject for spine in cohort))
            held = set(subjects[-max(len(subjects) // VALIDATION_SHARE, 1) :])
            if predictor == "linear":
                model = fit_linear(cohort, seed=options.seed)
                tensors, card = {f"linear.{name}": value for name, value in model.tensors().items()}, card | {"ridge": model.ridge}
            else:
                learn, watch = ([spine for spine in cohort if (spine.subject in held) == kept] for kept in (False, True))
                with counting("training", options.coarse_steps + options.refine_steps, quiet=quiet) as done:

                    def tell(stage: str, step: int, _: int, told: dict[str, float]) -> None:
                        text = " ".join([stage, *(f"{name} {value:.3f}" for name, value in told.items())])
                        done((options.coarse_steps if stage == "refine" else 0) + step, text)

                    tensors |= train_networks(options, learn, watch, output, accelerator=accelerator, devices=devices, progress=tell)
        path = output / f"{predictor}.safetensors"
        identity = write_predictor(path, tensors, card)
        if calibration:
            from shapekit.evaluation import Spec, evaluate_phantoms, fit_spread

            names = ("generative", "coarse") if predictor == "generative" else (predictor,)
            specs = [Spec(name, name, None if predictor == "neighbours" else str(path)) for name in names]
            with counting("calibrating", calibration, quiet=quiet) as done:
                judged = evaluate_phantoms(calibration, specs, seed=options.seed + 1, residuals=True, progress=done)
            for name in names:
                tensors |= {f"spread_{name}.{key}": value for key, value in fit_spread(judged, name).tensors().items()}
            identity = write_predictor(path, tensors, card | {"calibration_patients": calibration})
    except ShapekitError as error:
        return complain(str(error))
    if not quiet:
        typer.echo(f"{path.name}: {identity}")
    return 0


def _cohort(output: Path, data: Path | None, kind: str, options: TrainingConfig, quiet: bool) -> list[Samples]:
    """Draw phantoms, or cut bodies out of a data set's masks."""
    from shapekit.cli.app import complain
    from shapekit.cli.bars import counting
    from shapekit.training import draw_samples, read_samples, samples_of_dataset

    if data is None:
        with counting("drawing phantoms", options.patients, quiet=quiet) as done:
            return read_samples(draw_samples(output / "samples", options.patients, seed=options.seed, progress=done))
    with counting("reading masks", 0, quiet=quiet) as done:
        cohort, notes = samples_of_dataset(data, kind=kind, progress=done)
    for note in notes:
        complain(f"left out: {note}")
    return cohort
