"""``shapekit score``: masks in, a folder of results for each."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from shapekit.cli.segment import WEIGHTS_HELP

if TYPE_CHECKING:
    from collections.abc import Callable

    from shapekit.results import SpineScore

SEGMENT_HELP = "MASK is a CT: segment it first, iterative or totalsegmentator (where it is installed)."
MESHES_HELP = "Mesh formats, with commas: glb,stl,3mf,ply,obj,vtp."
PRINT_HELP = "Write plates for printing: expected and actual bodies, whole and halved."
PALETTE_HELP = "Colours of the meshes from score 0 to 100: green-red, or plasma, which colour-blind readers can tell apart."
KEEP_HELP = "Share of the triangles that plates keep; meshes.json says how far their surfaces then lie off."


def score(
    masks: Annotated[
        list[Path], typer.Argument(help="Label maps (.nii, .nii.gz, .mha, .mhd, .nrrd) or TotalSegmentator folders.", metavar="MASK...")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results; each mask gets its own in it.", metavar="DIR")],
    scheme: Annotated[str, typer.Option(help="Label scheme; `shapekit schemes` lists them.")] = "auto",
    bodies: Annotated[str, typer.Option(help="auto, given (labels are bodies already) or split (cut the arch off).")] = "auto",
    body_mask: Annotated[
        Optional[Path], typer.Option(help="Body mask or SPINEPS sub-region mask on the same grid (one MASK only).", metavar="FILE")  # noqa: UP045
    ] = None,
    predictor: Annotated[str, typer.Option(help="generative, linear, coarse or neighbours.")] = "generative",
    preset: Annotated[str, typer.Option(help="botros2022.")] = "botros2022",
    weights: Annotated[
        Optional[Path], typer.Option(help="Weights that `shapekit train` wrote; by default the package's own.", metavar="FILE")  # noqa: UP045
    ] = None,
    segment: Annotated[str, typer.Option(help=SEGMENT_HELP)] = "",
    segment_weights: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option(help=WEIGHTS_HELP, metavar="FILE"),
    ] = None,
    device: Annotated[str, typer.Option("--device", "-d", help="auto, cpu, gpu or gpu:N.")] = "auto",
    meshes: Annotated[str, typer.Option(help=MESHES_HELP, metavar="FORMATS")] = "",
    print_: Annotated[bool, typer.Option("--print", help=PRINT_HELP)] = False,
    palette: Annotated[str, typer.Option(help=PALETTE_HELP, metavar="NAME")] = "green-red",
    keep: Annotated[float, typer.Option("--decimate", help=KEEP_HELP, metavar="SHARE")] = 1.0,
    report: Annotated[bool, typer.Option("--report/--no-report", help="Write report.html, which a browser shows without a network.")] = True,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also tell how each mask was understood.")] = False,
) -> int:
    """Score every vertebra of MASK and write DIR/<mask's stem>/: scores.csv, scores.json, expected.nii.gz, deficit.nii.gz, report.html, meshes.

    Exit code 0: at least one vertebra was scored; 1: none could be; 2: bad usage or an unreadable mask.
    """
    from shapekit.cli.app import complain
    from shapekit.core.checks import ShapekitError, UsageError

    if segment and (body_mask is not None or scheme != "auto"):
        return complain("--segment finds the bodies and their levels itself; leave out --body-mask and --scheme.")
    if body_mask is not None and len(masks) > 1:
        return complain("--body-mask goes with one mask at a time; score the others without it.")
    codes = []
    try:
        formats = mesh_formats(meshes, print_=print_, palette=palette, keep=keep)
    except ShapekitError as error:
        return complain(str(error))
    with _progress(len(masks), quiet=quiet) as tell:
        from shapekit.cli.segment import segmented
        from shapekit.core.values import LabelMap
        from shapekit.io import load
        from shapekit.results import score as score_spine

        names: set[str] = set()

        for mask in masks:
            try:
                tell(mask.name, "segmenting" if segment else "reading")
                spine = segmented(mask, segment, segment_weights, device, quiet=quiet) if segment else load(mask, scheme=scheme, body_mask=body_mask)
                if spine.name in names:
                    codes.append(complain(f"{spine.name} is the name of two masks; their results would overwrite each other: rename one."))
                    continue
                names.add(spine.name)
                if segment and isinstance(spine, LabelMap) and not spine.levels:
                    codes.append(complain(f"no vertebral body was found in {spine.name}, so nothing was scored.", code=1))
                    continue
                result = score_spine(
                    spine, bodies=bodies, predictor=predictor, weights=weights, preset=preset, device=device, progress=partial(tell, mask.name)
                )
                tell(mask.name, "writing")
                result.save(output, meshes=formats, print=print_, palette=palette, keep=keep, report=report)
            except UsageError as error:  # the command is wrong, not the mask: the others would only repeat it
                return complain(str(error))
            except ShapekitError as error:
                codes.append(complain(str(error)))
                continue
            codes.append(_close(result, quiet=quiet, verbose=verbose))
    return max(codes) if 2 in codes else min(codes)


def mesh_formats(words: str, *, print_: bool, palette: str = "green-red", keep: float = 1.0) -> tuple[str, ...]:
    """Read ``--meshes``, formats with commas between them, and look at the options that go with them.

    Raises
    ------
    UsageError, MissingPackageError
        For what cannot be written here, before anything is scored.
    """
    formats = mesh_words(words)
    if formats or print_ or (palette, keep) != ("green-red", 1.0):
        from shapekit.core.checks import check_choice
        from shapekit.export import PALETTES, check_formats

        check_choice("palette", palette, tuple(PALETTES))
        check_formats(formats, print=print_, keep=keep)
    return formats


def mesh_words(words: str) -> tuple[str, ...]:
    """Take ``--meshes`` apart."""
    return tuple(word.strip().lower() for word in words.split(",") if word.strip())


def _close(result: SpineScore, *, quiet: bool, verbose: bool) -> int:
    """Say what came out of one mask; return its exit code."""
    from shapekit.cli.app import complain
    from shapekit.pipeline import SCORED

    if verbose and not quiet:
        for note in result.notes:
            sys.stderr.write(f"{result.name}: {note}\n")
    if not quiet and (verbose or sys.stdout.isatty()):
        show(result)
    if any(vertebra.status in SCORED for vertebra in result):
        return 0
    why = ", ".join(f"{vertebra.level} {vertebra.status}" for vertebra in result)
    return complain(f"no vertebra of {result.name} could be scored ({why}); its scores.csv says why.", code=1)


def show(result: SpineScore, *, title: str = "", extra: tuple[str, dict[str, str]] | None = None) -> None:
    """Print a table of scores, with one more column by level where ``extra`` is given."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from shapekit.pipeline import SCORED

    table = Table("level", "score", "90 %", "height loss", "grade", title=Text(title or result.name), title_justify="left")
    if extra:
        table.add_column(extra[0], no_wrap=True)
    table.add_column("status")
    for vertebra in result:
        row = vertebra.measures
        numbers = ("",) * 4
        if row.status in SCORED:
            interval = "" if math.isnan(row.score_lo) else f"{row.score_lo:.0f}-{row.score_hi:.0f}"
            grade = "" if row.genant_grade is None else str(row.genant_grade)
            numbers = (f"{row.score:.1f}", interval, f"{row.height_loss:z.0%}", grade)
        known = (extra[1].get(row.level, ""),) if extra else ()
        table.add_row(row.level, *numbers, *known, Text(f"{row.status}: {row.reason}" if row.reason else row.status))
    Console().print(table)


def _hush(name: str, stage: str) -> None:
    """Say nothing."""


@contextmanager
def _progress(count: int, *, quiet: bool) -> Iterator[Callable[[str, str], None]]:
    """Show which mask is at which stage, on a terminal; say nothing in a pipe."""
    if quiet or not sys.stderr.isatty():
        yield _hush
        return
    from rich.console import Console
    from rich.markup import escape

    console = Console(stderr=True)
    seen: list[str] = []
    with console.status("starting") as status:

        def tell(name: str, stage: str) -> None:
            if name not in seen:
                seen.append(name)
            status.update(f"{escape(name)} ({len(seen)} of {count}): {stage}")

        yield tell
