"""``shapekit evaluate``: predictors side by side on phantoms that none of them has seen."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for rows.csv, summary.json, table.md and scores.png.", metavar="DIR")],
    count: Annotated[int, typer.Option("--number", "-n", help="Patients.")] = 200,
    seed: Annotated[int, typer.Option(help="Of the test cohort; training uses 1000, calibration 1001.")] = 1003,
    predictors: Annotated[
        str,
        typer.Option(
            help="Comma-separated; name, name:FILE for own weights, a + for no context repair, a - for shapes from neighbours alone; "
            "oracle knows all but what a body has of its own."
        ),
    ] = "oracle,neighbours,linear,coarse,generative,generative+",
    build: Annotated[
        str,
        typer.Option(help="Of the bodies: plain; varied (hollow behind, with a foramen, all waists: nearer to people's); or both in turn."),
    ] = "plain",
    workers: Annotated[int, typer.Option(help="Processes; 0 for one a core.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
) -> int:
    """Judge predictors on synthetic patients with noisy masks, varied scans and known healthy twins."""
    import json

    import pandas

    from shapekit.cli.app import complain
    from shapekit.cli.bars import counting
    from shapekit.core.checks import ShapekitError
    from shapekit.evaluation import Spec, check_figures, draw_figure, evaluate_phantoms, summary, text_of

    if count < 1:
        return complain(f"--number is {count}, but at least one patient is needed.")
    specs = []
    for text in predictors.split(","):
        plain = text.strip().rstrip("+-")
        name, _, weights = plain.partition(":")
        signs = text.strip()[len(plain) :]
        specs.append(Spec(_title(plain, signs), name, weights or None, repair=False if "+" in signs else None, own="-" not in signs))
    try:
        check_figures()
        with counting("patients", count, quiet=quiet) as done:
            judged = evaluate_phantoms(count, specs, seed=seed, build=build, workers=workers or None, progress=done)
        rows = [row for one in judged for row in one.rows]
        figures = summary(rows)
        output.mkdir(parents=True, exist_ok=True)
        pandas.DataFrame(rows).to_csv(output / "rows.csv", index=False, float_format="%.5g")
        (output / "summary.json").write_text(json.dumps(figures, indent=1) + "\n")
        (output / "table.md").write_text(text_of(figures) + "\n")
        draw_figure(rows, output / "scores.png")
    except ShapekitError as error:
        return complain(str(error))
    except OSError as error:
        return complain(f"{output.name} cannot be written ({error.strerror or error}); choose a folder that you may write.")
    if not quiet:
        sys.stdout.write(text_of(figures) + "\n")
    return 0


def _title(text: str, signs: str) -> str:
    """Name of a column: the predictor, its weights' stem, and whether neighbours stay as they are or are all that is looked at."""
    name, _, weights = text.partition(":")
    said = ("without repair" if "+" in signs else "", "from neighbours alone" if "-" in signs else "")
    return " ".join(filter(None, (name, Path(weights).stem if weights else "", *said)))
