"""Printable plates: a vertebra before and after, whole and cut in half, lying on the printer's bed in millimetres."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapekit.core.checks import InputError, MissingPackageError
from shapekit.core.values import Mesh, Sdf
from shapekit.export.gate import Passed, gate
from shapekit.export.plain import write_triangles
from shapekit.export.solids import score_colours
from shapekit.export.threemf import write_objects
from shapekit.mesh import mesh_from_sdf, smooth_mesh
from shapekit.pipeline import Scored

Float = NDArray[np.float64]

PRINT_FORMATS = ("3mf", "stl")
MIN_WALL_MM = 1.2
"""Three lines of a 0.4 mm nozzle; thinner walls are told."""
MIN_FEATURE_MM = 2.0
"""Separate pieces smaller than this in every direction are dropped; a printer would lose them."""
PARALLEL = float(np.cos(np.radians(30.0)))
GAP_MM = 5.0
RAYS = 200
"""Lines through each piece along which its walls are measured."""
BONE = (236, 228, 208)
BED = "A print plate: unit mm, Z up, not patient space"
TURNS = {
    "": np.eye(3),
    "_left": np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]]),
    "_right": np.array([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]),
}
"""From (LR, AP, SI) to the bed: whole bodies stand on their lower plate, halves lie on their cut."""


@dataclass(frozen=True, eq=False)
class Piece:
    """One object on a plate.

    Parameters
    ----------
    name : str
        ``expected``, ``actual``, each also with ``_left`` and ``_right``.
    mesh : Mesh
        Closed and manifold; mm on the bed, Z up.
    colour : (3,) uint8
    thinnest_mm : float
        Of the walls that were measured.
    """

    name: str
    mesh: Mesh
    colour: NDArray[np.uint8]
    thinnest_mm: float


@dataclass(frozen=True, eq=False)
class Plate:
    """The pieces of one vertebra and what was found about them.

    Parameters
    ----------
    level : str
    pieces : tuple of Piece
    surface_error_mm : float
        Greatest distance of the two whole surfaces from the zero level of their signed distances.
    notes : tuple of str
        Repairs, pieces that were dropped, walls that are thin.
    """

    level: str
    pieces: tuple[Piece, ...]
    surface_error_mm: float
    notes: tuple[str, ...]


def plate_of(one: Scored, *, palette: str = "green-red", keep: float = 1.0) -> Plate:
    """Lay a scored vertebra out: expected and actual body, each whole and in the two halves of a mid-sagittal cut.

    Parameters
    ----------
    one : Scored
        With an expected body.
    palette : {"green-red", "plasma"}
        Colour of the actual body by its score.
    keep : float
        Share of the triangles to keep; below 1 the surfaces are simplified (Garland & Heckbert 1997).

    Returns
    -------
    Plate

    Raises
    ------
    InputError
        If there is no expected body, or a surface is not manifold.
    MissingPackageError
        Without manifold3d or fast-simplification, which ``shapekit[print]`` brings.
    """
    if one.expected is None or one.actual is None:
        raise InputError(f"{one.measures.level} has no expected body to print beside the actual one: {one.measures.reason or one.measures.status}.")
    frame, level = one.expected.frame, one.measures.level
    colours = {"expected": np.array(BONE, dtype=np.uint8), "actual": score_colours([one.measures.score], palette)[0]}
    pieces: list[Piece] = []
    notes: list[str] = []
    error, depth = 0.0, 0.0
    for kind, sdf in (("expected", one.expected.sdf), ("actual", one.actual)):
        name = f"{level}_{kind}"
        surface = simplified(smooth_mesh(mesh_from_sdf(sdf)), keep)
        error = max(error, surface_error(surface, sdf))
        passed = gate(Mesh(frame.to_local(surface.vertices), surface.faces), name)
        notes += [f"{name}: {repair}" for repair in passed.repairs]
        whole = _without_crumbs(_solid(passed), name, notes)
        right, left = whole.split_by_plane((1.0, 0.0, 0.0), 0.0)
        row: list[Piece] = []
        for part, turn in ((whole, ""), (left, "_left"), (right, "_right")):
            if part.is_empty():
                notes.append(f"{name}{turn} is empty: the body lies on one side of the cut")
                continue
            piece = gate(_mesh_of(part, TURNS[turn]), name + turn)
            notes += [f"{name}{turn}: {repair}" for repair in piece.repairs]
            thinnest = thinnest_wall(piece)
            if thinnest < MIN_WALL_MM:
                notes.append(f"{name}{turn} has walls of {thinnest:.1f} mm, thinner than {MIN_WALL_MM} mm: they may not print")
            row.append(Piece(kind + turn, piece.mesh, colours[kind], thinnest))
        placed = _in_a_row(row, depth)
        depth = max(float(piece.mesh.vertices[:, 1].max()) for piece in placed) + GAP_MM
        pieces += placed
    return Plate(level, tuple(pieces), error, tuple(notes))


def write_plate(path: Path, plate: Plate) -> None:
    """Write a plate as ``.3mf`` (named, coloured objects) or ``.stl``, by the path's suffix.

    Raises
    ------
    MissingPackageError
        Without lib3mf.
    OutputError
        If the file cannot be written.
    """
    if path.suffix == ".3mf":
        objects = [
            (f"{plate.level}_{piece.name}", piece.mesh.vertices, piece.mesh.faces, np.tile(piece.colour, (len(piece.mesh.vertices), 1)))
            for piece in plate.pieces
        ]
        write_objects(path, objects, np.zeros(3), BED)
        return
    starts = np.cumsum([0, *(len(piece.mesh.vertices) for piece in plate.pieces)])
    vertices = np.concatenate([piece.mesh.vertices for piece in plate.pieces]).astype(np.float32)
    faces = np.concatenate([piece.mesh.faces + start for piece, start in zip(plate.pieces, starts, strict=False)])
    write_triangles(path, vertices, faces, f"shapekit {BED}")


def simplified(mesh: Mesh, keep: float) -> Mesh:
    """Keep a share of a mesh's triangles, by quadric error (Garland & Heckbert 1997); the same mesh for 1.

    Raises
    ------
    InputError
        If the share is not above 0 and at most 1.
    MissingPackageError
        Without fast-simplification.
    """
    if not 0 < keep <= 1:
        raise InputError(f"keep is {keep}, but the share of triangles to keep lies above 0 and is at most 1.")
    if keep == 1:
        return mesh
    try:
        import fast_simplification
    except ImportError as error:
        raise MissingPackageError("fewer triangles need fast-simplification, which is not installed; install shapekit[print].") from error
    middle = mesh.vertices.mean(axis=0)  # it computes in float32: keep the numbers small
    vertices, faces = fast_simplification.simplify((mesh.vertices - middle).astype(np.float32), mesh.faces.astype(np.int32), 1.0 - keep)[:2]
    return Mesh(np.asarray(vertices, dtype=np.float64) + middle, np.asarray(faces, dtype=np.int64))


def surface_error(mesh: Mesh, sdf: Sdf) -> float:
    """Greatest distance of a mesh's vertices, edge middles and face centres from a field's zero level, mm."""
    corners = mesh.vertices[mesh.faces]
    points = np.concatenate([mesh.vertices, corners.mean(axis=1), *((corners[:, n] + corners[:, n - 1]) / 2 for n in range(3))])
    return float(np.abs(sdf.sample(points)).max())


def thinnest_wall(piece: Passed) -> float:
    """Thickness of the thinnest wall found, mm: along lines from spread faces straight inward to a face that looks the other way.

    An edge is no wall: hits whose surface is inclined by more than 30° to the one the line started from are passed over. Infinite where no
    line meets such a face.

    Raises
    ------
    MissingPackageError
        Without manifold3d.
    """
    mesh, solid = piece.mesh, _solid(piece)
    corners = mesh.vertices[mesh.faces]
    chosen = corners[:: max(1, len(corners) // RAYS)]
    normals = np.cross(chosen[:, 1] - chosen[:, 0], chosen[:, 2] - chosen[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-300)
    reach = float(np.linalg.norm(np.ptp(mesh.vertices, axis=0)))
    starts = chosen.mean(axis=1) - 1e-3 * normals
    thinnest = float("inf")
    for start, normal in zip(starts, normals, strict=True):
        for hit in solid.ray_cast(tuple(start), tuple(start - reach * normal)):
            if np.dot(hit.normal, normal) < -PARALLEL:
                thinnest = min(thinnest, float(np.linalg.norm(np.asarray(hit.position) - start)))
            break
    return thinnest


def _solid(passed: Passed) -> Any:
    if passed.solid is None:
        raise MissingPackageError("printable plates need manifold3d, which is not installed; install shapekit[print].")
    return passed.solid


def _without_crumbs(solid: Any, name: str, notes: list[str]) -> Any:
    """Drop separate pieces smaller than the smallest feature."""
    shells = solid.decompose()
    if len(shells) < 2:
        return solid
    boxes = [np.reshape(shell.bounding_box(), (2, 3)) for shell in shells]
    large = [shell for shell, box in zip(shells, boxes, strict=True) if float((box[1] - box[0]).max()) >= MIN_FEATURE_MM]
    if len(large) == len(shells):
        return solid
    notes.append(f"{name}: dropped {len(shells) - len(large)} pieces smaller than {MIN_FEATURE_MM} mm")
    return type(solid).compose(large)


def _mesh_of(solid: Any, turn: Float) -> Mesh:
    mesh = solid.to_mesh()
    return Mesh(np.asarray(mesh.vert_properties[:, :3], dtype=np.float64) @ turn.T, np.asarray(mesh.tri_verts, dtype=np.int64))


def _in_a_row(pieces: list[Piece], depth: float) -> list[Piece]:
    """Put pieces side by side on the bed, beginning at a depth."""
    placed, across = [], 0.0
    for piece in pieces:
        low = piece.mesh.vertices.min(axis=0)
        vertices = piece.mesh.vertices - low + (across, depth, 0.0)
        placed.append(Piece(piece.name, Mesh(vertices.astype(np.float32), piece.mesh.faces), piece.colour, piece.thinnest_mm))
        across = float(vertices[:, 0].max()) + GAP_MM
    return placed
