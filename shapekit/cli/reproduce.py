"""``shapekit reproduce``: the paper's experiment on the published data, or on phantoms."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer


def reproduce(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for findings.json, table.md, rows.csv and figure.png.", metavar="DIR")],
    verse: Annotated[Optional[Path], typer.Option(help="VerSe'19 or '20 with its grades.", metavar="DIR")] = None,  # noqa: UP045
    xvertseg: Annotated[Optional[Path], typer.Option(help="xVertSeg.", metavar="DIR")] = None,  # noqa: UP045
    external: Annotated[
        Optional[Path], typer.Option(help="A third graded data set as the external one; xVertSeg then joins VerSe, as in the paper.", metavar="DIR")  # noqa: UP045
    ] = None,
    grades: Annotated[Optional[Path], typer.Option(help="VerSe's workbook of grades, where it lies elsewhere.", metavar="FILE")] = None,  # noqa: UP045
    phantom: Annotated[int, typer.Option(help="Instead of data: so many synthetic patients, and some more of another acquisition.")] = 0,
    predictor: Annotated[str, typer.Option(help="generative, linear or neighbours.")] = "generative",
    weights: Annotated[str, typer.Option(help="shipped or a file: do not train, take these.", metavar="FILE")] = "",
    config: Annotated[Optional[Path], typer.Option(help="YAML file of training options; see docs/training.md.", metavar="FILE")] = None,  # noqa: UP045
    calibration: Annotated[int, typer.Option(help="Phantoms to measure bodies' own sizes and the intervals on; 0 leaves both out.")] = 80,
    test_share: Annotated[float, typer.Option(help="Share of the internal patients held out; 1 only with --weights.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Of the split, and of the phantoms.")] = 2022,
    workers: Annotated[int, typer.Option(help="Processes; 0 for one a core.")] = 0,
    accelerator: Annotated[str, typer.Option(help="For training: cpu or cuda.")] = "cpu",
    devices: Annotated[str, typer.Option(help="For training: which one, as Lightning Fabric takes it.")] = "1",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
) -> int:
    """Repeat the experiment of Botros et al. (2022): fit on unfractured vertebrae, score held-out and external patients; a stopped run goes on."""
    from functools import partial

    from shapekit.cli.app import complain
    from shapekit.cli.bars import counting
    from shapekit.core.checks import ShapekitError

    if phantom and (verse or xvertseg or external or grades):
        return complain("--phantom runs without data; leave out --verse, --xvertseg, --external and --grades, or leave out --phantom.")
    if not phantom and not (verse and xvertseg):
        return complain("reproduce needs --verse DIR and --xvertseg DIR (docs/reproduce.md says where to get them), or --phantom N.")
    from shapekit.study.findings import text_of
    from shapekit.study.reproduce import Protocol
    from shapekit.study.reproduce import reproduce as run
    from shapekit.study.sets import phantom_sets, published_sets
    from shapekit.training import TrainingConfig, read_config

    try:
        options = read_config(config) if config is not None else TrainingConfig()
        protocol = Protocol(
            predictor, weights or None, options, calibration, test_share, seed, workers=workers or None, accelerator=accelerator, devices=devices
        )
        count = partial(counting, quiet=quiet)
        if phantom:
            sets, notes = phantom_sets(output, phantom, seed=seed, workers=workers or None, counting=count)
        else:
            assert verse is not None
            assert xvertseg is not None
            sets, notes = published_sets(verse, xvertseg, external=external, grades=grades)
        told = run(sets, output, protocol, notes=notes, counting=count)
    except ShapekitError as error:
        return complain(str(error))
    for reason in told["left_out"]:
        complain(f"left out: {reason}")
    if not quiet:
        sys.stdout.write(text_of(told["sets"]))
    return 0
