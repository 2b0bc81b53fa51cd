"""``shapekit segment``: CTs in, a label map of vertebral bodies and a table for each; and the training of its networks."""

from __future__ import annotations

import csv
import io
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

if TYPE_CHECKING:
    from shapekit.core.values import LabelMap
    from shapekit.segmentation import FoundVertebra, Segmentation

WAYS = ("iterative", "totalsegmentator")
WEIGHTS_HELP = (
    "Weights that `shapekit train --task segmentation` or `--task levels` wrote; given several times, networks for one task look together; "
    "for a task of which none is given, what ships."
)
COLUMNS = (
    "level",
    "level_probability",
    "label",
    "complete",
    "complete_probability",
    "confidence",
    "vote",
    "volume_mm3",
    "centre_r_mm",
    "centre_a_mm",
    "centre_s_mm",
)


def segment(
    cts: Annotated[list[Path], typer.Argument(help="CTs in Hounsfield units (.nii, .nii.gz, .mha, .mhd, .nrrd).", metavar="CT...")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for <CT's stem>_seg.nii.gz and <CT's stem>_seg.csv.", metavar="DIR")],
    weights: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option(help=WEIGHTS_HELP, metavar="FILE"),
    ] = None,
    device: Annotated[str, typer.Option("--device", "-d", help="auto, cpu, gpu or gpu:N.")] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also list what was found.")] = False,
) -> int:
    """Find the vertebral bodies of CT and write them as a label map at its own resolution, with a table of levels and confidences.

    Exit code 0: a body was found in every CT; 1: in none of some CT; 2: bad usage or an unreadable CT.
    """
    from shapekit.cli.app import complain
    from shapekit.core.checks import ShapekitError, UsageError
    from shapekit.io.paths import stem

    codes: list[int] = []
    names: set[str] = set()
    for ct in cts:
        if stem(ct) in names:
            codes.append(complain(f"{stem(ct)} is the name of two CTs; their results would overwrite each other: rename one."))
            continue
        names.add(stem(ct))
        try:
            found = _iterative(ct, weights, device, quiet=quiet)
            _save(found, output)
        except UsageError as error:
            return complain(str(error))
        except ShapekitError as error:
            codes.append(complain(str(error)))
            continue
        if found.doubt and not quiet:
            complain(f"{found.labels.name}: {found.doubt}.")
        codes.append(0 if found.vertebrae else complain(f"no vertebral body was found in {found.labels.name}; its label map is empty.", code=1))
        if found.vertebrae and verbose and not quiet:
            for row in found.vertebrae:
                typer.echo(f"{found.labels.name}: {row.level}{'' if row.complete else ' (cut)'}, confidence {row.confidence:.2f}")
    return max(codes)


def segmented(ct: Path, how: str, weights: list[Path] | None, device: str, *, quiet: bool = False) -> LabelMap:
    """Segment a CT for ``shapekit score --segment``.

    Parameters
    ----------
    ct : Path
    how : {"iterative", "totalsegmentator"}
    weights : list of Path or None
        Of the iterative segmentation.
    device : str
        As the commands take it.
    quiet : bool
        Whether doubtful levels are kept to the label map's notes.

    Returns
    -------
    LabelMap
        Without levels where no spine was found.

    Raises
    ------
    UsageError
        For another way.
    InputError
        If the CT cannot be read or is none.
    MissingPackageError
        If TotalSegmentator is not installed.
    """
    from shapekit.cli.app import complain
    from shapekit.core.checks import check_choice
    from shapekit.results import torch_device
    from shapekit.segmentation import run_totalsegmentator

    if check_choice("segment", how, WAYS) == "totalsegmentator":
        return run_totalsegmentator(ct, device=torch_device(device))
    found = _iterative(ct, weights, device, quiet=True)
    if found.doubt and not quiet:
        complain(f"{found.labels.name}: {found.doubt}.")
    return found.labels


def _iterative(ct: Path, weights: list[Path] | None, device: str, *, quiet: bool) -> Segmentation:
    from shapekit.cli.bars import counting
    from shapekit.io.paths import stem
    from shapekit.io.volumes import read_volume
    from shapekit.results import torch_device
    from shapekit.segmentation import segment_ct
    from shapekit.segmentation.traversal import MOST_BODIES

    with counting(f"bodies of {stem(ct)}", MOST_BODIES, quiet=quiet) as done:
        return segment_ct(read_volume(ct), name=stem(ct), weights=weights or None, device=torch_device(device), progress=done)


def _save(found: Segmentation, folder: Path) -> None:
    """Write a label map and its table; each appears when it is complete."""
    from shapekit.core.checks import OutputError
    from shapekit.io.nifti import write_label_map

    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    table.writerows(_row(one) for one in found.vertebrae)
    path = folder / f"{found.labels.name}_seg.csv"
    beside = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_label_map(folder / f"{found.labels.name}_seg.nii.gz", found.labels.array, found.labels.grid)
        beside.write_text(text.getvalue())
        beside.replace(path)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"{folder.name} cannot be written ({error.strerror or error}); choose a folder that you may write.") from error
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def _row(one: FoundVertebra) -> list[object]:
    numbers = (one.complete_probability, one.confidence, one.vote, one.volume_mm3, *one.centre_mm)
    return [str(one.level), f"{one.level_probability:.6g}", one.label, int(one.complete), *(f"{number:.6g}" for number in numbers)]


def train_on_cts(
    output: Path,
    task: str,
    config: Path | None,
    *,
    patients: int = 0,
    data: Path | None = None,
    kind: str = "auto",
    start: Path | None = None,
    accelerator: str = "cpu",
    quiet: bool = False,
) -> tuple[Path, str]:
    """Do what ``shapekit train --task segmentation`` and ``--task levels`` do.

    Parameters
    ----------
    output : Path
    task : {"segmentation", "levels"}
    config : Path or None
        YAML file of ``SegmenterConfig``'s or ``LevelConfig``'s options.
    patients : int
        Instead of the configuration's number, unless 0.
    data : Path or None
        A data set of CTs with masks, instead of phantoms.
    kind : str
        Of the data set.
    start : Path or None
        Weights to go on from; ``shipped`` for the package's own.
    accelerator : str
        ``"cpu"`` or ``"cuda"``.
    quiet : bool

    Returns
    -------
    path : Path
    identity : str

    Raises
    ------
    UsageError, InputError, OutputError
        As reading, drawing and training say, and if what is gone on from would be overwritten.
    """
    from shapekit.cli.app import complain
    from shapekit.cli.bars import counting
    from shapekit.core.checks import UsageError
    from shapekit.io.shipped import shipped_weights
    from shapekit.training import (
        LevelConfig,
        Scans,
        SegmenterConfig,
        draw_volumes,
        read_config,
        read_scans,
        read_start,
        train_levels,
        train_segmenter,
    )

    of: type[Any] = SegmenterConfig if task == "segmentation" else LevelConfig
    options = read_config(config, of) if config is not None else of()
    options = replace(options, patients=patients) if patients else options
    source = shipped_weights(task) if str(start) == "shipped" else start
    if source is not None and source.resolve() == (output / f"{task}.safetensors").resolve():
        raise UsageError(f"{source.name} would be overwritten by what starts from it; train in another folder.")
    if source is not None:
        read_start(source, task, options)  # before hours of drawing
    scans: Scans | None = None
    if data is None:
        with counting("drawing phantoms", options.patients, quiet=quiet) as done:
            volumes = draw_volumes(output / "samples", options, progress=done)
    else:
        with counting("reading CTs and masks", 0, quiet=quiet) as done:
            scans = read_scans(data, output / "samples", options, kind=kind, progress=done)
        for note in scans.notes:
            complain(f"left out: {note}")
    run: Callable[..., tuple[Path, str]] = train_segmenter if task == "segmentation" else train_levels
    with counting("training", options.steps, quiet=quiet) as done:

        def tell(step: int, _: int, told: dict[str, float]) -> None:
            done(step, " ".join(f"{name} {value:.3f}" for name, value in told.items()))

        if scans is None:
            return run(options, volumes, output, start=source, device=accelerator, progress=tell)
        return run(options, scans.learnt, output, watched=scans.watched, cohort=scans.cohort, start=source, device=accelerator, progress=tell)
