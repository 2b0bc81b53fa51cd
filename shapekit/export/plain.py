"""PLY, STL and OBJ files: in LPS millimetres, as 3-D Slicer reads them, and saying so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shapekit.export.solids import Solid

TO_LPS = np.array([-1.0, -1.0, 1.0])
"""RAS ↔ LPS: half a turn about the superior axis, so that faces keep looking outward."""


def joined(solids: Sequence[Solid]) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.int64]]:
    """Put solids into one list of vertices and faces.

    Parameters
    ----------
    solids : sequence of Solid

    Returns
    -------
    vertices : (n, 3) float32
        mm, LPS.
    faces : (m, 3) int32
    starts : (k + 1,) int
        Where each solid's vertices begin, and where the last one's end.
    """
    starts = np.cumsum([0, *(len(solid.mesh.vertices) for solid in solids)])
    vertices = np.concatenate([solid.mesh.vertices * TO_LPS for solid in solids])
    faces = np.concatenate([solid.mesh.faces + start for solid, start in zip(solids, starts, strict=False)])
    return vertices.astype(np.float32), faces.astype(np.int32), starts


def write_ply(path: Path, solids: Sequence[Solid]) -> None:
    """Write solids of one kind as binary PLY with vertex colours; ``quality`` holds the scalar that the colours show.

    Comments say the space, and which vertices belong to which body; the other scalars keep their names.
    """
    vertices, faces, starts = joined(solids)
    names = list(solids[0].scalars)
    fields = [("position", "<f4", 3), ("quality", "<f4"), *((name, "<f4") for name in names[1:]), ("colour", "u1", 3), ("label", "<u2")]
    rows = np.zeros(len(vertices), dtype=fields)
    rows["position"], rows["colour"] = vertices, np.concatenate([solid.colours for solid in solids])
    rows["label"] = np.repeat([solid.label for solid in solids], np.diff(starts))
    for name in names:
        rows["quality" if name == names[0] else name] = np.concatenate([solid.scalars[name] for solid in solids])
    corners = np.zeros(len(faces), dtype=[("count", "u1"), ("corners", "<i4", 3)])
    corners["count"], corners["corners"] = 3, faces
    header = [
        "ply",
        "format binary_little_endian 1.0",
        "comment SPACE=LPS",
        f"comment unit mm; quality is {names[0]}",
        *(f"comment body {solid.name} begins at vertex {start}" for solid, start in zip(solids, starts, strict=False)),
        f"element vertex {len(rows)}",
        *(f"property float {name}" for name in ("x", "y", "z", "quality", *names[1:])),
        *(f"property uchar {name}" for name in ("red", "green", "blue")),
        "property ushort label",
        f"element face {len(corners)}",
        "property list uchar int vertex_indices",
        "end_header",
    ]
    path.write_bytes("\n".join(header).encode() + b"\n" + rows.tobytes() + corners.tobytes())


def write_stl(path: Path, solids: Sequence[Solid]) -> None:
    """Write solids as one binary STL; the format holds neither colours nor names."""
    vertices, faces, _ = joined(solids)
    write_triangles(path, vertices, faces, "SPACE=LPS; unit mm; shapekit")


def write_triangles(path: Path, vertices: NDArray[np.float32], faces: NDArray[np.integer], header: str) -> None:
    """Write triangles as binary STL with up to 80 characters of header."""
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    rows = np.zeros(len(faces), dtype=[("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    rows["normal"] = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
    rows["corners"] = corners
    path.write_bytes(header.encode("ascii")[:80].ljust(80, b" ") + np.uint32(len(rows)).tobytes() + rows.tobytes())


def write_obj(path: Path, solids: Sequence[Solid]) -> None:
    """Write solids as OBJ, each an object of its own name, with vertex colours (``v x y z r g b``)."""
    lines = ["# SPACE=LPS", "# unit mm; shapekit"]
    first = 1
    for solid in solids:
        lines.append(f"o {solid.name}")
        rows = np.concatenate([solid.mesh.vertices * TO_LPS, solid.colours / 255.0], axis=1)
        lines.append(_text("v %.5f %.5f %.5f %.4f %.4f %.4f", rows))
        lines.append(_text("f %d %d %d", solid.mesh.faces + first))
        first += len(rows)
    path.write_text("\n".join(lines) + "\n", encoding="ascii")


def _text(line: str, rows: NDArray[np.generic]) -> str:
    """Format a table at once: a call a row would take most of the time of an export."""
    return "\n".join([line] * len(rows)) % tuple(rows.ravel().tolist())
