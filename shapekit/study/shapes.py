"""Scored vertebrae → the mean shape of a group: a signed distance in the vertebra's own frame, its surface, and how much the group varies there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shapekit.core.checks import InputError, check_choice
from shapekit.core.frame import Frame
from shapekit.core.values import Mesh, Sdf
from shapekit.mesh import mesh_from_sdf, smooth_mesh
from shapekit.results import SpineScore
from shapekit.sdf import resample_sdf
from shapekit.spine.patches import patch_grid
from shapekit.vertebra import VertebraScore

OWN = Frame(np.zeros(3), np.eye(3))
"""The space of mean shapes: (LR, AP, SI) mm from the shape's centre."""
HALF_MM = 0.5
"""A voxel's occupancy goes from 1 to 0 over this far on either side of the surface."""


@dataclass(frozen=True, eq=False)
class MeanShape:
    """The mean of some vertebrae.

    Parameters
    ----------
    count : int
        Vertebrae.
    sdf : Sdf
        Mean signed distance (mm) on the 80 x 64 x 64 mm patch about the origin; the axes are LR, AP, SI.
    mesh : Mesh
        Its surface (mm from the shape's centre).
    sd_mm : (n,) float
        Standard deviation (n - 1) of the signed distance at each vertex: how much the group's surfaces vary there, along the normal; NaN
        for a single vertebra.
    """

    count: int
    sdf: Sdf
    mesh: Mesh
    sd_mm: NDArray[np.float64]


def mean_shape(vertebrae: Iterable[VertebraScore], *, kind: str = "expected") -> MeanShape:
    """Average the shapes of vertebrae in their own frames.

    Each shape is turned into its frame and moved to its centre of volume; sizes stay as they are. Then signed distances are averaged
    point by point (Leventon, Grimson and Faugeras, CVPR 2000), which for bodies of one kind is a body between them. One shape is in memory at a time.

    Parameters
    ----------
    vertebrae : iterable of VertebraScore
        Of one level, or of any group; those without the shape are passed by.
    kind : {"expected", "actual"}

    Returns
    -------
    MeanShape

    Raises
    ------
    UsageError
        For another kind.
    InputError
        If none of them has such a shape.
    """
    check_choice("kind", kind, ("expected", "actual"))
    gathered = _Sum()
    for vertebra in vertebrae:
        gathered.add(vertebra, kind)
    return gathered.mean(kind)


def mean_shapes(
    results: Iterable[SpineScore], *, kind: str = "expected", group: Callable[[SpineScore, VertebraScore], str | None] | None = None
) -> Mapping[str, MeanShape]:
    """Average shapes by level, or by any group of a study.

    Parameters
    ----------
    results : iterable of SpineScore
        Read once, so that a generator may score one spine after the other.
    kind : {"expected", "actual"}
    group : callable, optional
        Names the group of a vertebra (``lambda spine, vertebra: f"{sex[spine.name]} {vertebra.level}"``), or returns None to leave it out; by
        default its level.

    Returns
    -------
    dict of str to MeanShape
        In the order in which the groups were met.

    Raises
    ------
    UsageError
        For another kind.
    InputError
        If there is no shape at all.
    """
    check_choice("kind", kind, ("expected", "actual"))
    sums: dict[str, _Sum] = {}
    for result in results:
        for vertebra in result:
            name = str(vertebra.level) if group is None else group(result, vertebra)
            if name is not None:
                sums.setdefault(name, _Sum()).add(vertebra, kind)
    found = {name: one.mean(kind) for name, one in sums.items() if one.count}
    if not found:
        raise InputError(f"no vertebra has an {kind} shape; the tables' column status says why.")
    return found


class _Sum:
    """Running mean and sum of squares of patches (Welford 1962)."""

    def __init__(self) -> None:
        self.count = 0
        self.middle: NDArray[np.float64] = np.zeros(0)
        self.squares: NDArray[np.float64] = np.zeros(0)

    def add(self, vertebra: VertebraScore, kind: str) -> None:
        """Add a vertebra's shape, where it has one."""
        frame = vertebra.expected_frame if kind == "expected" else vertebra.frame
        sdf = vertebra.expected if kind == "expected" else _native(vertebra)
        if sdf is None or frame is None:
            return
        values = _centred(sdf, frame).astype(np.float64)
        if not self.count:
            self.middle, self.squares = np.zeros(values.shape), np.zeros(values.shape)
        self.count += 1
        off = values - self.middle
        self.middle = self.middle + off / self.count
        self.squares = self.squares + off * (values - self.middle)

    def mean(self, kind: str) -> MeanShape:
        """Return what was gathered."""
        if not self.count:
            raise InputError(f"no vertebra has an {kind} shape; the tables' column status says why.")
        grid = patch_grid(OWN)
        sdf = Sdf(self.middle.astype(np.float32), grid)
        mesh = smooth_mesh(mesh_from_sdf(sdf))
        spread = np.sqrt(self.squares / max(self.count - 1, 1)).astype(np.float32)
        at, _ = grid.sample(spread, mesh.vertices)
        return MeanShape(self.count, sdf, mesh, at.astype(np.float64) if self.count > 1 else np.full(len(mesh.vertices), np.nan))


def _native(vertebra: VertebraScore) -> Sdf | None:
    """Return the whole body's signed distance, as it was cut out; a body cut by the volume's edge has no shape of its own."""
    body = vertebra.scored.body
    return None if body is None or body.partial else body.sdf


def _centred(sdf: Sdf, frame: Frame) -> NDArray[np.float32]:
    """Lay a shape on the patch of its frame about its own centre of volume."""
    patch = resample_sdf(sdf, patch_grid(frame))
    share = np.clip(0.5 - patch.values.astype(np.float64) / (2 * HALF_MM), 0.0, 1.0)
    if share.sum() <= 0:
        raise InputError("a shape is empty, so it has no centre; leave its vertebra out.")
    centre = np.tensordot(share, patch.grid.points(), axes=3) / share.sum()
    return resample_sdf(sdf, patch_grid(frame.moved(centre))).values
