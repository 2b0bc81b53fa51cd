"""What a worker process does: it holds the model and turns one scan after the other into a finished folder."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from shapekit.cohort.job import Job
from shapekit.cohort.scans import Outcome, Scan, input_digest
from shapekit.cohort.store import Record, Store, is_full
from shapekit.core.checks import InputError, ShapekitError, check_choice
from shapekit.datasets.workers import alone

if TYPE_CHECKING:
    import pandas

    from shapekit.predictors import Predictor
    from shapekit.results import SpineScore


def prepare(job: Job) -> ShapekitError | None:
    """Load the model and hold every option against what there is, before the first scan.

    Parameters
    ----------
    job : Job

    Returns
    -------
    ShapekitError or None
        What is wrong with the options, or with this machine.
    """
    from shapekit.export import check_formats
    from shapekit.results import torch_device
    from shapekit.scoring import PRESETS
    from shapekit.spine.bodies import BODY_MODES

    options = job.options
    try:
        check_choice("preset", options.preset, tuple(PRESETS))
        check_choice("bodies", options.bodies, BODY_MODES)
        check_formats(options.meshes, print=options.print)
        _model(options.predictor, options.weights, torch_device(job.device))
        if options.identity() != job.made_with:
            return InputError("a worker has other weights or another version of shapekit than this machine; install the same everywhere.")
    except ShapekitError as error:
        return error
    return None


def work(job: Job, scan: Scan) -> Outcome:
    """Score one scan in one thread and publish its folder.

    Parameters
    ----------
    job : Job
    scan : Scan

    Returns
    -------
    Outcome
        What cannot be scored or written is told there, and raises nothing.
    """
    began = time.perf_counter()
    outcome = alone(partial(_attempt, job), scan)
    return replace(outcome, seconds=time.perf_counter() - began, peak_mb=_peak_mb(), resident_mb=_resident_mb())


def follow(parent: int) -> None:
    """Leave Ctrl-C to the process that started this one, and end when that is gone, however it went."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _attempt(job: Job, scan: Scan) -> Outcome:
    case = scan.case
    try:
        return _finish(job, scan).outcome(case.subject)
    except ShapekitError as error:
        return Outcome(case.name, case.subject, "failed", str(error), full=is_full(error))


def _finish(job: Job, scan: Scan) -> Record:
    from shapekit.results import score, torch_device

    store, options, case = Store(job.out), job.options, scan.case
    digest = input_digest(case)
    there = store.record(scan)
    if not job.overwrite and there is not None and (there.input, there.made_with) == (digest, job.made_with):
        return there  # another run was quicker
    spine = case.load()
    device = torch_device(job.device)
    predictor = _model(options.predictor, options.weights, device)
    result = score(spine, predictor=predictor, bodies=options.bodies, preset=options.preset, device=job.device)
    if input_digest(case) != digest:
        raise InputError(f"{case.name} was changed while it was read; run again.")
    with store.stage() as stage:
        folder = result.save(stage, meshes=options.meshes, print=options.print, report=options.report)
        table = result.table()
        table.to_csv(folder / scan.table, sep="\t", index=False, float_format="%.4f", na_rep="n/a", lineterminator="\n")
        record = _record(result, table, digest, job.made_with)
        store.forget(case.name)
        store.publish(scan, folder, record)
    return record


def _record(result: SpineScore, table: pandas.DataFrame, digest: str, made_with: dict[str, str]) -> Record:
    from shapekit.pipeline import SCORED

    scored = table[table["status"].isin(SCORED)]
    worst, remark = "", ""
    if len(scored):
        highest = scored.loc[scored["score"].idxmax()]
        worst = f"{highest['level']} {highest['score']:.0f}"
    else:
        why = ", ".join(f"{vertebra.level} {vertebra.status}" for vertebra in result)
        remark = f"no vertebra of {result.name} could be scored ({why}); its table says why."
    return Record(result.name, digest, made_with, len(scored), len(table), worst, remark, {})


@lru_cache(maxsize=1)
def _model(predictor: str, weights: Path | None, device: str) -> Predictor:
    """Make the predictor once a process."""
    from shapekit.predictors import make_predictor

    return make_predictor(predictor, weights, device=device)


def _peak_mb() -> float:
    if sys.platform == "win32":
        return 0.0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def _resident_mb() -> float:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
