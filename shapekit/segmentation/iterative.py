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
from shapekit.networks import read_weights
from shapekit.ops.sampling import resample_field
from shapekit.segmentation.labelling import INCOMPLETE, SCHEME, VALUES, VOTE_WEIGHT, best_sequence, candidates, vote_scores
from shapekit.segmentation.levels import KIND as LEVELS_KIND
from shapekit.segmentation.levels import LevelReader, Named, read_levels
from shapekit.segmentation.network import KIND, SURFACE, NetworkEye, read_segmenter
from shapekit.segmentation.traversal import THRESHOLD, Eye, Piece, Traversal
from shapekit.segmentation.views import view_of_pieces
from shapekit.segmentation.working import check_hounsfield, scaled, to_working

SMOOTH_VOXELS = 0.5
"""SD of the Gaussian that smooths a body's probabilities before they are brought to the CT's resolution."""

EDGE_MM, EDGE_MM2 = 2.5, 100.0
"""A body that lies within this distance of the scan's end on this area or more goes on beyond it, whatever the network says of it."""

SURE = 0.9
"""Levels that are less probable are doubtful, which a note says."""

LEAST_CONFIDENCE, LEAST_AT_EDGE = 0.78, 0.75
"""What is seen less clearly is no body, within a scan and at its end [assumed, from phantoms other than those it is judged by]."""


@dataclass(frozen=True)
class FoundVertebra:
    """What is known of one segmented body.

    Parameters
    ----------
    level : Level
    level_probability : float
        Of its being that level, 0-1; NaN where levels come from the bodies' votes alone.
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
    level_probability: float
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
    doubt : str
        What levels may be instead, where one is less probable than ``SURE``; among the label map's notes, too. Else empty.
    """

    labels: LabelMap
    vertebrae: tuple[FoundVertebra, ...]
    doubt: str = ""


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
        Files that ``shapekit train`` wrote with ``--task segmentation`` or ``--task levels``; several networks for one task look together. For a
        task of which no file is given it is what ships.
    eye : callable, optional
        What looks at patches instead of the network of ``weights``; see ``traversal.Eye``. Levels then follow from its votes alone.
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
        If the image is no CT in Hounsfield units, the weights cannot be read, or more bodies are found than a spine has.
    """
    reader: LevelReader | None = None
    identity, surface = "", THRESHOLD
    if eye is None:
        eye, reader = _networks([weights] if isinstance(weights, str | Path) else weights or (), device)
    if isinstance(eye, NetworkEye):
        patch, spacing_mm, surface = eye.sizes.patch, eye.sizes.spacing_mm, SURFACE
        identity = f"{eye.identity} and {reader.identity}" if reader is not None else eye.identity
    check_hounsfield(image, name)
    working = to_working(image, spacing_mm)
    pieces = Traversal(scaled(working.array), eye, patch=patch, spacing_mm=spacing_mm, progress=progress).run()
    drawn = [(piece, *drawn_at(piece, working.grid, image.grid, surface=surface)) for piece in pieces]
    bodies = [
        _Drawn(piece, box, mask, ends)
        for piece, box, mask in drawn
        if mask.any() and piece.confidence >= (LEAST_AT_EDGE if (ends := _edge_mm2(mask, box, image.grid) >= EDGE_MM2) else LEAST_CONFIDENCE)
    ]
    bodies.sort(key=lambda body: -_centre(body.piece, working.grid)[2])
    scatter = eye.scatter if isinstance(eye, NetworkEye) else {}
    try:
        named = _named(bodies, working, reader, scatter)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    return _assembled(bodies, named, image.grid, name, identity)


def _networks(paths: Sequence[str | Path], device: str) -> tuple[NetworkEye, LevelReader]:
    """Read the networks of both tasks, each file for that which its card names; what ships where none is given."""
    by_kind: dict[object, list[str | Path]] = {}
    for path in paths:
        by_kind.setdefault(read_weights(path, KIND, LEVELS_KIND)[1]["kind"], []).append(path)
    eyes, readers = (by_kind.get(kind) or [shipped_weights(kind)] for kind in (KIND, LEVELS_KIND))
    return read_segmenter(eyes, device=device), read_levels(readers, device=device)


def _named(bodies: Sequence[_Drawn], working: Image, reader: LevelReader | None, scatter: Mapping[Level, float]) -> Named:
    """Say which levels bodies are, from the head downward: by the network of levels and bodies' own votes, or by these alone."""
    if not bodies:
        return Named((), (), (), 0.0)
    pieces = [body.piece for body in bodies]
    votes, whole = [piece.value for piece in pieces], [piece.complete > THRESHOLD for piece in pieces]
    if reader is None:
        return Named(tuple(best_sequence(votes, whole)), (math.nan,) * len(votes), (), math.nan)
    return reader(view_of_pieces(working, pieces), VOTE_WEIGHT * vote_scores(votes, whole, candidates(len(pieces))[0], scatter))


def drawn_at(piece: Piece, working: Grid, grid: Grid, *, surface: float = THRESHOLD) -> tuple[tuple[slice, slice, slice], NDArray[np.bool_]]:
    """Draw a body at another resolution: without holes, smooth and in one piece.

    Parameters
    ----------
    piece : Piece
    working, grid : Grid
        The piece's own, and that of the CT.
    surface : float
        Smoothed probability at the surface.

    Returns
    -------
    box : 3 times slice
        Where on the CT's grid.
    mask : bool array of the box's shape
    """
    solid = np.where(ndimage.binary_fill_holes(piece.mask), np.maximum(piece.probability, max(surface, THRESHOLD) + 0.01), piece.probability)
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
    pieces, count = ndimage.label(values > surface)
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


def _assembled(bodies: Sequence[_Drawn], named: Named, grid: Grid, name: str, identity: str) -> Segmentation:
    """Write bodies into one label map; where two meet, the upper one keeps the voxels."""
    array = np.zeros(grid.shape, np.uint8)
    rows = []
    for body, level, probability in zip(bodies, named.levels, named.probability, strict=True):
        whole = body.piece.complete > THRESHOLD and not body.at_edge
        if level is None or (level is Level.L6 and not whole):
            continue  # of the neck or a sacrum: an L6 is rare, and one of which a part is seen rarer
        piece, box = body.piece, body.box
        own = body.mask & (array[box] == 0)
        if not own.any():
            raise InputError(f"{name}: two bodies were found in one place; the weights do not fit this scan.")
        value = VALUES[level] + (0 if whole else INCOMPLETE)
        array[box][own] = value
        centre = grid.crop([part.start for part in box], grid.shape).to_world(centre_of(own))
        volume = float(np.count_nonzero(own)) * grid.voxel_mm3
        spot = (float(centre[0]), float(centre[1]), float(centre[2]))
        rows.append(FoundVertebra(level, probability, value, whole, piece.complete, piece.confidence, piece.value, volume, spot))
    cut = frozenset(row.label for row in rows if not row.complete)
    said = f"segmented by iterative instance segmentation{f', weights {identity}' if identity else ''}"
    known = [level is not None for level in named.levels]
    above = known.index(True) if any(known) else 0
    below = len(bodies) - len(rows) - above
    said += f"; {above} above T1 taken for neck" if above else ""
    said += f"; {below} below L5 taken for sacrum" if below else ""
    notes = [said, "look at its bodies and levels before using what rests on them" if rows else f"no vertebral body was found in {name}"]
    doubt = _doubt(named) if any(probability < SURE for probability in named.probability) else ""
    notes += [doubt] if doubt else []
    found = {row.label: row.level for row in rows}
    labels = LabelMap(
        array, grid, found, name, SCHEME, cut, body_mask=array > 0 if rows else None, body_source="given" if rows else "", notes=tuple(notes)
    )
    return Segmentation(labels, tuple(rows), doubt)


def _doubt(named: Named) -> str:
    """Say how doubtful the levels are, and what they may be instead."""
    one, other = (_ends(sequence) for sequence in (named.levels, named.other))
    return f"levels are doubtful: {one} (each with a probability of {min(named.probability):.2f} or more), or {other} ({named.other_probability:.2f})"


def _ends(levels: Sequence[Level | None]) -> str:
    known = [str(level) for level in levels if level is not None]
    return f"{known[0]} to {known[-1]}" if known else "sacrum"
