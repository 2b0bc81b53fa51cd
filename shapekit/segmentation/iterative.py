"""CT → labelled vertebral bodies at the CT's own resolution."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from shapekit.core.checks import InputError
from shapekit.core.grid import Grid, centre_of, voxels_of
from shapekit.core.levels import Level
from shapekit.core.values import Image, LabelMap
from shapekit.io.shipped import shipped_weights
from shapekit.ops.sampling import resample_field
from shapekit.segmentation.labelling import INCOMPLETE, SCHEME, VALUES, best_sequence
from shapekit.segmentation.network import NetworkEye, read_segmenter
from shapekit.segmentation.traversal import THRESHOLD, Eye, Piece, Traversal
from shapekit.segmentation.working import check_hounsfield, scaled, to_working

SMOOTH_VOXELS = 0.5
"""SD of the Gaussian that smooths a body's probabilities before they are brought to the CT's resolution."""

EDGE_MM, EDGE_MM2 = 2.5, 100.0
"""A body that lies within this distance of the scan's end on this area or more goes on beyond it, whatever the network says of it."""

LEAST_CONFIDENCE, LEAST_AT_EDGE = 0.78, 0.75
"""What is seen less clearly is no body, within a scan and at its end [assumed, from phantoms other than those it is judged by]."""


@dataclass(frozen=True)
class FoundVertebra:
    """What is known of one segmented body.

    Parameters
    ----------
    level : Level
    label : int
        Its value in the label map: VerSe's, and 100 more where it is not wholly visible.
    complete : bool
        The network takes it for wholly visible, and it does not lie at the scan's end.
    complete_probability : float
        Of the network alone.
    confidence : float
        Mean probability of its voxels, 0-1.
    vote : float
        What it alone was taken for: C1 = 1 ... L6 = 25.
    volume_mm3 : float
    centre_mm : (3,) float, mm, RAS
    """

    level: Level
    label: int
    complete: bool
    complete_probability: float
    confidence: float
    vote: float
    volume_mm3: float
    centre_mm: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Bodies of a CT.

    Parameters
    ----------
    labels : LabelMap
        On the CT's grid; no levels where no spine was found.
    vertebrae : tuple of FoundVertebra
        From the head downward.
    """

    labels: LabelMap
    vertebrae: tuple[FoundVertebra, ...]


@dataclass(frozen=True, eq=False)
class _Drawn:
    """A piece at the CT's resolution: where, which voxels, and whether it lies at the scan's end."""

    piece: Piece
    box: tuple[slice, slice, slice]
    mask: NDArray[np.bool_]
    at_edge: bool


def segment_ct(
    image: Image,
    *,
    name: str = "ct",
    weights: str | Path | Sequence[str | Path] | None = None,
    eye: Eye | None = None,
    patch: int = 48,
    spacing_mm: float = 2.0,
    device: str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> Segmentation:
    """Find every vertebral body of a CT.

    Parameters
    ----------
    image : Image
        Hounsfield units, any orientation and spacing.
    name : str
        What results call it.
    weights : path or sequence of paths, optional
        Files that ``shapekit train --task segmentation`` wrote, whose networks look together; by default what ships.
    eye : callable, optional
        What looks at patches instead of a trained network; see ``traversal.Eye``.
    patch : int
        Side of the eye's patches, voxels; a trained network knows its own.
    spacing_mm : float
        Side of the eye's voxels; a trained network knows its own.
    device : str
        A torch device.
    progress : callable, optional
        Told the number of bodies found, after each.

    Returns
    -------
    Segmentation

    Raises
    ------
    InputError
        If the image is no CT in Hounsfield units, or the weights cannot be read.
    """
    if eye is None:
        eye = read_segmenter(shipped_weights("segmentation") if weights is None else weights, device=device)
    identity, scatter = "", None
    if isinstance(eye, NetworkEye):
        patch, spacing_mm, identity, scatter = eye.sizes.patch, eye.sizes.spacing_mm, eye.identity, eye.scatter
    check_hounsfield(image, name)
    working = to_working(image, spacing_mm)
    pieces = Traversal(scaled(working.array), eye, patch=patch, spacing_mm=spacing_mm, progress=progress).run()
    drawn = [(piece, *drawn_at(piece, working.grid, image.grid)) for piece in pieces]
    bodies = [
        _Drawn(piece, box, mask, ends)
        for piece, box, mask in drawn
        if mask.any() and piece.confidence >= (LEAST_AT_EDGE if (ends := _edge_mm2(mask, box, image.grid) >= EDGE_MM2) else LEAST_CONFIDENCE)
    ]
    return _assembled(sorted(bodies, key=lambda body: -_centre(body.piece, working.grid)[2]), image.grid, name, identity, scatter)


def drawn_at(piece: Piece, working: Grid, grid: Grid) -> tuple[tuple[slice, slice, slice], NDArray[np.bool_]]:
    """Draw a body at another resolution: without holes, smooth and in one piece.

    Parameters
    ----------
    piece : Piece
    working, grid : Grid
        The piece's own, and that of the CT.

    Returns
    -------
    box : 3 times slice
        Where on the CT's grid.
    mask : bool array of the box's shape
    """
    solid = np.where(ndimage.binary_fill_holes(piece.mask), np.maximum(piece.probability, THRESHOLD + 0.01), piece.probability)
    smooth = ndimage.gaussian_filter(solid.astype(np.float32), SMOOTH_VOXELS, mode="nearest")
    sides = smooth.shape
    patch = working.crop(piece.start, (sides[0], sides[1], sides[2]))
    where = voxels_of(piece.mask)
    low, high = where.min(axis=0) - 1.5, where.max(axis=0) + 1.5
    index = grid.to_index(patch.to_world(np.array(np.meshgrid(*zip(low, high, strict=True))).reshape(3, -1).T))
    start = np.clip(np.floor(index.min(axis=0)).astype(int), 0, grid.shape)
    stop = np.clip(np.ceil(index.max(axis=0)).astype(int) + 1, 0, grid.shape)
    box = (slice(start[0], stop[0]), slice(start[1], stop[1]), slice(start[2], stop[2]))
    size = tuple(int(side) for side in stop - start)
    if min(size) < 1:
        return box, np.zeros(size, bool)
    values = resample_field(np.ascontiguousarray(smooth), patch, grid.crop(start, (size[0], size[1], size[2])), adds_way=False)
    pieces, count = ndimage.label(values > THRESHOLD)
    if count > 1:
        return box, np.asarray(pieces == 1 + int(np.bincount(pieces.ravel())[1:].argmax()))
    return box, pieces > 0


def _centre(piece: Piece, working: Grid) -> NDArray[np.float64]:
    return working.to_world(np.array(ndimage.center_of_mass(piece.mask)) + piece.start)


def _edge_mm2(mask: NDArray[np.bool_], box: tuple[slice, slice, slice], grid: Grid) -> float:
    """Largest area, mm², over which a body comes near a face of the scan."""
    largest = 0.0
    for axis, part in enumerate(box):
        layers = math.ceil(EDGE_MM / grid.spacing_mm[axis])
        index = np.arange(part.start, part.stop)
        for near in (index < layers, index >= grid.shape[axis] - layers):
            met = np.count_nonzero(mask.compress(near, axis=axis).any(axis=axis))
            largest = max(largest, met * grid.voxel_mm3 / float(grid.spacing_mm[axis]))
    return largest


def _assembled(bodies: list[_Drawn], grid: Grid, name: str, identity: str, scatter: Mapping[Level, float] | None) -> Segmentation:
    """Name bodies and write them into one label map; where two meet, the upper one keeps the voxels."""
    trusted = [bool(body.piece.complete > THRESHOLD) for body in bodies]  # whoever seems whole has a vote, also at the scan's end
    complete = [whole and not body.at_edge for whole, body in zip(trusted, bodies, strict=True)]
    levels = best_sequence([body.piece.value for body in bodies], trusted, scatter) if bodies else []
    array = np.zeros(grid.shape, np.uint8)
    rows = []
    for body, level, whole in zip(bodies, levels, complete, strict=True):
        if level is None or (level is Level.L6 and not whole):
            continue  # of a sacrum: an L6 is rare, and one of which a part is seen rarer
        piece, box = body.piece, body.box
        own = body.mask & (array[box] == 0)
        if not own.any():
            raise InputError(f"{name}: two bodies were found in one place; the weights do not fit this scan.")
        value = VALUES[level] + (0 if whole else INCOMPLETE)
        array[box][own] = value
        centre = grid.crop([part.start for part in box], grid.shape).to_world(centre_of(own))
        volume = float(np.count_nonzero(own)) * grid.voxel_mm3
        spot = (float(centre[0]), float(centre[1]), float(centre[2]))
        rows.append(FoundVertebra(level, value, whole, piece.complete, piece.confidence, piece.value, volume, spot))
    cut = frozenset(row.label for row in rows if not row.complete)
    said = f"segmented by iterative instance segmentation{f', weights {identity}' if identity else ''}"
    below = len(bodies) - len(rows)
    said += f"; {below} below L5 taken for sacrum" if below else ""
    notes = (said, "look at its bodies and levels before using what rests on them") if rows else (said, f"no vertebral body was found in {name}")
    found = {row.label: row.level for row in rows}
    labels = LabelMap(array, grid, found, name, SCHEME, cut, body_mask=array > 0 if rows else None, body_source="given" if rows else "", notes=notes)
    return Segmentation(labels, tuple(rows))
