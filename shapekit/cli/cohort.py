"""``shapekit cohort``: a BIDS data set, or any other, in; a folder for each scan and the group's tables out."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from shapekit.cli.score import MESHES_HELP, PRINT_HELP, mesh_words

if TYPE_CHECKING:
    from shapekit.cohort import Cohort, Group, Outcome, Plan

LEVELS = ("participant", "group")


def cohort(
    folder: Annotated[Path, typer.Argument(help="BIDS data set, or any other that docs/datasets.md names.", metavar="BIDS_DIR")],
    output: Annotated[Path, typer.Argument(help="Folder for the results; it may be BIDS_DIR/derivatives/shapekit.", metavar="OUT")],
    words: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(
            help="participant scores scans, group makes tables of what is finished; without a level, both.", metavar="[participant|group]"
        ),
    ] = None,
    labels: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--participant-label", "--participant_label", help="These participants alone, with or without sub-.", metavar="LABEL..."),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes with a thread each; 0 for as many as cores and memory allow.", min=0)] = 0,
    ray: Annotated[str, typer.Option(help="Ray cluster instead: auto, host:port, or local for one of its own.", metavar="ADDRESS")] = "",
    shard: Annotated[str, typer.Option(help="Part i of n, for array jobs; make the tables with the group level afterwards.", metavar="i/n")] = "",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Score finished scans again.")] = False,
    kind: Annotated[str, typer.Option(help="Kind of the data set: auto, verse, plain, ...; see docs/datasets.md.")] = "auto",
    predictor: Annotated[str, typer.Option(help="generative, linear, coarse or neighbours.")] = "generative",
    preset: Annotated[str, typer.Option(help="botros2022.")] = "botros2022",
    bodies: Annotated[str, typer.Option(help="auto, given (labels are bodies already) or split (cut the arch off).")] = "auto",
    weights: Annotated[
        Optional[Path], typer.Option(help="Weights that `shapekit train` wrote; by default the package's own.", metavar="FILE")  # noqa: UP045
    ] = None,
    device: Annotated[str, typer.Option("--device", "-d", help="auto, cpu, gpu or gpu:N.")] = "auto",
    meshes: Annotated[str, typer.Option(help=MESHES_HELP, metavar="FORMATS")] = "",
    print_: Annotated[bool, typer.Option("--print", help=PRINT_HELP)] = False,
    report: Annotated[bool, typer.Option("--report/--no-report", help="Write report.html of every scan.")] = True,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also tell how the data set was understood, and each scan's time.")] = False,
) -> int:
    """Score every scan of a data set and write OUT/sub-X/<scan>/ of each (sessions between them), tables of the group, a report and failures.tsv.

    Scans that are finished are skipped, so that a stopped run goes on where it was. Exit code 0: at least one scan was scored; 1: none;
    2: bad usage, or OUT cannot be written.
    """
    from shapekit.cli.app import complain
    from shapekit.cohort import Options, open_cohort, parse_shard, plan_run, write_group
    from shapekit.core.checks import ShapekitError

    try:
        level, asked = _level(words or [], labels or [])
        part = parse_shard(shard) if shard else None
        found = open_cohort(folder, output, kind=kind, labels=asked)
        if verbose and not quiet:
            for note in found.notes:
                typer.echo(note, err=True)
        options = Options(predictor, weights, preset, bodies, mesh_words(meshes), print_, report)
        done: list[Outcome] = []
        left = 0
        if level != "group":
            plan = plan_run(found, options, shard=part, overwrite=overwrite, device=device)
            done = _run(plan, workers or None, ray or None, quiet=quiet, verbose=verbose)
            left = len(plan.to_do) - len(done)
            done += [*plan.finished, *plan.faulty]
        if left:
            return complain(f"the disk of {output.name} is full: {left} scans were not begun; free space, then run again: finished scans are kept.")
        if level == "participant" or part is not None:
            return 0 if not done or any(one.status == "scored" for one in done) else 1
        return _tell(found, write_group(found), quiet=quiet)
    except ShapekitError as error:
        return complain(str(error))


def _level(words: list[str], labels: list[str]) -> tuple[str, list[str]]:
    """Take BIDS-Apps' words apart: one may be the level, and those behind ``--participant-label 01 02`` are further labels."""
    from shapekit.core.checks import UsageError

    levels = [word for word in words if word in LEVELS]
    others = [word for word in words if word not in LEVELS]
    if len(levels) > 1 or (others and not labels):
        raise UsageError(f"the level is {' '.join(words)!r}, but must be one of: {', '.join(LEVELS)}.")
    return levels[0] if levels else "", [*labels, *others]


def _run(plan: Plan, workers: int | None, ray: str | None, *, quiet: bool, verbose: bool) -> list[Outcome]:
    """Score what a plan has to do, and say how each scan ended."""
    from shapekit.cli.bars import counting
    from shapekit.cohort import running

    for one in plan.faulty:
        _say(one, quiet=quiet, verbose=False)
    if plan.finished and not quiet:
        typer.echo(f"{len(plan.finished)} scans are finished already{'' if plan.to_do else ': nothing to do'}.")
    done: list[Outcome] = []
    began = time.monotonic()
    with counting("scans", len(plan.to_do), quiet=quiet) as count, running(plan, workers=workers, ray=ray) as ended:
        for outcome in ended:
            done.append(outcome)
            _say(outcome, quiet=quiet, verbose=verbose)
            count(len(done))
    if done and not quiet:
        minutes = (time.monotonic() - began) / 60
        peak = max(one.peak_mb for one in done)
        memory = f"; a worker held {peak:.0f} MB at most" if peak else ""
        typer.echo(f"{len(done)} scans in {minutes:.1f} min, {len(done) / minutes:.1f} a minute{memory}.")
    return done


def _say(outcome: Outcome, *, quiet: bool, verbose: bool) -> None:
    from shapekit.cli.app import complain

    if outcome.status != "scored":
        complain(outcome.reason)
    elif not quiet:
        took = f", {outcome.seconds:.1f} s" if verbose else ""
        typer.echo(f"{outcome.case}: {outcome.scored} of {outcome.found} vertebrae scored, highest {outcome.worst}{took}")


def _tell(found: Cohort, group: Group, *, quiet: bool) -> int:
    """Sum up the group; return the exit code."""
    from shapekit.cli.app import complain

    for note in group.notes:
        complain(note)
    scored = len(group.outcomes) - len(group.failures)
    if not quiet:
        where = "tables and report are as they were" if not group.written else f"{group.rows} vertebrae in group_desc-vcf_scores.tsv"
        typer.echo(f"{scored} of {len(group.outcomes)} scans scored; {where}.")
        if group.failures:
            typer.echo(f"{len(group.failures)} without a score, with their reasons in failures.tsv:", err=True)
            for one in group.failures:
                sys.stderr.write(f"  {one.case} ({one.status}): {one.reason}\n")
    return 0 if scored else complain(f"no scan of {found.source.name} was scored; failures.tsv says why.", code=1)
