"""``shapekit train``: weights from phantoms, or from a user's own masks with grades or CTs with masks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

if TYPE_CHECKING:
    from shapekit.training import Samples, TrainingConfig


TASKS = ("shape", "segmentation", "levels")


def train(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the weights, samples, logs and checkpoint.", metavar="DIR")],
    task: Annotated[str, typer.Option(help="shape (a predictor of shapes), segmentation or levels (the networks of `shapekit segment`).")] = "shape",
    predictor: Annotated[
        str, typer.Option(help="generative (coarse and refine networks), linear, or neighbours (its intervals only).")
    ] = "generative",
    config: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="efficient, paper, or a YAML file of options; see docs/training.md.", metavar="FILE"),
    ] = None,
    data: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help="Learn from a data set instead of phantoms: from its masks, where only vertebrae graded 0 are targets, or from its CTs with masks.",
            metavar="DIR",
        ),
    ] = None,
    kind: Annotated[str, typer.Option(help="Kind of the data set: auto, verse, plain, ...; see docs/datasets.md.")] = "auto",
    start: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help="Weights of the same task to go on from, or shipped for the package's own; without it networks learn from nothing.", metavar="FILE"
        ),
    ] = None,
    patients: Annotated[int, typer.Option(help="Phantoms to learn from; 0 for the configuration's number.")] = 0,
    calibration: Annotated[int, typer.Option(help="Phantoms to measure bodies' own sizes and the intervals on; 0 leaves both out.")] = 80,
    accelerator: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    devices: Annotated[str, typer.Option(help="How many; more than one in as many processes, started by torchrun.")] = "1",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
) -> int:
    """Train a predictor on synthetic patients and write DIR/<predictor>.safetensors; a stopped run goes on where it was."""
    from dataclasses import replace
    from functools import partial

    from shapekit.cli.app import complain
    from shapekit.cli.bars import counting
    from shapekit.core.checks import ShapekitError, check_choice
    from shapekit.study.fitting import TRAINED, fit_predictor
    from shapekit.training import TrainingConfig, is_first, read_config, refuse_several

    quiet = quiet or not is_first()
    try:
        if check_choice("task", task, TASKS) != "shape":
            from shapekit.cli.segment import train_on_cts

            if devices != "1":
                return complain(f"--task {task} trains on one device; leave --devices out.")
            if data is not None and patients:
                return complain(f"--task {task} learns from the CTs of --data or from phantoms; leave --patients or --data out.")
            refuse_several(f"training with --task {task}")
            path, identity = train_on_cts(
                output, task, config, patients=patients, data=data, kind=kind, start=start, accelerator=accelerator, quiet=quiet
            )
            if not quiet:
                typer.echo(f"{path.name}: {identity}")
            return 0
        check_choice("predictor", predictor, TRAINED)
        options = read_config(config) if config is not None else TrainingConfig()
        options = replace(options, patients=patients) if patients else options
        path, identity = fit_predictor(
            output,
            predictor,
            options,
            partial(_cohort, output, data, kind, options, quiet),
            card={"cohort": f"{data.name}, vertebrae of grade 0"} if data is not None else None,
            start=start,
            calibration=calibration,
            accelerator=accelerator,
            devices=devices,
            counting=partial(counting, quiet=quiet),
        )
    except ShapekitError as error:
        return complain(str(error))
    if not quiet:
        typer.echo(f"{path.name}: {identity}")
    return 0


def _cohort(output: Path, data: Path | None, kind: str, options: TrainingConfig, quiet: bool) -> list[Samples]:
    """Draw phantoms, or cut bodies out of a data set's masks."""
    from shapekit.cli.app import complain
    from shapekit.cli.bars import counting
    from shapekit.training import draw_samples, is_first, read_samples, samples_of_dataset

    if data is None:
        with counting("drawing phantoms", options.patients, quiet=quiet) as done:
            return read_samples(draw_samples(output / "samples", options.patients, seed=options.seed, varied=options.varied, progress=done))
    with counting("reading masks", 0, quiet=quiet) as done:
        cohort, notes = samples_of_dataset(data, kind=kind, progress=done)
    for note in notes if is_first() else ():
        complain(f"left out: {note}")
    return cohort
