"""The participant level: every scan that is not finished is scored, in processes here or on a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

from shapekit.cohort.cluster import actors
from shapekit.cohort.crew import Process, affordable, outcomes
from shapekit.cohort.job import Job, Options
from shapekit.cohort.scans import Cohort, Outcome, Scan, in_shard, input_digest
from shapekit.cohort.store import Store


@dataclass(frozen=True)
class Plan:
    """What a run has to do.

    Parameters
    ----------
    job : Job
    to_do : tuple of Scan
    finished : tuple of Outcome
        Scans that were scored before, from the same bytes, with the same weights and options.
    faulty : tuple of Outcome
        Masks that cannot be opened at all.
    """

    job: Job
    to_do: tuple[Scan, ...]
    finished: tuple[Outcome, ...]
    faulty: tuple[Outcome, ...]


def plan_run(cohort: Cohort, options: Options, *, shard: tuple[int, int] | None = None, overwrite: bool = False, device: str = "auto") -> Plan:
    """Find out which scans a run has to score; nothing is written.

    Parameters
    ----------
    cohort : Cohort
    options : Options
    shard : (int, int), optional
        Part ``i`` of ``n`` of the scans alone; see ``in_shard``.
    overwrite : bool
        Whether finished scans are scored again.
    device : str
        See ``shapekit.score``.

    Returns
    -------
    Plan

    Raises
    ------
    InputError
        If the weights cannot be read.
    UsageError
        If the results' folder holds another data set.
    """
    if options.weights is not None:
        options = replace(options, weights=options.weights.absolute())
    made_with, store = options.identity(), Store(cohort.out)
    store.check()
    to_do: list[Scan] = []
    finished: list[Outcome] = []
    for scan in cohort.scans:
        if shard is not None and not in_shard(scan.case.name, shard):
            continue
        record = None if overwrite else store.record(scan)
        if record is not None and record.made_with == made_with and record.input == input_digest(scan.case):
            finished.append(record.outcome(scan.case.subject))
        else:
            to_do.append(scan)
    faulty = tuple(one for one in cohort.faulty if shard is None or in_shard(one.case, shard))
    return Plan(Job(options, made_with, cohort.out.absolute(), device, overwrite), tuple(to_do), tuple(finished), faulty)


@contextmanager
def running(plan: Plan, *, workers: int | None = None, ray: str | None = None) -> Iterator[Iterator[Outcome]]:
    """Score what a plan has to do, each scan in one thread of one process.

    Parameters
    ----------
    plan : Plan
    workers : int, optional
        Processes here, or actors on the cluster; as many as cores and memory allow.
    ray : str, optional
        Address of a Ray cluster; see ``shapekit.cohort.cluster.actors``.

    Yields
    ------
    iterator of Outcome
        One a scan, as they end; fewer when the disk is full. A failed scan stops no other.

    Raises
    ------
    ShapekitError
        For options, a cluster or a folder that cannot be used.
    """
    if not plan.to_do:
        yield iter(())
        return
    store = Store(plan.job.out)
    if ray is not None:
        with actors(ray, plan.job, workers) as (hire, count):
            yield _noted(store, outcomes(plan.to_do, hire, count, begin=store.open))
        return
    yield _noted(store, outcomes(plan.to_do, partial(Process, plan.job), workers or affordable(plan.job.device), begin=store.open))


def score_cohort(
    cohort: Cohort,
    options: Options | None = None,
    *,
    shard: tuple[int, int] | None = None,
    overwrite: bool = False,
    device: str = "auto",
    workers: int | None = None,
    ray: str | None = None,
) -> Sequence[Outcome]:
    """Score every scan of a cohort that is not finished.

    Parameters
    ----------
    cohort : Cohort
    options : Options, optional
    shard, overwrite, device
        See :func:`plan_run`.
    workers, ray
        See :func:`running`.

    Returns
    -------
    sequence of Outcome
        In the cohort's order, those that were finished before among them.

    Raises
    ------
    ShapekitError
        For options, a cluster or a folder that cannot be used.
    """
    plan = plan_run(cohort, options or Options(), shard=shard, overwrite=overwrite, device=device)
    with running(plan, workers=workers, ray=ray) as ended:
        found = {one.case: one for one in (*plan.finished, *ended)}
    return [*(found[scan.case.name] for scan in cohort.scans if scan.case.name in found), *plan.faulty]


def _noted(store: Store, ended: Iterator[Outcome]) -> Iterator[Outcome]:
    """Remember what failed, for the group's tables."""
    try:
        for outcome in ended:
            if outcome.status == "failed" and not outcome.full:
                store.note(outcome)
            yield outcome
    finally:
        ended.close()  # type: ignore[attr-defined]
