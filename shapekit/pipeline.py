"""Mask → measures of every vertebra, a line a stage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shapekit.core.checks import InputError, check_choice
from shapekit.core.frame import Frame
from shapekit.core.levels import Level, typical_gap
from shapekit.core.threads import by_pieces, each
from shapekit.core.values import Body, Expected, LabelMap, Measures, MeshSet, Sdf
from shapekit.mesh import surface_distance
from shapekit.morphometry import Heights, genant_grade, height_losses, measure_heights, neighbour_heights, type_of_deformity
from shapekit.predictors import DIRECT, REPAIR_FROM, ROUNDS, Context, Predictor, contexts_along, place, placed, repaired_contexts
from shapekit.scoring import PRESETS, kind_of, score_intervals, score_patches
from shapekit.sdf import halve_patch
from shapekit.spine import GUESS_DEG, bodies_from_meshes, body_on_patch, extract_bodies, nears_edge, vertebra_frames
from shapekit.version import __version__

DOUBTFUL_DEG = 6.0
"""Frames less certain than this are told."""
UNCERTAIN_WIDTH = 60.0
"""Scores whose 90 % interval is wider than this are marked as uncertain; their numbers stay."""
SCORED = ("ok", "uncertain")
"""Statuses of vertebrae that have a score."""
STATUSES = (*SCORED, "partial", "no_context", "outside_levels", "no_body")


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


@dataclass(frozen=True, eq=False)
class Found:
    """The bodies of a spine before anything is expected of them, from the head downward.

    Parameters
    ----------
    spine : LabelMap or MeshSet
    bodies : list of Body
    frames : list of Frame
    shapes : list of Sdf
        Each body on the patch of its frame.
    missing : dict of Level to str
        Vertebrae without a body, and why.
    notes : tuple of str
    """

    spine: LabelMap | MeshSet
    bodies: list[Body]
    frames: list[Frame]
    shapes: list[Sdf]
    missing: dict[Level, str]
    notes: tuple[str, ...]


def measure(
    spine: LabelMap | MeshSet,
    *,
    predictor: Predictor,
    bodies: str = "auto",
    preset: str = "botros2022",
    device: str = "cpu",
    repair: bool | None = None,
    progress: Callable[[str], None] | None = None,
) -> tuple[list[Scored], tuple[str, ...]]:
    """Score every vertebra of a spine.

    Parameters
    ----------
    spine : LabelMap or MeshSet
    predictor : Predictor
    bodies, preset : str
        See ``shapekit.score``.
    device : str
        A torch device.
    repair : bool, optional
        Whether broken neighbours are shown as they should look; by default as the predictor wants it.
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
    check_choice("preset", preset, tuple(PRESETS))
    tell = progress or _hush
    tell("bodies")
    found = find_bodies(spine, bodies=bodies)
    return expect(found, predictor, preset=preset, device=device, repair=repair, progress=tell), found.notes


@by_pieces()
def find_bodies(spine: LabelMap | MeshSet, *, bodies: str = "auto") -> Found:
    """Cut out every body, find which way it faces, and lay it on its patch."""
    found, missing, notes = extract_bodies(spine, bodies=bodies) if isinstance(spine, LabelMap) else bodies_from_meshes(spine, bodies=bodies)
    frames = vertebra_frames(found)
    return Found(spine, found, frames, each(body_on_patch, found, frames), missing, notes)


@by_pieces()
def expect(
    found: Found,
    predictor: Predictor,
    *,
    preset: str = "botros2022",
    device: str = "cpu",
    repair: bool | None = None,
    progress: Callable[[str], None] | None = None,
) -> list[Scored]:
    """Predict what every body should look like, and score it against that; see ``measure``."""
    tell = progress or _hush
    usable = [None if body.partial else shape for body, shape in zip(found.bodies, found.shapes, strict=True)]
    contexts = contexts_along([body.level for body in found.bodies], usable)
    rows = [_row(body, frame, context) for body, frame, context in zip(found.bodies, found.frames, contexts, strict=True)]
    scored = [Scored(row, body, frame) for row, body, frame in zip(rows, found.bodies, found.frames, strict=True)]
    targets = [n for n, row in enumerate(rows) if row.status == "ok"]

    tell("expected shapes")
    blank = list(scored)
    scored = _predict(blank, scored, targets, contexts, found.shapes, predictor, preset, device, ())
    repaired: dict[int, Sdf] = {}
    for _ in range(ROUNDS if (predictor.repairs if repair is None else repair) else 0):
        broken = {n: one.expected.sdf for n in targets if (one := scored[n]).expected and one.measures.score >= REPAIR_FROM}
        if broken.keys() == repaired.keys():
            break
        tell("expected shapes, with broken neighbours repaired")
        changed = {found.bodies[n].level for n in broken.keys() ^ repaired.keys()}
        again = [n for n in targets if changed & set(contexts[n].levels)]
        repaired = broken
        mended = repaired_contexts(contexts, usable, repaired)
        scored = _predict(blank, scored, again, mended, found.shapes, predictor, preset, device, tuple(found.bodies[n].level for n in repaired))

    tell("intervals and heights")
    scored = _read_shapes(_with_intervals(scored, targets, predictor, preset), found.shapes)
    for level, reason in found.missing.items():  # by level among those that follow the spine
        below = (n for n, one in enumerate(scored) if level < Level(one.measures.level))
        scored.insert(next(below, len(scored)), Scored(_missing_row(found.spine, level, reason)))
    return scored


def _predict(
    blank: list[Scored],
    scored: list[Scored],
    targets: list[int],
    contexts: list[Context],
    shapes: list[Sdf],
    predictor: Predictor,
    preset: str,
    device: str,
    repaired: tuple[Level, ...],
) -> list[Scored]:
    """Predict, place and score some targets; return all, with theirs replaced."""
    done = list(scored)
    predicted = predictor.predict([contexts[n] for n in targets])

    def lay(n: int, values: NDArray[np.float32]) -> Scored:
        return _expect(blank[n], Sdf(values, shapes[n].grid), contexts[n], predictor, repaired)

    for n, one in zip(targets, each(lay, targets, predicted), strict=True):
        done[n] = one
    pairs = [(one.expected.sdf, one.actual) for n in targets if (one := done[n]).expected and one.actual]
    for n, row in zip(targets, score_patches([e for e, _ in pairs], [a for _, a in pairs], preset=preset, device=device), strict=True):
        done[n] = replace(done[n], measures=replace(done[n].measures, **row))  # type: ignore[arg-type]
    return done


def interval_kind(one: Scored) -> int:
    """Which of the spread's kinds a scored vertebra is; see ``shapekit.scoring.kind_of``."""
    assert one.expected is not None
    level = Level(one.measures.level)
    sides = any(used < level for used in one.expected.used) + any(level < used for used in one.expected.used)
    return kind_of(sides, bool(one.expected.repaired), one.measures.score)


def _with_intervals(scored: list[Scored], targets: list[int], predictor: Predictor, preset: str) -> list[Scored]:
    """State how sure the scores are, where that was measured for the predictor; mark what is too unsure to read."""
    if predictor.spread is None:
        return scored
    done = list(scored)
    expected, actual = [scored[n].expected for n in targets], [scored[n].actual for n in targets]
    kinds = [interval_kind(scored[n]) for n in targets]
    rows = [asdict(scored[n].measures) for n in targets]
    shapes = [halve_patch(one.sdf.values) for one in expected if one]
    bodies = [halve_patch(one.values) for one in actual if one]
    for n, (low, high) in zip(targets, score_intervals(shapes, bodies, rows, predictor.spread, kinds, preset=preset), strict=True):
        row = replace(scored[n].measures, score_lo=low, score_hi=high)
        if high - low > UNCERTAIN_WIDTH:
            why = f"its 90 % interval is {high - low:.0f} points wide"
            row = replace(row, status="uncertain", reason="; ".join(filter(None, (row.reason, why))))
        done[n] = replace(scored[n], measures=row)
    return done


def _hush(stage: str) -> None:
    """Say nothing."""


def _row(body: Body, frame: Frame, context: Context) -> Measures:
    """Open a body's row: whether it can be scored, which way it faces, and what was noticed."""
    status, notes = "ok", list(body.notes)
    if frame.error_deg >= GUESS_DEG:
        notes.append("without an arch its shape fits a direction more than 60° from the scanner's axes, or two alike: which way it faces is a guess")
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


def _read_shapes(scored: list[Scored], shapes: list[Sdf]) -> list[Scored]:
    """Measure every body's heights and how far from the expected surface it lies; read the losses against the expected body and its neighbours."""

    def read(one: Scored, shape: Sdf) -> tuple[Heights | None, Heights | None, float]:
        apart = surface_distance(one.expected.sdf, one.actual) if one.expected and one.actual else float("nan")
        return _heights(None if one.measures.status == "partial" else shape), _heights(one.expected.sdf if one.expected else None), apart

    found_of = each(read, scored, shapes)
    own, should = [found for found, _, _ in found_of], [expected for _, expected, _ in found_of]
    losses = [height_losses(a, e) if a and e else None for a, e in zip(own, should, strict=True)]
    broken = [loss is not None and genant_grade(max(loss)) > 0 for loss in losses]
    done = []
    for n, one in enumerate(scored):
        found, expected, loss, beside = own[n], should[n], losses[n], neighbour_heights(own, broken, n)
        row = replace(one.measures, surface_distance_mm=found_of[n][2])
        if found:
            row = replace(row, ha_mm=found.ha_mm, hm_mm=found.hm_mm, hp_mm=found.hp_mm)
            if beside and row.status in SCORED:
                row = replace(row, height_loss_neighbours=max(height_losses(found, beside)))
        if expected:
            row = replace(row, expected_ha_mm=expected.ha_mm, expected_hm_mm=expected.hm_mm, expected_hp_mm=expected.hp_mm)
        if loss:
            kind = type_of_deformity(loss) if broken[n] else ""
            row = replace(row, height_loss=max(loss), genant_grade=genant_grade(max(loss)), deformity=kind)
        done.append(replace(one, measures=row))
    return done


def _heights(shape: Sdf | None) -> Heights | None:
    try:
        return measure_heights(shape) if shape else None
    except InputError:  # a shape of no height is told by its empty cells
        return None


def _missing_row(spine: LabelMap | MeshSet, level: Level, reason: str) -> Measures:
    labels = {known: label for label, known in spine.levels.items()} if isinstance(spine, LabelMap) else {}
    status = "outside_levels" if level.is_cervical else "no_body"
    return Measures(level=str(level), label=labels.get(level, 0), status=status, reason=reason, shapekit_version=__version__)


def _expect(target: Scored, shape: Sdf, context: Context, predictor: Predictor, repaired: tuple[Level, ...]) -> Scored:
    """Place a predicted shape over its body and lay the body on the same patch."""
    assert target.body is not None
    assert target.frame is not None
    frame = place(shape, target.body.sdf, target.frame)
    used = predictor.uses(context)
    mended = tuple(level for level in used if level in repaired)
    expected = Expected(placed(shape.values, frame, shape.grid), frame, used=used, repaired=mended, predictor=predictor.name)
    actual = body_on_patch(target.body, frame)
    notes = [target.measures.reason] if target.measures.reason else []
    own = target.body.level
    if all(level < own for level in used) or all(own < level for level in used):
        notes.append(f"expected from one side only ({' '.join(str(level) for level in used)})")
    direct = [level for n in DIRECT if (level := context.levels[n]) is not None]
    notes += [f"{level} is {gap} levels away" for level in direct if (gap := abs(typical_gap(level, own))) > 1]
    if nears_edge(actual) or nears_edge(expected.sdf):
        notes.append("comes nearer than 4 mm to the edge of its patch")
    row = replace(
        target.measures,
        reason="; ".join(notes),
        neighbours_used=" ".join(str(level) for level in used),
        neighbours_repaired=" ".join(str(level) for level in mended),
        predictor=predictor.name,
        weights_id=predictor.identity,
    )
    return replace(target, measures=row, expected=expected, actual=actual)
