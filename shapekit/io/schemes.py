"""Which scheme a file's label values follow: known values, order along the spine, size; never a guess.

``detect`` keeps every scheme that explains the file. Where those left give the same levels it takes the first; where they do not, it asks.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from shapekit.core.checks import SchemeError, check_choice
from shapekit.core.labels import LabelSummary
from shapekit.core.levels import Level
from shapekit.io.anatomy import misfit_of, size_complaint
from shapekit.io.scheme_tables import BELOW_VERTEBRAE, BESIDE_SPINE, SCHEMES, SUBREGION_BODY, SUBREGIONS, Scheme

__all__ = ["SCHEMES", "Detection", "Scheme", "apply_scheme", "detect", "level_of_name"]

STRAY_SHARE = 1e-3
"""Values that together hold less than this share of the vertebrae's volume may be ignored, with a note."""
FRAGMENT_SHARE = 0.25
"""A vertebra below this share of the median volume is a remainder at the volume's edge: its place and size say nothing."""
MIN_COSINE = 0.3
"""Below this cosine with the patient's vertical, the spine's direction is no evidence."""
ODDS_MARGIN = 6.0
"""A scheme whose squared misfit of sizes exceeds the best one's by this (odds of 20 to 1) is given up."""
_CHOOSE = "choose one with scheme= (--scheme); `shapekit schemes` lists them"


@dataclass(frozen=True)
class Detection:
    """Levels of a file's label values.

    Parameters
    ----------
    scheme : str
    levels : mapping of int to Level
        Only values that the file holds.
    partial : frozenset of int
        Values that the scheme marks as partly visible.
    evidence : tuple of str
        Why this scheme, and what was left out.
    """

    scheme: str
    levels: Mapping[int, Level]
    partial: frozenset[int] = frozenset()
    evidence: tuple[str, ...] = ()


def detect(summaries: Mapping[int, LabelSummary], names: Mapping[int, str] | None = None) -> Detection:
    """Find the scheme that a file's label values follow.

    Parameters
    ----------
    summaries : mapping of int to LabelSummary
        Of every non-zero value, patient space (mm, RAS).
    names : mapping of int to str, optional
        Label names embedded in the file; they decide outright.

    Returns
    -------
    Detection

    Raises
    ------
    SchemeError
        If no scheme explains the values, or several explain them differently.

    Examples
    --------
    >>> from shapekit.core.grid import Grid
    >>> from shapekit.core.labels import summarise_labels
    >>> array = np.zeros((50, 90, 120), np.uint8)
    >>> for step, value in enumerate((20, 21, 22)):
    ...     array[5:45, 10:80, 90 - 35 * step : 112 - 35 * step] = value
    >>> detect(summarise_labels(array, Grid(array.shape, np.eye(4)))).levels[20]
    <Level.L1: 'L1'>
    """
    if not summaries:
        raise SchemeError(f"the mask holds no label at all; give a mask in which vertebrae are marked, then {_CHOOSE}.")
    if names and any(value in names for value in summaries):
        return _from_names(summaries, names)
    fits, refused = [], {}
    for scheme in SCHEMES.values():
        reason = _why_not(scheme, summaries)
        if reason is None:
            fits.append(scheme)
        elif reason:
            refused[scheme.name] = reason
    fits = _drop_improbable(_drop_coincidental(fits, summaries, refused), summaries, refused)
    if not fits:
        raise SchemeError(_nothing_fits(summaries, refused))
    return _agreed(fits, summaries, refused)


def apply_scheme(summaries: Mapping[int, LabelSummary], scheme_name: str) -> Detection:
    """Read a file's label values by a scheme that was asked for.

    Parameters
    ----------
    summaries : mapping of int to LabelSummary
    scheme_name : str
        A name in ``schemes.SCHEMES``.

    Returns
    -------
    Detection
        Values unknown to the scheme, and levels that run the wrong way, are noted.

    Raises
    ------
    UsageError
        If there is no such scheme.
    SchemeError
        If no value is a vertebra in it, or two are the same one.
    """
    scheme = SCHEMES[check_choice("scheme", scheme_name, tuple(SCHEMES))]
    levels = _levels(scheme, summaries)
    if not levels:
        hint = "give it as the body mask beside a vertebra mask" if scheme_name == SUBREGIONS else _CHOOSE
        raise SchemeError(f"label values {_listed(summaries)} hold no vertebra in the scheme {scheme_name}; {hint}.")
    double = _double(levels)
    if double:
        raise SchemeError(f"{double} in the scheme {scheme_name}; relabel one of them or {_CHOOSE}.")
    unknown = [value for value in summaries if not scheme.knows(value)]
    evidence = [f"scheme {scheme_name} as asked for", *_left_out(scheme, summaries)]
    if unknown:
        evidence.append(f"left out: {_listed(unknown)}, unknown to the scheme {scheme_name}")
    disorder = _disorder(levels, summaries)
    if disorder:
        evidence.append(f"doubtful: with the scheme {scheme_name} {disorder}")
    return Detection(scheme_name, levels, scheme.partial & set(levels), tuple(evidence))


def level_of_name(name: str) -> Level | None:
    """Return the level a label's name means, such as ``vertebrae_L1``, ``L1`` or ``vertebra T12``; None for any other name.

    Examples
    --------
    >>> level_of_name("vertebrae_T12"), level_of_name("sacrum"), level_of_name("rib_left_1")
    (<Level.T12: 'T12'>, None, None)
    """
    match = re.fullmatch(r"(?:vertebrae?[ _-]*)?([CTL]\d{1,2})", name.strip(), re.IGNORECASE)
    known = {level.value: level for level in Level}
    return known.get(match.group(1).upper()) if match else None


def _from_names(summaries: Mapping[int, LabelSummary], names: Mapping[int, str]) -> Detection:
    levels = {value: level for value in summaries if (level := level_of_name(names.get(value, ""))) is not None}
    if not levels:
        raise SchemeError("the file's own label names hold no vertebral level; give a mask with one label a vertebra, and this one as body mask.")
    double = _double(levels)
    if double:
        raise SchemeError(f"by the file's own label names, {double}; relabel one of them or {_CHOOSE}.")
    same = [scheme.name for scheme in SCHEMES.values() if _levels(scheme, summaries) == levels]
    rest = _listed(value for value in summaries if value not in levels)  # by value: a name is header text and stays in its file
    evidence = ["levels from the label names embedded in the file", *([f"left out: {rest}"] if rest else [])]
    return Detection(next((name for name in same if name.startswith("totalseg")), same[0] if same else "names"), levels, frozenset(), tuple(evidence))


def _levels(scheme: Scheme, summaries: Mapping[int, LabelSummary]) -> dict[int, Level]:
    return {value: scheme.levels[value] for value in summaries if value in scheme.levels}


def _listed(values: Iterable[int]) -> str:
    numbers = sorted(values)
    return ", ".join(map(str, numbers[:12])) + (f" and {len(numbers) - 12} more" if len(numbers) > 12 else "")


def _double(levels: Mapping[int, Level]) -> str:
    first: dict[Level, int] = {}
    for value, level in levels.items():
        if level in first:
            return f"values {first[level]} and {value} both stand for {level}"
        first[level] = value
    return ""


def _why_not(scheme: Scheme, summaries: Mapping[int, LabelSummary]) -> str | None:
    """Return None where the scheme fits, "" where it does not know the values, else why it cannot be."""
    levels = _levels(scheme, summaries)
    if not scheme.automatic or not levels:
        return ""
    strange = sum(summaries[value].volume_mm3 for value in summaries if not scheme.knows(value))
    if strange >= STRAY_SHARE * sum(summaries[value].volume_mm3 for value in levels):
        return ""
    ranks = sorted(levels, key=lambda value: levels[value].rank)
    if any(value in scheme.partial for value in ranks[1:-1]):
        return "a vertebra between whole ones would be partly visible"
    pairs = [(upper, lower) for upper, lower in itertools.pairwise(ranks) if lower == upper + 1]
    discs = [disc for disc in scheme.discs if disc in summaries]
    if discs and pairs and sum(scheme.discs[disc] in dict(pairs) for disc in discs) < 0.5 * len(pairs):
        return "there would be discs, but not between the vertebrae"
    kept = _whole_enough(levels, summaries)
    return _double(levels) or _disorder(levels, summaries) or _high_sacrum(scheme, kept, summaries) or size_complaint(kept, summaries) or None


def _whole_enough(levels: Mapping[int, Level], summaries: Mapping[int, LabelSummary]) -> dict[int, Level]:
    """Return levels by value from the head downward, without the remainders that a volume's edge leaves."""
    limit = FRAGMENT_SHARE * float(np.median([summaries[value].volume_mm3 for value in levels]))
    kept = [value for value in sorted(levels, key=lambda value: levels[value].rank) if summaries[value].volume_mm3 >= limit]
    return {value: levels[value] for value in kept}


def _disorder(levels: Mapping[int, Level], summaries: Mapping[int, LabelSummary]) -> str:
    """Say in what way the levels do not follow each other down the patient; "" if they do, or if nothing can be said."""
    kept = _whole_enough(levels, summaries)
    centres = np.array([summaries[value].centroid_mm for value in kept])
    if len(centres) < 2:
        return ""
    steps = np.diff(centres, axis=0)
    if (np.einsum("ij,ij->i", steps[:-1], steps[1:]) < 0).any():
        return "the levels would not follow each other along the spine"
    chord = centres[-1] - centres[0]
    if chord[2] > MIN_COSINE * float(np.linalg.norm(chord)):
        return "the levels would run from foot to head"
    return ""


def _high_sacrum(scheme: Scheme, kept: Mapping[int, Level], summaries: Mapping[int, LabelSummary]) -> str:
    """Complain about a sacrum that is not below the vertebrae (from the head downward in ``kept``)."""
    centres = [summaries[value].centroid_mm for value in kept]
    down = centres[-1] - centres[0] if len(centres) > 1 else np.array([0.0, 0.0, -1.0])
    low = [summaries[value].centroid_mm for value in summaries if scheme.others.get(value) in BELOW_VERTEBRAE]
    return "the sacrum would lie above vertebrae" if any((centre - centres[-1]) @ down < 0 for centre in low) else ""


def _drop_coincidental(fits: list[Scheme], summaries: Mapping[int, LabelSummary], refused: dict[str, str]) -> list[Scheme]:
    """Drop schemes for which two or more organs or ribs lie in the row of vertebrae just where another scheme has vertebrae."""
    for scheme in fits:
        beside = {value for value in summaries if scheme.others.get(value) in BESIDE_SPINE}
        own = set(_levels(scheme, summaries))
        if any(own < (row := set(_levels(other, summaries))) and len(beside & row) >= 2 for other in fits):
            refused[scheme.name] = "organs or ribs would lie in the row of vertebrae"
    return [scheme for scheme in fits if scheme.name not in refused]


def _drop_improbable(fits: list[Scheme], summaries: Mapping[int, LabelSummary], refused: dict[str, str]) -> list[Scheme]:
    """Drop schemes whose sizes are far less likely than another's that explains at least as many labels: fewer labels mean less to go wrong."""
    rated = []
    for scheme in fits:
        in_row = sum(scheme.knows(value) and scheme.others.get(value) not in BESIDE_SPINE for value in summaries)
        rated.append((scheme, in_row, misfit_of(_whole_enough(_levels(scheme, summaries), summaries), summaries)))
    for scheme, count, misfit in rated:
        if any(misfit > other_misfit + ODDS_MARGIN for _, other_count, other_misfit in rated if other_count >= count):
            refused[scheme.name] = "the sizes and distances fit another scheme far better"
    return [scheme for scheme in fits if scheme.name not in refused]


def _nothing_fits(summaries: Mapping[int, LabelSummary], refused: Mapping[str, str]) -> str:
    values = set(summaries)
    if values & set(SUBREGION_BODY) and values <= set(SCHEMES[SUBREGIONS].others):
        return f"label values {_listed(values)} are SPINEPS sub-regions and hold no levels; give this file as body mask beside the vertebra mask."
    if refused:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in refused.items())
        return f"no scheme explains the label values {_listed(values)} ({reasons}); check the file's orientation and voxel size, or {_CHOOSE}."
    known = max((scheme for scheme in SCHEMES.values() if scheme.levels), key=lambda scheme: sum(map(scheme.knows, values)))
    strange = [value for value in values if not known.knows(value)]
    if strange:
        return f"no scheme knows the label values {_listed(strange)} beside the others ({known.name} comes nearest); remove them or {_CHOOSE}."
    return f"label values {_listed(values)} hold no vertebra in any scheme that knows them; give a mask with one label a vertebra, or {_CHOOSE}."


def _agreed(fits: list[Scheme], summaries: Mapping[int, LabelSummary], refused: Mapping[str, str]) -> Detection:
    unlevelled = _without_levels(fits, summaries)
    if SUBREGIONS in unlevelled:
        raise SchemeError(_nothing_fits(summaries, refused))
    total = sum(summary.volume_mm3 for value, summary in summaries.items() if any(value in scheme.levels for scheme in fits))
    by_levels: dict[tuple[tuple[int, Level], ...], list[str]] = {(): unlevelled} if unlevelled else {}
    for scheme in fits:
        key = tuple(item for item in _levels(scheme, summaries).items() if summaries[item[0]].volume_mm3 >= STRAY_SHARE * total)
        by_levels.setdefault(key, []).append(scheme.name)
    if len(by_levels) > 1:
        readings = "; ".join(f"{'/'.join(names)}: {_reading(dict(key))}" for key, names in by_levels.items())
        raise SchemeError(f"label values {_listed(summaries)} mean different levels in schemes that all fit ({readings}); {_CHOOSE}.")
    scheme = fits[0]
    levels = _levels(scheme, summaries)
    evidence = [f"scheme {scheme.name}: {_reading(levels)}", *_left_out(scheme, summaries)]
    if len(fits) > 1:
        evidence.append(f"the same levels by {', '.join(other.name for other in fits[1:])}")
    evidence += [f"not {name}: {reason}" for name, reason in refused.items()]
    strange = [value for value in summaries if not scheme.knows(value)]
    if strange:
        evidence.append(f"left out: a few voxels of {_listed(strange)}, unknown to the scheme {scheme.name}")
    return Detection(scheme.name, levels, scheme.partial & set(levels), tuple(evidence))


def _without_levels(fits: list[Scheme], summaries: Mapping[int, LabelSummary]) -> list[str]:
    """Name the schemes by which the file is a sacrum or a sub-region mask; three vertebrae in good order rule that out."""
    if any(len(_whole_enough(_levels(scheme, summaries), summaries)) >= 3 for scheme in fits):
        return []
    known = [scheme for scheme in SCHEMES.values() if all(value in scheme.others for value in summaries)]
    sacra = [scheme.name for scheme in known if scheme.levels and BELOW_VERTEBRAE & {scheme.others[value] for value in summaries}]
    return sacra + [scheme.name for scheme in known if not scheme.levels and set(SUBREGION_BODY) & set(summaries)]


def _reading(levels: Mapping[int, Level]) -> str:
    if not levels:
        return "no vertebra"
    parts = [f"{value} = {level}" for value, level in sorted(levels.items(), key=lambda item: item[1].rank)]
    return ", ".join(parts) if len(parts) <= 4 else f"{parts[0]} to {parts[-1]}"


def _left_out(scheme: Scheme, summaries: Mapping[int, LabelSummary]) -> list[str]:
    others = [f"{value} ({scheme.others[value]})" for value in sorted(summaries) if value in scheme.others]
    notes = [f"left out: {', '.join(others[:12])}{' and more' if len(others) > 12 else ''}"] if others else []
    if scheme.name == "totalsegmentator" and 26 in summaries:
        notes.append("26 is read as S1; if the file is from total_v3, where it is L6, choose scheme totalsegmentator-v3")
    return notes
