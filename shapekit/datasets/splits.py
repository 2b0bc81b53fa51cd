"""Training, validation and test sets that never share a patient."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping

from shapekit.core.checks import UsageError
from shapekit.datasets.case import Case

_PUBLISHED = ("train", "validation", "test")
"""From the least to the most reserved."""


def split_by_patient(cases: Iterable[Case], fractions: Mapping[str, float], seed: int) -> dict[str, list[Case]]:
    """Divide cases so that all of a patient's are on one side.

    A patient with a published split keeps it; one whose cases were published in several goes to the most reserved of them (test,
    then validation). The others are put in an order that depends on ``seed`` and their own names alone and dealt out by
    ``fractions``, so that neither the order of ``cases`` nor the machine matters.

    Parameters
    ----------
    cases : iterable of Case
    fractions : mapping of str to float
        Split → share of the patients without a published split; together 1.
    seed : int

    Returns
    -------
    dict of str to list of Case
        The splits of ``fractions`` in their order, then other published ones. Cases in order of subject and name, as they came:
        ``Case.split`` stays what the data set publishes.

    Raises
    ------
    UsageError
        If the fractions are not shares that add up to 1.

    Examples
    --------
    >>> from pathlib import Path
    >>> cases = [Case(f"scan{n}", f"patient{n // 2}", Path("a.nii.gz"), "verse") for n in range(40)]
    >>> {name: len(part) for name, part in split_by_patient(cases, {"train": 0.8, "test": 0.2}, seed=1).items()}
    {'train': 32, 'test': 8}
    """
    shares = [float(share) for share in fractions.values()]
    if not shares or not all(math.isfinite(share) and share >= 0 for share in shares) or abs(sum(shares) - 1) > 1e-6:
        raise UsageError(f"fractions are {dict(fractions)}, but must be shares of 0 or more that add up to 1.")
    patients: dict[str, list[Case]] = {}
    for case in sorted(cases, key=lambda case: (case.subject, case.name, str(case.mask))):
        patients.setdefault(case.subject, []).append(case)
    where = {subject: _published(own) for subject, own in patients.items()}
    free = sorted((subject for subject, split in where.items() if not split), key=lambda subject: _draw(seed, subject))
    ends = [round(sum(shares[: n + 1]) * len(free)) for n in range(len(shares))]
    for n, subject in enumerate(free):
        where[subject] = next(name for name, end in zip(fractions, ends, strict=True) if n < end)
    parts: dict[str, list[Case]] = {name: [] for name in fractions}
    for name in _PUBLISHED:
        if name in where.values():
            parts.setdefault(name, [])
    for subject, own in patients.items():
        parts.setdefault(where[subject], []).extend(own)
    return parts


def _published(cases: Iterable[Case]) -> str:
    stated = {case.split for case in cases if case.split}
    return max(stated, key=lambda name: (_PUBLISHED.index(name) if name in _PUBLISHED else -1, name), default="")


def _draw(seed: int, subject: str) -> tuple[str, str]:
    return hashlib.sha256(f"{seed}\0{subject}".encode("utf-8", "surrogatepass")).hexdigest(), subject
