"""Judge predictors on phantoms: every expected body against the healthy twin, where it lies, and every score against the twin's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from shapekit.core.checks import check_choice
from shapekit.core.frame import Frame
from shapekit.core.levels import Level
from shapekit.core.values import Body, Sdf
from shapekit.datasets import in_processes
from shapekit.datasets.phantom import draw_scan
from shapekit.evaluation.oracle import NAME as ORACLE
from shapekit.evaluation.oracle import Oracle
from shapekit.mesh import surface_distance
from shapekit.morphometry import GRADE_LIMITS, measure_sizes
from shapekit.phantom import BUILDS, Loss, Patient, Vertebra, body_patch
from shapekit.pipeline import Scored, expect, find_bodies, interval_kind
from shapekit.predictors import Predictor, make_predictor
from shapekit.scoring import score_patches
from shapekit.sdf import halve_patch, resample_sdf
from shapekit.spine import body_on_patch

Half = NDArray[np.float16]
Float = NDArray[np.float64]

DAMAGED_FROM = GRADE_LIMITS[0]
"""Neighbours count as damaged from this worst height loss on: grade 1."""


@dataclass(frozen=True)
class Spec:
    """One predictor as it is judged: its name, its weights (None: the package's own), and the ``repair`` and ``own`` of ``expect``.

    The predictor ``"oracle"`` knows each patient's true habits; see ``shapekit.evaluation.oracle``.
    """

    name: str
    predictor: str
    weights: str | None = None
    repair: bool | None = None
    own: bool = True

    def make(self, patient: Patient | None = None) -> Predictor:
        """Make the predictor; the oracle for one patient, all others for anybody.

        Raises
        ------
        UsageError, InputError
            See ``make_predictor``.
        """
        if self.predictor == ORACLE and patient is not None:
            return Oracle(patient)
        return make_predictor("neighbours" if self.predictor == ORACLE else self.predictor, self.weights)


@dataclass(frozen=True, eq=False)
class Residual:
    """How far one predicted shape lay from the true one.

    Parameters
    ----------
    predictor : str
    kind : int
        See ``shapekit.scoring.kind_of``.
    off, expected, actual : (40, 32, 32) float16, mm
        True minus expected distance, and the expected and the actual shape's, on the expected body's half-resolution patch.
    row : dict
        What ``score_patches`` returned.
    twin_score : float
    sizes : (3, 5) float64
        Logarithms of Ha, Hm, Hp, width and depth in mm: of the predicted shape before the body's own were taken up, of the healthy twin, and
        of the body as its mask has it; NaN where they could not be measured.
    loss : (3,) float64
        True shares of the twin's heights that the body has lost.
    """

    predictor: str
    kind: int
    off: Half
    expected: Half
    actual: Half
    row: dict[str, float]
    twin_score: float
    sizes: Float
    loss: Float


@dataclass(frozen=True, eq=False)
class Judged:
    """What one patient gave.

    Parameters
    ----------
    rows : list of dict
        One a vertebra and predictor.
    residuals : list of Residual
        Empty unless asked for.
    losses : list of (3,) float64
        True height losses of all the patient's bodies, scored or not.
    """

    rows: list[dict[str, object]]
    residuals: list[Residual]
    losses: list[Float] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class _Twin:
    """A vertebra's healthy twin on its own patch, and what it says of the actual body."""

    vertebra: Vertebra
    sdf: Sdf
    score: float
    relative_loss: float


def judge_phantom(index: int, specs: Sequence[Spec], *, seed: int, build: str = "plain", residuals: bool = False) -> Judged:
    """Draw and scan patient ``index`` of a test cohort, score it with each predictor, and compare with the truth.

    Parameters
    ----------
    index : int
        See ``shapekit.datasets.draw_scan``; spacings, directions and fields of view vary, masks are noisy.
    specs : sequence of Spec
    seed : int
    build : {"plain", "varied", "both"}
        See ``shapekit.phantom.draw_patient``; ``"both"``: plain for even numbers, varied for odd ones.
    residuals : bool
        Whether to return what a spread is fitted to.

    Raises
    ------
    UsageError
        If the build is none of these.
    """
    drawn = BUILDS[index % 2] if check_choice("build", build, (*BUILDS, "both")) == "both" else build
    scan = draw_scan(index, seed=seed, acquisition="varied", build=drawn)
    found = find_bodies(scan.labels)
    truth = {vertebra.level: vertebra for vertebra in scan.patient}
    twins = {body.level: _twin(truth[body.level], body) for body in found.bodies if not body.partial}
    losses = {level: vertebra.loss.worst for level, vertebra in truth.items()}
    rows, spread = [], []
    for spec in specs:
        predictor = spec.make(scan.patient)
        for one in expect(found, predictor, repair=spec.repair, own=spec.own):
            level = Level(one.measures.level)
            if one.expected is None or level not in twins:
                rows.append(_empty_row(index, drawn, spec, one, truth.get(level)))
                continue
            twin, lies = twins[level], resample_sdf(twins[level].sdf, one.expected.sdf.grid)
            rows.append(_row(index, drawn, spec, one, twin, lies, losses))
            if residuals and one.actual is not None:
                expected = halve_patch(one.expected.sdf.values)
                off, should, does = (
                    part.astype(np.float16) for part in (halve_patch(lies.values) - expected, expected, halve_patch(one.actual.values))
                )
                numbers = {name: getattr(one.measures, name) for name in ("l_lr_mm", "l_ap_mm", "weighted_surplus_mm3", "score")}
                loss = np.array(_three(twin.vertebra.loss))
                spread.append(Residual(spec.name, interval_kind(one), off, should, does, numbers, twin.score, _sizes(one, twin), loss))
    return Judged(rows, spread, [np.array(_three(vertebra.loss)) for vertebra in scan.patient])


def evaluate_phantoms(
    count: int,
    specs: Sequence[Spec],
    *,
    seed: int,
    build: str = "plain",
    workers: int | None = None,
    residuals: bool = False,
    progress: Callable[[int], None] | None = None,
) -> list[Judged]:
    """Judge many patients; the same for any number of workers.

    Parameters
    ----------
    count : int
    specs : sequence of Spec
    seed : int
    build : {"plain", "varied", "both"}
        See ``judge_phantom``.
    workers : int, optional
        Processes; by default one a core.
    residuals : bool
    progress : callable, optional
        Told how many patients are done.

    Raises
    ------
    UsageError
        If the build is none of these.
    """
    check_choice("build", build, (*BUILDS, "both"))
    for spec in specs:
        spec.make()  # what is wrong with it is told before an hour's work
    judged = []
    judge = partial(judge_phantom, specs=specs, seed=seed, build=build, residuals=residuals)
    for one in in_processes(judge, range(count), workers=workers):
        judged.append(one)
        if progress is not None:
            progress(len(judged))
    return judged


def _twin(vertebra: Vertebra, body: Body) -> _Twin:
    frame = vertebra.frame("healthy")
    sdf = body_patch(vertebra, frame, which="healthy", limit_mm=2.0)
    (row,) = score_patches([sdf], [body_on_patch(body, frame)])
    return _Twin(vertebra, sdf, row["score"], row["relative_loss"])


def _sizes(one: Scored, twin: _Twin) -> Float:
    """Predicted, true and measured sizes; see ``Residual``."""
    return np.array([sizes.logarithms if sizes else np.full(5, np.nan) for sizes in (one.predicted, measure_sizes(twin.sdf), one.measured)])


def _three(loss: Loss) -> tuple[float, float, float]:
    return loss.ha, loss.hm, loss.hp


def _empty_row(index: int, build: str, spec: Spec, one: Scored, vertebra: Vertebra | None) -> dict[str, object]:
    grade = vertebra.grade if vertebra is not None else -1
    return {"patient": index, "build": build, "predictor": spec.name, "level": one.measures.level, "status": one.measures.status, "grade": grade}


def _row(index: int, build: str, spec: Spec, one: Scored, twin: _Twin, lies: Sdf, losses: Mapping[Level, float]) -> dict[str, object]:
    assert one.expected is not None
    measures, vertebra = one.measures, twin.vertebra
    level = vertebra.level
    above = [used for used in one.expected.used if used < level]
    below = [used for used in one.expected.used if level < used]
    direct = [*above[-1:], *below[:1]]
    damaged = sum(losses[used] >= DAMAGED_FROM for used in direct)
    expected, true = one.expected.sdf.values < 0, lies.values < 0
    return {
        "patient": index,
        "build": build,
        "predictor": spec.name,
        "level": str(level),
        "status": measures.status,
        "grade": vertebra.grade,
        "kind": vertebra.deformity,
        "loss": vertebra.loss.worst,
        "context": "one_side" if len(direct) < 2 else ("intact", "one_damaged", "both_damaged")[damaged],
        "damaged": damaged,
        "repaired": len(one.expected.repaired),
        "score": measures.score,
        "score_lo": measures.score_lo,
        "score_hi": measures.score_hi,
        "twin_score": twin.score,
        "relative_loss": measures.relative_loss,
        "twin_relative_loss": twin.relative_loss,
        "height_loss": measures.height_loss,
        "genant_grade": measures.genant_grade,
        "surface_mm": surface_distance(one.expected.sdf, lies),
        "dice": float(2 * (expected & true).sum() / (expected.sum() + true.sum())),
        "turn_deg": _angle_deg(one.expected.frame, vertebra.frame("healthy")),
        "volume_ratio": measures.expected_mm3 / measures.actual_mm3,
    }


def _angle_deg(one: Frame, other: Frame) -> float:
    """Angle of the rotation between two frames."""
    return float(np.degrees(np.arccos(np.clip((np.trace(one.axes.T @ other.axes) - 1) / 2, -1.0, 1.0))))
