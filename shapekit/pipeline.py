"""Mask → measures of every vertebra, a line a stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shapekit.core.checks import InputError, check_choice
from shapekit.core.frame import Frame
from shapekit.core.levels import Level, typical_gap
from shapekit.core.threads import by_pieces, each
from shapekit.core.values import Body, Expected, LabelMap, Measures, MeshSet, Sdf
from shapekit.mesh import surface_distance
from shapekit.morphometry import Heights, Sizes, genant_grade, height_losses, measure_heights, measure_sizes, neighbour_heights, type_of_deformity
from shapekit.predictors import DIRECT, REPAIR_FROM, ROUNDS, Context, Predictor, contexts_along, place, placed, repaired_contexts, stretched
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
    predicted, measured : Sizes or None
        Of the shape that the neighbours alone suggest, before the body's own sizes were taken up, and of the body itself.
    """

    measures: Measures
    body: Body | None = None
    frame: Frame | None = None
    expected: Expected | None = None
    actual: Sdf | None = None
    predicted: Sizes | None = None
    measured: Sizes | None = None


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
    sizes : list of Sizes or None
        Of each shape; None where the body is cut or has none.
    missing : dict of Level to str
        Vertebrae without a body, and why.
    notes : tuple of str
    """

    spine: LabelMap | MeshSet
    bodies: list[Body]
    frames: list[Frame]
    shapes: list[Sdf]
    sizes: list[Sizes | None]
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
    own: bool = True,
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
    own : bool
        Whether expected bodies take up what the bodies themselves still show of their sizes, where the predictor knows how much that is.
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
    return expect(found, predictor, preset=preset, device=device, repair=repair, own=own, progress=tell), found.notes


@by_pieces()
def find_bodies(spine: LabelMap | MeshSet, *, bodies: str = "auto") -> Found:
    """Cut out every body, find which way it faces, lay it on its patch, and measure its sizes there."""
    found, missing, notes = extract_bodies(spine, bodies=bodies) if isinstance(spine, LabelMap) else bodies_from_meshes(spine, bodies=bodies)
    frames = vertebra_frames(found)
    shapes = each(body_on_patch, found, frames)
    sizes = each(lambda body, shape: None if body.partial else _sizes(shape), found, shapes)
    return Found(spine, found, frames, shapes, sizes, missing, notes)


@by_pieces()
def expect(
    found: Found,
    predictor: Predictor,
    *,
    preset: str = "botros2022",
    device: str = "cpu",
    repair: bool | None = None,
    own: bool = True,
    progress: Callable[[str], None] | None = None,
) -> list[Scored]:
    """Predict what every body should look like, and score it against that; see ``measure``."""
    tell = progress or _hush
    usable = [None if body.partial else shape for body, shape in zip(found.bodies, found.shapes, strict=True)]
    contexts = contexts_along([body.level for body in found.bodies], usable)
    rows = [_row(body, frame, context) for body, frame, context in zip(found.bodies, found.frames, contexts, strict=True)]
    scored = [Scored(row, body, frame, measured=sizes) for row, body, frame, sizes in zip(rows, found.bodies, found.frames, found.sizes, strict=True)]
    targets = [n for n, row in enumerate(rows) if row.status == "ok"]

    tell("expected shapes")
    blank = list(scored)
    scored = _predict(blank, scored, targets, contexts, found.shapes, predictor, preset, device, (), own)
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
        levels = tuple(found.bodies[n].level for n in repaired)
        scored = _predict(blank, scored, again, mended, found.shapes, predictor, preset, device, levels, own)

    tell("intervals and heights")
    scored = _read_shapes(_with_intervals(scored, targets, predictor, preset))
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
    own: bool,
) -> list[Scored]:
    """Predict, place and score some targets; return all, with theirs replaced."""
    done = list(scored)
    predicted = predictor.predict([contexts[n] for n in targets])

    def lay(n: int, values: NDArray[np.float32]) -> Scored:
        return _expect(blank[n], Sdf(values, shapes[n].grid), contexts[n], predictor, repaired, own)

    for n, one in zip(targets, each(lay, targets, predicted), strict=True):
        done[n] = one
    pairs = [(one.expected.sdf, one.actual) for n in targets if (one := done[n]).expected and one.actual]
    for n, row in zip(targets, score_patches([e for e, _ in pairs], [a for _, a in pairs], preset=preset, device=device), strict=True):
        done[n] = replace(done[n], measures=replace(done[n].measures, **row))  # type: ignore[arg-type]
    return done


def interval_kind(one: Scored) -> int:
    """Which of the spread's kinds a scored vertebra is; see ``shapekit.scoring.kind_of``."""
    assert one.expected is not None
    return _kind(Level(one.measures.level), one.expected.used, one.expected.repaired, one.measures.score)


def _kind(level: Level, used: Sequence[Level], repaired: Sequence[Level], score: float = 0.0) -> int:
    sides = any(one < level for one in used) + any(level < one for one in used)
    return kind_of(sides, bool(repaired), score)


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


def _read_shapes(scored: list[Scored]) -> list[Scored]:
    """Measure the expected heights and how far from its expected surface a body lies; read losses against the expected body and its neighbours."""

    def read(one: Scored) -> tuple[Heights | None, float]:
        apart = surface_distance(one.expected.sdf, one.actual) if one.expected and one.actual else float("nan")
        return _heights(one.expected.sdf) if one.expected else None, apart

    found_of = each(read, scored)
    should, own = [expected for expected, _ in found_of], [one.measured.heights if one.measured else None for one in scored]
    losses = [height_losses(a, e) if a and e else None for a, e in zip(own, should, strict=True)]
    broken = [loss is not None and genant_grade(max(loss)) > 0 for loss in losses]
    done = []
    for n, one in enumerate(scored):
        found, expected, loss, beside = own[n], should[n], losses[n], neighbour_heights(own, broken, n)
        row = replace(one.measures, surface_distance_mm=found_of[n][1])
        if found:
            row = replace(row, ha_mm=found.ha_mm, hm_mm=found.hm_mm, hp_mm=found.hp_mm)
            if beside and row.status in SCORED:
                row = replace(row, height_loss_neighbours=max(height_losses(found, beside)))
        if expected:
            row = replace(row, expected_ha_mm=expected.ha_mm, expected_hm_mm=expected.hm_mm, expected_hp_mm=expected.hp_mm)
        if one.predicted:
            alone = one.predicted.heights
            row = replace(row, predicted_ha_mm=alone.ha_mm, predicted_hm_mm=alone.hm_mm, predicted_hp_mm=alone.hp_mm)
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


def _sizes(shape: Sdf) -> Sizes | None:
    try:
        return measure_sizes(shape)
    except InputError:  # as of heights
        return None


def _missing_row(spine: LabelMap | MeshSet, level: Level, reason: str) -> Measures:
    labels = {known: label for label, known in spine.levels.items()} if isinstance(spine, LabelMap) else {}
    status = "outside_levels" if level.is_cervical else "no_body"
    return Measures(level=str(level), label=labels.get(level, 0), status=status, reason=reason, shapekit_version=__version__)


def _expect(target: Scored, shape: Sdf, context: Context, predictor: Predictor, repaired: tuple[Level, ...], own: bool) -> Scored:
    """Give a predicted shape the sizes that its body still shows, place it over the body, and lay the body on the same patch."""
    assert target.body is not None
    assert target.frame is not None
    used = predictor.uses(context)
    mended = tuple(one for one in used if one in repaired)
    predicted = _sizes(shape)
    if own and predictor.prior and target.measured and predicted:
        departure = predictor.prior.departure(target.measured, predicted, _kind(target.body.level, used, mended))
        shape = Sdf(stretched(shape.values, predicted.heights, departure), shape.grid)
    frame = place(shape, target.body.sdf, target.frame)
    expected = Expected(placed(shape.values, frame, shape.grid), frame, used=used, repaired=mended, predictor=predictor.name)
    actual = body_on_patch(target.body, frame)
    notes = [target.measures.reason] if target.measures.reason else []
    level = target.body.level
    if all(one < level for one in used) or all(level < one for one in used):
        notes.append(f"expected from one side only ({' '.join(map(str, used))})")
    direct = [one for n in DIRECT if (one := context.levels[n]) is not None]
    notes += [f"{one} is {gap} levels away" for one in direct if (gap := abs(typical_gap(one, level))) > 1]
    if nears_edge(actual) or nears_edge(expected.sdf):
        notes.append("comes nearer than 4 mm to the edge of its patch")
    row = replace(
        target.measures,
        reason="; ".join(notes),
        neighbours_used=" ".join(map(str, used)),
        neighbours_repaired=" ".join(map(str, mended)),
        predictor=predictor.name,
        weights_id=predictor.identity,
    )
    return replace(target, measures=row, expected=expected, actual=actual, predicted=predicted)
