"""``shapekit demo``: the synthetic patient that ships, scored; no data needed."""

from __future__ import annotations

import json
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated

import typer

from shapekit.cli.score import MESHES_HELP, PRINT_HELP


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.", metavar="DIR")] = Path("shapekit-demo"),
    meshes: Annotated[str, typer.Option(help=MESHES_HELP, metavar="FORMATS")] = "",
    print_: Annotated[bool, typer.Option("--print", help=PRINT_HELP)] = False,
    report: Annotated[bool, typer.Option("--report/--no-report", help="Write report.html, which a browser shows without a network.")] = True,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
) -> int:
    """Score the synthetic patient that ships: T4 to L5 with a wedge, a crush and a biconcave fracture."""
    from shapekit.cli.app import complain
    from shapekit.cli.score import mesh_formats, show
    from shapekit.core.checks import ShapekitError
    from shapekit.io import load
    from shapekit.results import score

    source = files("shapekit") / "data" / "demo"
    truth = json.loads((source / "demo_truth.json").read_text())
    try:
        formats = mesh_formats(meshes, print_=print_)
        with as_file(source / "demo_spine.nii.gz") as mask:
            result = score(load(mask))
        folder = result.save(output, meshes=formats, print=print_, report=report)
    except ShapekitError as error:
        return complain(str(error))
    if not quiet:
        broken = {level: f"{known['kind']}, grade {known['grade']}" if known["kind"] else "" for level, known in truth.items()}
        show(result, title="A synthetic patient (not a person)", extra=("truth", broken))
        typer.echo(f"Results: {folder}")
    return 0
