"""Scored vertebrae → solids: closed surfaces with colours and scalars, ready for any format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shapekit.core.checks import check_array, check_choice
from shapekit.core.values import Mesh
from shapekit.export.gate import gate
from shapekit.mesh import mesh_from_sdf, smooth_mesh
from shapekit.pipeline import Scored
from shapekit.scoring import deficit_map
from shapekit.spine import body_on_patch

Bytes = NDArray[np.uint8]

KINDS = ("actual", "expected")
PALETTES = {
    "green-red": ((26, 152, 80), (224, 172, 32), (215, 48, 39)),
    "plasma": ((13, 8, 135), (126, 3, 168), (204, 71, 120), (248, 149, 64), (240, 249, 33)),
}
"""Colours from score 0 to score 100; ``plasma`` can be told apart by colour-blind readers, too."""
UNSCORED = (190, 190, 190)
NO_SCORE = -1.0
"""What scalars hold where there is no score: files and viewers stumble over NaN."""
DEFICIT_COLOURS = ((33, 102, 172), (146, 197, 222), (240, 234, 222), (244, 165, 130), (178, 24, 43))
DEFICIT_RANGE_MM = 10.0
"""Blue where bone is in excess by this much or more, red where it is missing by this much or more."""


@dataclass(frozen=True, eq=False)
class Solid:
    """One body as it is exported.

    Parameters
    ----------
    level : str
    kind : str
        ``"actual"`` or ``"expected"``.
    mesh : Mesh
        Closed, manifold, outward; mm, RAS.
    colours : (n, 3) uint8
        sRGB of each vertex.
    label : int
        Value in the input's label map.
    score : float
        0-100; -1 where there is none.
    scalars : mapping of str to (n,) float32
        By name with unit; the first is the one that the colours show.
    repairs : tuple of str
        What the gate had to repair.
    """

    level: str
    kind: str
    mesh: Mesh
    colours: Bytes
    label: int = 0
    score: float = NO_SCORE
    scalars: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    repairs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_array("colours", self.colours, shape=(len(self.mesh.vertices), 3))
        for name, values in self.scalars.items():
            check_array(name, values, shape=(len(self.mesh.vertices),), finite=True)

    @property
    def name(self) -> str:
        """What files and the objects in them are called: ``L1_actual``."""
        return f"{self.level}_{self.kind}"


def solids_of(scored: Sequence[Scored], *, palette: str = "green-red") -> list[Solid]:
    """Make the solids of a spine: each actual body coloured by score, each expected body by the deficit map.

    Parameters
    ----------
    scored : sequence of Scored
        As the pipeline gives them; those without a body are left out.
    palette : {"green-red", "plasma"}

    Returns
    -------
    list of Solid
        From the head downward, a vertebra's actual body first.

    Raises
    ------
    UsageError
        For another palette.
    InputError
        If a surface cannot be closed.
    """
    check_choice("palette", palette, tuple(PALETTES))
    solids = []
    for one in scored:
        sdf = one.actual
        if sdf is None and one.body and one.frame:
            sdf = body_on_patch(one.body, one.frame)  # a scan's own voxels may be too coarse to smooth, or needlessly fine
        if sdf is not None:
            solids.append(_actual(one, smooth_mesh(mesh_from_sdf(sdf)), palette))
        if one.expected and one.actual:
            solids.append(_expected(one))
    return solids


def score_colours(scores: ArrayLike, palette: str = "green-red") -> Bytes:
    """Colour scores 0-100; grey where there is none (negative or NaN).

    Parameters
    ----------
    scores : (n,) float
    palette : {"green-red", "plasma"}

    Returns
    -------
    (n, 3) uint8

    Examples
    --------
    >>> score_colours([0, 100, -1]).tolist()
    [[26, 152, 80], [215, 48, 39], [190, 190, 190]]
    """
    values = np.nan_to_num(np.asarray(scores, dtype=np.float64), nan=NO_SCORE)
    colours = _ramp(values / 100.0, PALETTES[palette])
    colours[values < 0] = UNSCORED
    return colours


def deficit_colours(deficit_mm: ArrayLike) -> Bytes:
    """Colour millimetres missing, (n,) → (n, 3) uint8: blue -10 (excess), bone 0, red +10 (missing)."""
    return _ramp(np.asarray(deficit_mm) / (2 * DEFICIT_RANGE_MM) + 0.5, DEFICIT_COLOURS)


def _actual(one: Scored, surface: Mesh, palette: str) -> Solid:
    row = one.measures
    passed = gate(surface, f"{row.level}_actual")
    score = NO_SCORE if np.isnan(row.score) else float(row.score)
    scores = np.full(len(passed.mesh.vertices), score, dtype=np.float32)
    colours = score_colours(scores, palette)
    return Solid(row.level, "actual", passed.mesh, colours, row.label, score, {"score": scores}, passed.repairs)


def _expected(one: Scored) -> Solid:
    assert one.expected
    assert one.actual
    row = one.measures
    deficit = deficit_map(one.expected.sdf, one.actual, one.expected.frame)
    passed = gate(deficit.mesh, f"{row.level}_expected")
    scalars = {"deficit_mm": deficit.along_si_mm, "nearest_mm": deficit.nearest_mm}
    kept = {name: values[passed.kept].astype(np.float32) for name, values in scalars.items()}
    return Solid(row.level, "expected", passed.mesh, deficit_colours(kept["deficit_mm"]), row.label, float(row.score), kept, passed.repairs)


def _ramp(share: NDArray[np.floating], anchors: Sequence[tuple[int, int, int]]) -> Bytes:
    """Interpolate between colours at equal distances from 0 to 1, in 256 steps."""
    steps = np.round(np.clip(share, 0.0, 1.0) * 255) / 255
    at = np.linspace(0.0, 1.0, len(anchors))
    channels = [np.interp(steps, at, channel) for channel in np.array(anchors, dtype=np.float64).T]
    return np.round(np.stack(channels, axis=-1)).astype(np.uint8)
