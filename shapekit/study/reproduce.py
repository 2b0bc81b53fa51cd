"""The paper's experiment as one call: data sets or phantoms → split by patient → fit on what is graded 0 → score → table, rows and figure."""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shapekit.core.checks import InputError, OutputError, UsageError, check_choice
from shapekit.datasets import Case, in_processes, split_by_patient
from shapekit.networks import read_weights
from shapekit.pipeline import Scored
from shapekit.predictors import make_predictor
from shapekit.study.findings import PAPER, graded, summarise, text_of
from shapekit.study.fitting import TRAINED, Counting, fit_predictor, uncounted
from shapekit.study.scans import EXAMPLES, keep_rows, keep_samples, score_case
from shapekit.training import Samples, TrainingConfig, refuse_several
from shapekit.version import __version__

if TYPE_CHECKING:
    import pandas

SHIPPED = "shipped"
FILES = ("figure.png", "rows.csv", "table.md", "findings.json")
"""In the order in which they appear."""
Place = tuple[str, str, str, str]
"""Group, case, subject and level: both groups may call their scans alike."""


@dataclass(frozen=True)
class Protocol:
    """How the experiment is run.

    Parameters
    ----------
    predictor : {"generative", "linear", "neighbours"}
    weights : str or Path, optional
        ``"shipped"`` or a file takes weights as they are; without it they are fitted to the internal set less its test patients.
    config : TrainingConfig
        Of the fit.
    calibration : int
        Phantoms to measure on how the fitted predictor's sizes and shapes err; 0 leaves bodies' own sizes and intervals out.
    test_share : float
        Share of the internal patients held out; 1 only with ``weights``.
    seed : int
        Of the split.
    draws : int
        Of the bootstrap over patients.
    workers : int, optional
        Processes; by default one a core. Results do not depend on it.
    accelerator, devices : str
        Of the networks' training, as Lightning Fabric takes them; one device.
    """

    predictor: str = "generative"
    weights: str | Path | None = None
    config: TrainingConfig = field(default_factory=TrainingConfig)
    calibration: int = 80
    test_share: float = 0.1
    seed: int = 2022
    draws: int = 500
    workers: int | None = None
    accelerator: str = "cpu"
    devices: str = "1"

    def __post_init__(self) -> None:
        refuse_several("reproducing the experiment")
        check_choice("predictor", self.predictor, TRAINED)
        if not 0 < self.test_share <= 1 or (self.test_share == 1 and self.learns):
            raise UsageError(f"the test share is {self.test_share:g}, but must lie between 0 and 1 (1 only with weights that are fitted already).")
        if self.predictor == "neighbours" and self.weights not in (None, SHIPPED):
            raise UsageError("the predictor neighbours learns nothing and takes no weights; leave them out or choose generative or linear.")

    @property
    def learns(self) -> bool:
        """Whether weights are fitted to the internal set."""
        return self.predictor != "neighbours" and self.weights is None


def reproduce(
    sets: dict[str, list[Case]],
    output: str | Path,
    protocol: Protocol | None = None,
    *,
    notes: Sequence[str] = (),
    counting: Counting = uncounted,
) -> dict[str, Any]:
    """Run the experiment of Botros et al. (2022) and write ``findings.json``, ``table.md``, ``rows.csv`` and ``figure.png``.

    Cervical vertebrae are left out, patients are split, a predictor is fitted to vertebrae graded 0 of the patients that are not held out,
    and both the held-out and the external patients are scored. A stopped run goes on where it was; nothing is done twice for the same
    masks, grades and options.

    Parameters
    ----------
    sets : dict of str to list of Case
        ``"internal"`` and ``"external"``; see ``shapekit.study.sets``.
    output : path
        Made when it does not exist.
    protocol : Protocol, optional
    notes : sequence of str
        To be kept with the findings.
    counting : callable
        See ``shapekit.study.fitting.Counting``.

    Returns
    -------
    dict
        What ``findings.json`` holds: the protocol, the split, ``sets`` (see ``shapekit.study.findings.summarise``), the paper's numbers,
        what was left out.

    Raises
    ------
    InputError
        If a set is empty, or nothing of it could be scored or learnt from.
    OutputError
        If the folder cannot be written.
    MissingPackageError
        Without matplotlib, or without Lightning Fabric where networks are trained.
    """
    import pandas

    how, root = protocol or Protocol(), Path(output)
    try:
        for name in ("samples", "scored"):
            (root / name).mkdir(parents=True, exist_ok=True)
        learn, held = _split(sets["internal"], how)
        left_out: list[str] = []
        weights, identity = _weights(root, learn, how, left_out, counting)
        rows: list[dict[str, object]] = []
        shown: dict[Place, Scored] = {}
        scored_sets = {"internal": held, "external": sets["external"]}
        for group, cases in scored_sets.items():
            work = partial(keep_rows, group=group, predictor=how.predictor, weights=weights, identity=identity, folder=root / "scored")
            with counting(f"scoring the {group} set", len(cases)) as done:
                for n, kept in enumerate(in_processes(work, cases, workers=how.workers)):
                    rows += kept.rows
                    left_out += [f"{group}: {kept.reason}"] if kept.reason else []
                    shown = _nearest(shown | {(group, cases[n].name, cases[n].subject, level): one for level, one in kept.shown.items()})
                    done(n + 1)
        table = pandas.DataFrame(rows)
        parts = {group: table[table["group"] == group] if len(table) else table for group in ("internal", "external")}
        for group, part in parts.items():
            if not len(part) or not len(graded(part)):
                raise InputError(f"no vertebra of the {group} set has both a score and a grade{_first(left_out)}; check its masks and grades.")
        found = {group: summarise(part, beside=group == "external", draws=how.draws) for group, part in parts.items()}
        told = _record(how, identity, learn, held, sets["external"], found, [*notes], left_out)
        if not _is_written(root, told):
            by_scan = {(group, case.name, case.subject): case for group, cases in scored_sets.items() for case in cases}
            _write(root, told, table, examples_of(table, shown, lambda scan: score_case(by_scan[scan], how.predictor, weights)))
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"{root.name} cannot be written ({error.strerror or error}); choose a folder that you may write.") from error
    return told


def _split(internal: list[Case], how: Protocol) -> tuple[list[Case], list[Case]]:
    """Hold patients out; at least one, and at least one to learn from."""
    people = sorted({case.subject for case in internal})
    if how.test_share == 1:
        return [], list(internal)
    if len(people) < 2:
        raise InputError(f"the internal set has {len(people)} patients, but a split by patient needs at least 2.")
    count = min(max(round(how.test_share * len(people)), 1), len(people) - 1)
    parts = split_by_patient(internal, {"learn": 1 - count / len(people), "test": count / len(people)}, seed=how.seed)
    return parts["learn"], parts["test"]


def _weights(root: Path, learn: list[Case], how: Protocol, left_out: list[str], counting: Counting) -> tuple[str | None, str]:
    """Return the file to predict with (None: the package's own) and its identity; fit it where that is asked for and not done yet."""
    if not how.learns:
        own = None if how.weights in (None, SHIPPED) else str(how.weights)
        return own, make_predictor(how.predictor, own).identity
    names = []
    with counting("reading masks", len(learn)) as done:
        for n, (name, reason) in enumerate(in_processes(partial(keep_samples, folder=root / "samples"), learn, workers=how.workers)):
            names += [(name, learn[n].subject)] if name else []
            left_out += [f"training: {reason}"] if reason else []
            done(n + 1)
    if not names:
        raise InputError(f"no mask of the training patients could be used{_first(left_out)}; check the internal set.")
    basis = repr((names, sorted(asdict(how.config).items()), how.calibration, how.predictor, __version__))
    folder = root / f"weights-{hashlib.sha256(basis.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"
    path = folder / f"{how.predictor}.safetensors"
    try:
        _, card, identity = read_weights(path, how.predictor)
        if card.get("calibration_patients", 0) == how.calibration:
            return str(path), identity
    except InputError:  # not fitted yet, or not to the end
        pass

    def samples() -> list[Samples]:
        return [replace(Samples.read(root / "samples" / name), subject=subject) for name, subject in names]

    card = {"cohort": f"{len(learn)} scans of a study's internal set, vertebrae of grade 0"}
    done_path, identity = fit_predictor(
        folder,
        how.predictor,
        how.config,
        samples,
        card=card,
        calibration=how.calibration,
        workers=how.workers,
        accelerator=how.accelerator,
        devices=how.devices,
        counting=counting,
    )
    return str(done_path), identity


def _nearest(shown: dict[Place, Scored]) -> dict[Place, Scored]:
    """Keep of all shapes those that may end up in the figure."""
    places = [min(shown, key=lambda place: abs(shown[place].measures.score - wanted)) for wanted in EXAMPLES if shown]
    return {place: shown[place] for place in places}


def examples_of(table: pandas.DataFrame, shown: Mapping[Place, Scored], again: Callable[[tuple[str, str, str]], list[Scored]]) -> list[Scored]:
    """Take the shapes of the vertebrae nearest to a few scores.

    Parameters
    ----------
    table : DataFrame
        All rows.
    shown : mapping of Place to Scored
        Shapes that are at hand.
    again : callable
        Scores a scan, by group, case and subject, whose rows are an earlier run's.
    """
    known = graded(table)
    chosen = known.iloc[list(dict.fromkeys(int((known["score"] - wanted).abs().to_numpy().argmin()) for wanted in EXAMPLES))]
    places: list[Place] = list(zip(chosen["group"], chosen["case"], chosen["subject"], chosen["level"], strict=True))
    found = dict(shown)
    for place in places:
        if place not in found:
            found |= {(*place[:3], one.measures.level): one for one in again(place[:3])}
    return [found[place] for place in places]


def _is_written(root: Path, told: dict[str, Any]) -> bool:
    """Tell whether an earlier run ended with the same findings."""
    try:
        return all((root / name).is_file() for name in FILES) and json.loads((root / "findings.json").read_bytes()) == _plain(told)
    except (OSError, ValueError):
        return False


def _record(
    how: Protocol,
    identity: str,
    learn: Sequence[Case],
    held: Sequence[Case],
    external: Sequence[Case],
    found: dict[str, Any],
    notes: list[str],
    left_out: list[str],
) -> dict[str, Any]:
    plain = {name: value for name, value in asdict(how).items() if name not in ("workers", "weights", "accelerator", "devices")}
    stated = (
        "fitted to the internal set" if how.learns else "none" if how.predictor == "neighbours" else "shipped" if how.weights == SHIPPED else "given"
    )
    return {
        "shapekit_version": __version__,
        "protocol": plain | {"weights": stated, "weights_id": identity},
        "split": {
            "learn": sorted({case.subject for case in learn}),
            "test": sorted({case.subject for case in held}),
            "external": sorted({case.subject for case in external}),
        },
        "sets": found,
        "paper": PAPER,
        "tests": "Mann-Whitney and Welch, two-sided, over vertebrae; intervals 95 %, drawn over patients",
        "notes": notes,
        "left_out": left_out,
    }


def _write(root: Path, told: dict[str, Any], table: pandas.DataFrame, examples: list[Scored]) -> None:
    """Let everything appear when it is complete; the findings last."""
    from shapekit.report.figure import draw_scores, save_figure

    known = graded(table)
    groups = {
        f"{group} {grade}": known[(known["group"] == group) & (known["grade"] == grade)]["score"].tolist()
        for group in ("internal", "external")
        for grade in range(4)
    }
    with tempfile.TemporaryDirectory(dir=root, prefix=".part-") as staged:
        stage = Path(staged)
        save_figure(draw_scores(groups, examples, group_name="set and Genant grade"), stage / "figure.png")
        table.to_csv(stage / "rows.csv", index=False, float_format="%.5g", lineterminator="\n")
        (stage / "table.md").write_text(text_of(told["sets"]), encoding="utf-8")
        (stage / "findings.json").write_text(json.dumps(_plain(told), indent=1, allow_nan=False) + "\n", encoding="utf-8")
        for name in FILES:
            (stage / name).replace(root / name)


def _plain(value: Any) -> Any:
    """NaN has no place in JSON, and numpy's numbers neither."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and math.isnan(value) else value


def _first(reasons: Sequence[str]) -> str:
    return f" ({reasons[0].rstrip('.')}{f', and {len(reasons) - 1} more' if len(reasons) > 1 else ''})" if reasons else ""
