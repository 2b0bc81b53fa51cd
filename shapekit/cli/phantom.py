"""``shapekit phantom``: synthetic patients as masks, with their truth and, on request, a CT."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def phantom(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the cohort.", metavar="DIR")],
    count: Annotated[int, typer.Option("--number", "-n", help="Patients.")] = 1,
    seed: Annotated[int, typer.Option(help="The same seed gives the same files.")] = 0,
    labels: Annotated[str, typer.Option(help="verse, totalsegmentator or spineps.")] = "verse",
    acquisition: Annotated[str, typer.Option(help="plain (1 mm, whole spines) or varied (slices, oblique, cut fields of view).")] = "plain",
    ct: Annotated[bool, typer.Option("--ct", help="Also simulate a CT of each patient.")] = False,
    workers: Annotated[int, typer.Option(help="Processes.")] = 1,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
) -> int:
    """Draw synthetic patients and write their masks, heights, fractures and frames as a BIDS-like tree."""
    from shapekit.cli.app import complain
    from shapekit.cli.bars import counting
    from shapekit.core.checks import ShapekitError
    from shapekit.datasets import write_cohort

    with counting("patients", count, quiet=quiet) as done:
        try:
            write_cohort(output, count, seed=seed, labels=labels, acquisition=acquisition, ct=ct, workers=workers, progress=done)
        except ShapekitError as error:
            return complain(str(error))
    return 0
