"""Mask → measures of every vertebra, a line a stage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from shapekit.core.checks import InputError, check_choice
from shapekit.core.frame import Frame
from shapekit.core.levels import Level, typical_gap
from shapekit.core.values import Body, Expected, LabelMap, Measures, MeshSet, Sdf
from shapekit.mesh import surface_distance
from shapekit.morphometry import Heights, genant_grade, height_losses, measure_heights, neighbour_heights, type_of_deformity
from shapekit.predictors import PREDICTORS, Context, Predictor, contexts_along, place, placed
from shapekit.scoring import PRESETS, score_patches
from shapekit.spine import GUESS_DEG, bodies_from_meshes, body_on_patch, extract_bodies, nears_edge, vertebra_frames
from shapekit.version import __version__

DOUBTFUL_DEG = 6.0
"""Frames less certain than this are told."""
STATUSES = ("ok", "partial", "no_context", "outside_levels", "no_body")


@dataclass(frozen=True, eq=False)
class Scored:
    """What the pipeline knows of one vertebra; the shapes are None where it could not be scored.

    Parameters
    ----------
    measures : Measures
    body : Body or None
    frame : Frame or None
        Of the actual body.
    expected : Expected or None
    actual : Sdf or None
        The actual body on the expected one's patch.
    """

    measures: Measures
    body: Body | None = None
    frame: Frame | None = None
    expected: Expected | None = None
    actual: Sdf | None = None


def measure(
    spine: LabelMap | MeshSet,
    *,
    bodies: str = "auto",
    predictor: str = "neighbours",
    preset: str = "botros2022",
    device: str = "cpu",
    progress: Callable[[str], None] | None = None,
) -> tuple[list[Scored], tuple[str, ...]]:
    """Score every vertebra of a spine.

    Parameters
    ----------
    spine : LabelMap or MeshSet
    bodies, predictor, preset : str
        See ``shapekit.score``.
    device : str
        A torch device.
    progress : callable
        Told the name of each stage as it begins.

    Returns
    -------
    scored : list of Scored
        From the head downward, one a vertebra of the input.
    notes : tuple of str
        Doubts about the spine as a whole.

    Raises
    ------
    UsageError, InputError, MissingPackageError
        As the stages say.
    """
    check_choice("predictor", predictor, tuple(PREDICTORS))
    check_choice("preset", preset, tuple(PRESETS))
    expecting = PREDICTORS[predictor]()
    tell = progress or _hush

    tell("bodies")
    found, missing, notes = extract_bodies(spine, bodies=bodies) if isinstance(spine, LabelMap) else bodies_from_meshes(spine, bodies=bodies)
    frames = vertebra_frames(found)
    shapes = [body_on_patch(body, frame) for body, frame in zip(found, frames, strict=True)]
    contexts = contexts_along([body.level for body in found], [None if body.partial else shape for body, shape in zip(found, shapes, strict=True)])
    rows = [_row(body, frame, context) for body, frame, context in zip(found, frames, contexts, strict=True)]

    tell("expected shapes")
    scored = [Scored(row, body, frame) for row, body, frame in zip(rows, found, frames, strict=True)]
    targets = [n for n, row in enumerate(rows) if row.status == "ok"]
    predicted = expecting.predict([contexts[n] for n in targets])
    for n, values in zip(targets, predicted, strict=True):
        scored[n] = _expect(scored[n], Sdf(values, shapes[n].grid), contexts[n], expecting)

    tell("scores")
    numbers = score_patches([s.expected.sdf for s in scored if s.expected], [s.actual for s in scored if s.actual], preset=preset, device=device)
    for n, row in zip(targets, numbers, strict=True):
        scored[n] = replace(scored[n], measures=replace(scored[n].measures, **row))  # type: ignore[arg-type]
    scored = _read_heights(scored, shapes)
    for level, reason in missing.items():  # by level among those that follow the spine
        below = (n for n, one in enumerate(scored) if level < Level(one.measures.level))
        scored.insert(next(below, len(scored)), Scored(_missing_row(spine, level, reason)))
    return scored, notes


def _hush(stage: str) -> None:
    """Say nothing."""


def _row(body: Body, frame: Frame, context: Context) -> Measures:
    """Open a body's row: whether it can be scored, which way it faces, and what was noticed."""
    status, notes = "ok", list(body.notes)
    if frame.error_deg >= GUESS_DEG:
        notes.append("lies more than 60° from the scanner's axes and has no arch or neighbour: which way it faces is a guess")
    elif frame.error_deg > DOUBTFUL_DEG:
        notes.append(f"which way it faces is uncertain by {frame.error_deg:.0f}°")
    if body.partial:
        status = "partial"
    elif body.level.is_cervical:
        status, notes = "outside_levels", ["cervical levels are not scored; they serve as neighbours"]
    elif context.is_empty:
        status = "no_context"
        notes.append("no whole neighbour to expect a shape from")
    return Measures(
        level=str(body.level),
        label=body.label,
        status=status,
        reason="; ".join(notes),
        tilt_sagittal_deg=frame.tilt_sagittal_deg,
        tilt_coronal_deg=frame.tilt_coronal_deg,
        rotation_axial_deg=frame.rotation_axial_deg,
        frame_error_deg=frame.error_deg,
        shapekit_version=__version__,
    )


def _read_heights(scored: list[Scored], shapes: list[Sdf]) -> list[Scored]:
    """Measure every body's heights, and read the losses against the expected body and against the nearest whole neighbours."""
    own = [None if one.measures.status == "partial" else _heights(shape) for one, shape in zip(scored, shapes, strict=True)]
    should = [_heights(one.expected.sdf) if one.expected else None for one in scored]
    losses = [height_losses(a, e) if a and e else None for a, e in zip(own, should, strict=True)]
    broken = [loss is not None and genant_grade(max(loss)) > 0 for loss in losses]
    done = []
    for n, one in enumerate(scored):
        found, expected, loss, beside = own[n], should[n], losses[n], neighbour_heights(own, broken, n)
        row = one.measures
        if found:
            row = replace(row, ha_mm=found.ha_mm, hm_mm=found.hm_mm, hp_mm=found.hp_mm)
            if beside and row.status == "ok":
                row = replace(row, height_loss_neighbours=max(height_losses(found, beside)))
        if expected:
            row = replace(row, expected_ha_mm=expected.ha_mm, expected_hm_mm=expected.hm_mm, expected_hp_mm=expected.hp_mm)
        if loss:
            kind = type_of_deformity(loss) if broken[n] else ""
            row = replace(row, height_loss=max(loss), genant_grade=genant_grade(max(loss)), deformity=kind)
        done.append(replace(one, measures=row))
    return done


def _heights(shape: Sdf) -> Heights | None:
    try:
        return measure_heights(shape)
    except InputError:  # a shape of no height is told by its empty cells
        return None


def _missing_row(spine: LabelMap | MeshSet, level: Level, reason: str) -> Measures:
    labels = {known: label for label, known in spine.levels.items()} if isinstance(spine, LabelMap) else {}
    status = "outside_levels" if level.is_cervical else "no_body"
    return Measures(level=str(level), label=labels.get(level, 0), status=status, reason=reason, shapekit_version=__version__)


def _expect(target: Scored, shape: Sdf, context: Context, predictor: Predictor) -> Scored:
    """Place a predicted shape over its body and lay the body on the same patch."""
    assert target.body is not None
    assert target.frame is not None
    frame = place(shape, target.body.sdf, target.frame)
    used = predictor.uses(context)
    expected = Expected(placed(shape.values, frame, shape.grid), frame, used=used, predictor=predictor.name)
    actual = body_on_patch(target.body, frame)
    notes = [target.measures.reason] if target.measures.reason else []
    if len(used) == 1:
        notes.append(f"expected from one side only ({used[0]})")
    notes += [f"{level} is {gap} levels away" for level in used if (gap := abs(typical_gap(level, target.body.level))) > 1]
    if nears_edge(actual) or nears_edge(expected.sdf):
        notes.append("comes nearer than 4 mm to the edge of its patch")
    row = replace(
        target.measures,
        reason="; ".join(notes),
        surface_distance_mm=surface_distance(expected.sdf, actual),
        neighbours_used=" ".join(str(level) for level in used),
        predictor=predictor.name,
    )
    return replace(target, measures=row, expected=expected, actual=actual)
