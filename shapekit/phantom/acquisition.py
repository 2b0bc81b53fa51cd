"""Scan a patient: voxels of any spacing and direction, a field of view that cuts, segmentation noise and gross defects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from shapekit.core.checks import InputError
from shapekit.core.grid import Grid
from shapekit.core.values import LabelMap
from shapekit.phantom.arch import melt
from shapekit.phantom.patient import VERSE_VALUES, Patient, Vertebra

Float = NDArray[np.float64]

NOISE_MM = 0.35
"""SD of the smooth error of a segmented surface [assumed; automatic segmentation reports 0.2-0.5 mm mean distance]."""
CORRELATION_MM = 5.0
DEFECT_SHARE = 0.02
"""Vertebrae with a gross defect: a missing piece of rim, or growth towards the neighbour, 2-4 mm [assumed]."""
DEFECT_MM = (2.0, 4.0)
HALO_MM = 2.0
"""How far around the bone distances are worked out."""
FAR_MM = 10.0


@dataclass(frozen=True, eq=False)
class Scan:
    """A label map of a patient and what is true of it.

    Parameters
    ----------
    labels : LabelMap
        VerSe values, uint8; ``body_mask`` marks the true bodies.
    patient : Patient
    cut : frozenset of int
        Label values whose body leaves the field of view.
    defects : mapping of int to str
        Label values with a gross defect, and which.
    """

    labels: LabelMap
    patient: Patient
    cut: frozenset[int]
    defects: dict[int, str]


def scan_grid(
    patient: Patient,
    spacing_mm: float | tuple[float, float, float] = 1.0,
    *,
    margin_mm: float = 8.0,
    rotation: NDArray[np.floating] | None = None,
    first: str | None = None,
    last: str | None = None,
    overlap: float = 0.0,
) -> Grid:
    """Lay a grid around a patient's vertebrae.

    Parameters
    ----------
    patient : Patient
    spacing_mm : float or (3,) float
        Along the grid's axes (LR, AP, SI before rotation).
    margin_mm : float
    rotation : (3, 3) float, optional
        Columns are the directions of the grid's axes in patient space; oblique scans. The usual RAS axes by default.
    first, last : str, optional
        Levels that the field of view begins and ends with; all by default.
    overlap : float
        Share of the first and last bodies' height that the field of view leaves out at either end (in place of the margin).

    Returns
    -------
    Grid
    """
    axes = np.eye(3) if rotation is None else np.asarray(rotation, dtype=np.float64)
    spacing = np.broadcast_to(np.asarray(spacing_mm, dtype=np.float64), (3,))
    names = [str(level) for level in patient.levels]
    begin, end = names.index(first) if first else 0, names.index(last) if last else len(names) - 1
    corners = np.concatenate([_box_corners(v, arch=True) for v in patient.vertebrae[begin : end + 1]]) @ axes
    low, high = corners.min(axis=0) - margin_mm, corners.max(axis=0) + margin_mm
    if overlap > 0.0 or first or last:
        ends = [patient.vertebrae[n].mesh().vertices @ axes for n in (begin, end)]
        edges = [(mesh[:, 2].max(), mesh[:, 2].min()) for mesh in ends]
        room = margin_mm if overlap <= 0.0 else 0.0
        high[2] = edges[0][0] - overlap * (edges[0][0] - edges[0][1]) + room
        low[2] = edges[1][1] + overlap * (edges[1][0] - edges[1][1]) - room
    shape = np.maximum(np.ceil((high - low) / spacing).astype(int), 1)
    affine = np.eye(4)
    affine[:3, :3] = axes * spacing
    affine[:3, 3] = axes @ (low + 0.5 * spacing)
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine)


def _body_box(vertebra: Vertebra) -> tuple[Float, Float]:
    """Box around the actual body in its own axes."""
    body = vertebra.actual
    angle = np.linspace(0.0, 2.0 * np.pi, 49)
    radius = body.wall_radius(angle, np.linspace(-1.0, 1.0, 7)[:, None])
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    share = np.linspace(0.0, 1.0, 7)[:, None, None]
    top, low = body.plate_heights(share * x, share * y)
    return np.array([x.min(), y.min(), low.min()]) - 0.5, np.array([x.max(), y.max(), top.max()]) + 0.5


def _box_corners(vertebra: Vertebra, *, arch: bool) -> Float:
    boxes = [np.stack(_body_box(vertebra))]
    if arch:
        boxes.extend(vertebra.arch.boxes(0.0))
    low, high = np.min([b[0] for b in boxes], axis=0), np.max([b[1] for b in boxes], axis=0)
    pick = np.array(np.meshgrid([0, 1], [0, 1], [0, 1])).reshape(3, -1).T
    return vertebra.placement.to_world(np.where(pick, high, low))


def acquire(
    patient: Patient,
    grid: Grid,
    *,
    generator: Generator,
    noise_mm: float = NOISE_MM,
    defects: float = DEFECT_SHARE,
    arch: bool = True,
) -> Scan:
    """Turn a patient into a label map.

    Parameters
    ----------
    patient : Patient
    grid : Grid
        From :func:`scan_grid`, or any other.
    generator : numpy.random.Generator
    noise_mm : float
        SD of the smooth field that moves every surface before it is voxelised; 0 gives the exact shapes.
    defects : float
        Share of the vertebrae with a gross defect.
    arch : bool
        Whole vertebrae, or bodies alone.

    Returns
    -------
    Scan
    """
    labels = np.zeros(grid.shape, np.uint8)
    is_body = np.zeros(grid.shape, bool)
    depth = np.zeros(grid.shape, np.float32)  # of the label that is there: the deeper one wins where two vertebrae meet
    found: dict[int, str] = {}
    cut = set()
    for vertebra, own in zip(patient, generator.spawn(len(patient)), strict=True):
        defect = _draw_defect(vertebra, own) if own.random() < defects else None
        if defect is not None:
            found[vertebra.label] = defect[0]
        if _leaves(vertebra, grid):
            cut.add(vertebra.label)
        corners = vertebra.placement.to_local(_box_corners(vertebra, arch=arch))
        halo = HALO_MM if defect is None else HALO_MM + DEFECT_MM[1]
        window = _window(vertebra, grid, corners.min(axis=0) - halo, corners.max(axis=0) + halo)
        if window is None:
            continue
        sub = grid.crop([part.start for part in window], tuple(part.stop - part.start for part in window))
        body, bone = _distances(vertebra, sub, arch, halo)
        if noise_mm > 0.0:
            shift = noise_mm * smooth_field(sub, CORRELATION_MM, generator=own)
            body, bone = body + shift, bone + shift
        if defect is not None:
            change = defect[1](sub)
            body, bone = body + change, bone + change
        takes = (bone < 0.0) & (bone < depth[window])
        labels[window][takes] = vertebra.label
        is_body[window][takes] = body[takes] < 0.0
        depth[window][takes] = bone[takes]
    present = {int(value) for value in np.unique(labels) if value}
    levels = {VERSE_VALUES[level]: level for level in patient.levels if VERSE_VALUES[level] in present}
    label_map = LabelMap(labels, grid, levels, name=patient.name, scheme="verse", body_mask=is_body)
    return Scan(label_map, patient, frozenset(cut & present), found)


def _window(vertebra: Vertebra, grid: Grid, low: Float, high: Float) -> tuple[slice, slice, slice] | None:
    """Part of a grid that holds a box of a vertebra's own axes; None where they do not meet."""
    pick = np.array(np.meshgrid([0, 1], [0, 1], [0, 1])).reshape(3, -1).T
    index = grid.to_index(vertebra.placement.to_world(np.where(pick, high, low)))
    start = np.clip(np.floor(index.min(axis=0)), 0, grid.shape).astype(int)
    stop = np.clip(np.ceil(index.max(axis=0)) + 1, 0, grid.shape).astype(int)
    if (stop <= start).any():
        return None
    return slice(start[0], stop[0]), slice(start[1], stop[1]), slice(start[2], stop[2])


def _local_points(vertebra: Vertebra, grid: Grid, window: tuple[slice, slice, slice]) -> Float:
    """Points of a window of a grid in a vertebra's own axes, (i, j, k, 3) mm."""
    turn = vertebra.placement.axes.T @ grid.affine[:3, :3]
    start = vertebra.placement.to_local(grid.to_world([part.start for part in window]))
    i, j, k = (np.arange(part.stop - part.start)[:, None] * turn[:, axis] for axis, part in enumerate(window))
    return np.asarray((start + i)[:, None, None] + (j[:, None] + k[None, :])[None])


def _leaves(vertebra: Vertebra, grid: Grid) -> bool:
    """Whether a body reaches beyond the outermost voxels' centres by more than half a voxel."""

    def beyond(points: Float) -> bool:
        index = grid.to_index(points)
        return bool((index < -0.5).any() or (index > np.array(grid.shape) - 0.5).any())

    return beyond(_box_corners(vertebra, arch=False)) and beyond(vertebra.mesh().vertices)


def _distances(vertebra: Vertebra, grid: Grid, arch: bool, halo_mm: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Level set of the body, and of body and arch together, on a small grid; meaningful near and inside the bone."""
    body = np.full(grid.shape, FAR_MM, np.float32)
    shape = vertebra.actual
    low, high = _body_box(vertebra)
    window = _window(vertebra, grid, low - halo_mm, high + halo_mm)
    if window is not None:
        local = _local_points(vertebra, grid, window)
        wide, deep = np.maximum(-low, high)[:2] + halo_mm
        near = (local[..., 0] / wide) ** 2 + (local[..., 1] / deep) ** 2 < 1.6
        values = np.full(near.shape, FAR_MM, np.float32)
        values[near] = shape.level_set(local[near].astype(np.float32))
        body[window] = values
    if not arch:
        return body, body
    bone = np.full(grid.shape, FAR_MM, np.float32)
    for n, (low, high) in enumerate(vertebra.arch.boxes(halo_mm)):
        window = _window(vertebra, grid, low, high)
        if window is not None:
            bone[window] = melt(bone[window], vertebra.arch.bar_distance(n, _local_points(vertebra, grid, window)))
    return body, np.minimum(body, bone)


def smooth_field(grid: Grid, correlation_mm: float, *, generator: Generator) -> NDArray[np.float32]:
    """Smooth Gaussian random field of unit variance on a grid: cubic B-splines with random coefficients.

    Parameters
    ----------
    grid : Grid
    correlation_mm : float
        Distance at which the correlation has fallen to 1/e.
    generator : numpy.random.Generator

    Returns
    -------
    (i, j, k) float32
    """
    knot = correlation_mm / 1.155
    weights = []
    for side, step in zip(grid.shape, grid.spacing_mm, strict=True):
        position = np.arange(side) * step / knot
        offset = np.abs(position[:, None] - (np.arange(int(position[-1]) + 5) - 1.5)[None])
        basis = np.where(offset < 1, 2 / 3 - offset**2 + offset**3 / 2, np.maximum(2 - offset, 0) ** 3 / 6)
        weights.append((basis / np.linalg.norm(basis, axis=1, keepdims=True)).astype(np.float32))
    first, second, third = weights
    field = generator.standard_normal([w.shape[1] for w in weights], dtype=np.float32)
    field = second @ (field @ third.T)
    return np.asarray((first @ field.reshape(len(field), -1)).reshape(grid.shape))


def _draw_defect(vertebra: Vertebra, generator: Generator):  # type: ignore[no-untyped-def]
    """A piece missing at the rim, or a bridge towards a neighbour: its name, and what it adds to the signed distance on a grid."""
    kind = str(generator.choice(["missing rim", "bridge"]))
    mesh = vertebra.mesh().vertices
    local = vertebra.actual.surface.mesh.vertices
    rim = np.flatnonzero(np.abs(local[:, 2]) > 0.8 * np.abs(local[:, 2]).max())
    centre = mesh[int(generator.choice(rim))]
    size, width = float(generator.uniform(*DEFECT_MM)), float(generator.uniform(5.0, 8.0))
    if kind == "bridge":
        size = -size

    def change(grid: Grid) -> NDArray[np.float32]:
        square = ((grid.points() - centre) ** 2).sum(axis=-1)
        return np.asarray(size * np.exp(-0.5 * square / (width / 2) ** 2), dtype=np.float32)

    return kind, change


def random_rotation(max_deg: float, *, generator: Generator) -> Float:
    """Rotation about a random axis by up to ``max_deg``, (3, 3); for oblique scans.

    Raises
    ------
    InputError
        If the angle does not lie between 0 and 180.
    """
    if not 0.0 <= max_deg <= 180.0:
        raise InputError(f"max_deg is {max_deg}, but must lie between 0 and 180.")
    axis = generator.standard_normal(3)
    x, y, z = axis / np.linalg.norm(axis) * np.radians(generator.uniform(0.0, max_deg))
    skew = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    angle = max(float(np.linalg.norm([x, y, z])), 1e-12)
    return np.asarray(np.eye(3) + np.sin(angle) / angle * skew + (1.0 - np.cos(angle)) / angle**2 * skew @ skew)
