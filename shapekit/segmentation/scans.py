"""A scan whose bodies are known, as a ``Volume``: what ``synthesis`` draws from phantoms, from a CT and its labelled mask."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from shapekit.core.checks import InputError
from shapekit.core.grid import Grid, voxels_of
from shapekit.core.levels import Level, typical_gap
from shapekit.core.values import Body, Image, LabelMap
from shapekit.ops import resample_field
from shapekit.segmentation.labelling import VALUES
from shapekit.segmentation.volume import Volume
from shapekit.segmentation.working import AIR_HU, check_hounsfield, to_working, working_grid
from shapekit.spine import extract_bodies

BESIDE_MM = 100.0
"""How far around the bodies a scan is kept: what lies farther is not learnt from."""
COVERED = 0.9
"""Share of each whole body that must lie in the CT, or mask and CT are not of one scan."""
BRIGHTEST_HU = 3071.0
Window = tuple[slice, slice, slice]


def volume_of_scan(image: Image, spine: LabelMap, *, spacing_mm: float = 2.0) -> Volume:
    """Bring a CT and the bodies of its mask onto the working grid.

    Bodies are cut out of whole vertebrae as for scores. Where a vertebra between others is not labelled, or its body cannot be told
    from its arch, the longest row without such a gap is kept and the scan ends at it, so that no body is taught to be none. Cervical
    vertebrae count as other bone, as phantoms have them.

    Parameters
    ----------
    image : Image
        Hounsfield units, any orientation and spacing.
    spine : LabelMap
        Vertebrae or bodies of the same scan, on any grid.
    spacing_mm : float
        Side of the working grid's voxels.

    Returns
    -------
    Volume
        Bodies that leave the scan are its ``partial``.

    Raises
    ------
    InputError
        If the image is no CT in Hounsfield units, no thoracic or lumbar body is found, or mask and CT do not lie over each other.
    """
    check_hounsfield(image, f"the CT of {spine.name}")
    trunk = {value: level for value, level in spine.levels.items() if not level.is_cervical}
    if not trunk:
        raise InputError(f"{spine.name} shows cervical vertebrae only; the segmentation learns thoracic and lumbar ones.")
    bodies, missing, _ = extract_bodies(replace(spine, levels=trunk))
    row = longest_row(bodies, missing)
    if not row:
        raise InputError(f"{spine.name} holds no thoracic or lumbar body that can be learnt from ({_reason(bodies, missing)}).")
    inside = [body.sdf.grid.to_world(voxels_of(body.sdf.values < 0)) for body in row]
    grid = _kept_grid(working_grid(image.grid, spacing_mm), inside, row)
    hu = np.asarray(to_working(image, spacing_mm, onto=grid).array, dtype=np.float32)
    labels, share = np.zeros(grid.shape, np.uint8), np.zeros(grid.shape, np.float32)
    for body, points in zip(row, inside, strict=True):
        window = _window(grid, points)
        own = _share(body, grid, window)
        own[hu[window] <= AIR_HU] = 0.0  # beyond the scan
        if float(own.sum()) * grid.voxel_mm3 < COVERED * body.volume_mm3 and not body.partial:
            raise InputError(f"{body.level} of {spine.name} does not lie in the CT beside it; give a mask and a CT of one scan.")
        takes = own > share[window]
        labels[window][takes] = VALUES[body.level]
        share[window][takes] = own[takes]
    if not labels.any():
        raise InputError(f"{spine.name} does not lie in the CT beside it; give a mask and a CT of one scan.")
    of_vertebra = np.zeros(int(spine.array.max()) + 1, np.uint8)
    of_vertebra[[value for value in spine.levels if value < len(of_vertebra)]] = 1
    bone = np.clip(to_working(Image(of_vertebra[spine.array], spine.grid), spacing_mm, onto=grid).array, share, 1.0)
    return Volume(
        np.rint(np.clip(hu, AIR_HU, BRIGHTEST_HU)).astype(np.int16),
        labels,
        (share * 255).round().astype(np.uint8),
        (bone * 255).round().astype(np.uint8),
        spacing_mm,
        frozenset(VALUES[body.level] for body in row if body.partial),
    )


def longest_row(bodies: Sequence[Body], missing: Iterable[Level] = ()) -> list[Body]:
    """Return the longest row of bodies, from the head downward, between which none is missing or doubtful.

    Parameters
    ----------
    bodies : sequence of Body
        One whose vertebra was taken for a body as it is, beside others that were cut or given, is doubtful: it may hold its arch.
    missing : iterable of Level
        Vertebrae that were labelled, but whose body was not found.

    Returns
    -------
    list of Body
        From the head downward; empty where none is sure.
    """
    mixed = len({body.source for body in bodies}) > 1
    sure = {body.level: body for body in bodies if not (mixed and body.source == "labels")}
    rows: list[list[Body]] = [[]]
    for level in sorted({*(body.level for body in bodies), *missing}):
        body = sure.get(level)
        if body is None or (rows[-1] and typical_gap(rows[-1][-1].level, level) != 1):
            rows.append([])
        if body is not None:
            rows[-1].append(body)
    return max(rows, key=len)


def _reason(bodies: Sequence[Body], missing: dict[Level, str]) -> str:
    for level, why in missing.items():
        return f"{level}: {why.rstrip('.')}"
    return f"{len(bodies)} may hold their arch"


def _kept_grid(working: Grid, inside: Sequence[NDArray[np.float64]], row: Sequence[Body]) -> Grid:
    """Part of the working grid around a row of bodies; beyond its ends only where nothing but neck or sacrum follows."""
    step = float(working.spacing_mm[0])
    index = working.to_index(np.concatenate(inside))
    beyond = np.full((2, 3), BESIDE_MM / step)
    if row[-1].level not in (Level.L5, Level.L6):
        beyond[0, 2] = 1.0
    if row[0].level is not Level.T1:
        beyond[1, 2] = 1.0
    start = np.clip(np.floor(index.min(axis=0) - beyond[0]), 0, np.array(working.shape) - 1).astype(int)
    stop = np.clip(np.ceil(index.max(axis=0) + beyond[1]) + 1, start + 1, working.shape).astype(int)
    i, j, k = (int(side) for side in stop - start)
    return working.crop(start, (i, j, k))


def _window(grid: Grid, points: NDArray[np.float64]) -> Window:
    """Part of a grid around points with two voxels to spare; its last corner where they do not meet."""
    index = grid.to_index(points)
    start = np.clip(np.floor(index.min(axis=0)).astype(int) - 2, 0, np.array(grid.shape) - 1)
    stop = np.clip(np.ceil(index.max(axis=0)).astype(int) + 3, start + 1, grid.shape)
    return slice(start[0], stop[0]), slice(start[1], stop[1]), slice(start[2], stop[2])


def _share(body: Body, grid: Grid, window: Window) -> NDArray[np.float32]:
    """Share of each voxel of a window that is body, from eight points in it."""
    i, j, k = (part.stop - part.start for part in window)
    affine = grid.affine.copy()
    affine[:3, :3] /= 2
    affine[:3, 3] = grid.to_world(np.array([part.start for part in window]) - 0.25)
    within = resample_field(body.sdf.values, body.sdf.grid, Grid((2 * i, 2 * j, 2 * k), affine)) < 0
    return np.asarray(within.reshape(i, 2, j, 2, k, 2).mean(axis=(1, 3, 5), dtype=np.float32))
