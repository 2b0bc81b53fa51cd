"""GLB files for viewers: a node a body, with its name, colours and scalars (Khronos glTF 2.0)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shapekit.export.solids import Solid
from shapekit.mesh import vertex_normals

FROM_RAS = ((-1e-3, 0.0, 0.0, 0.0), (0.0, 0.0, 1e-3, 0.0), (0.0, 1e-3, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))
"""The root node's matrix by columns: patient's right → -X, anterior → +Z, superior → +Y; mm → m, as glTF wants them."""
SPACE = "Vertices are RAS, mm; the root node's matrix takes them to glTF's metres with superior up (+Y) and anterior to the front (+Z)."
_FLOAT, _UINT, _BYTE = 5126, 5125, 5121
_ARRAYS, _INDICES = 34962, 34963


def write_glb(path: Path, solids: Sequence[Solid], *, case: str = "") -> None:
    """Write solids as one GLB: named nodes, normals, vertex colours, and scalars as attributes (``_DEFICIT_MM``).

    Parameters
    ----------
    path : Path
    solids : sequence of Solid
    case : str
        Name of the case, for the file's extras.
    """
    parts: list[bytes] = []
    views: list[dict[str, object]] = []
    accessors: list[dict[str, object]] = []

    def store(array: NDArray[np.generic], kind: int, shape: str, target: int = _ARRAYS, **more: object) -> int:
        content = np.ascontiguousarray(array).tobytes()
        start = sum(len(part) for part in parts)
        parts.append(content + b"\0" * (-len(content) % 4))
        views.append({"buffer": 0, "byteOffset": start, "byteLength": len(content), "target": target})
        accessors.append({"bufferView": len(views) - 1, "componentType": kind, "count": len(array), "type": shape, **more})
        return len(accessors) - 1

    meshes, nodes = [], []
    for solid in solids:
        vertices = solid.mesh.vertices.astype("<f4")
        extent = {"min": vertices.min(axis=0).tolist(), "max": vertices.max(axis=0).tolist()}
        attributes = {
            "POSITION": store(vertices, _FLOAT, "VEC3", **extent),
            "NORMAL": store(vertex_normals(solid.mesh).astype("<f4"), _FLOAT, "VEC3"),
            "COLOR_0": store(_linear(solid.colours), _BYTE, "VEC4", normalized=True),
        }
        for name, values in solid.scalars.items():
            attributes[f"_{name.upper()}"] = store(values.astype("<f4"), _FLOAT, "SCALAR")
        corners = store(solid.mesh.faces.astype("<u4").ravel(), _UINT, "SCALAR", _INDICES)
        meshes.append({"name": solid.name, "primitives": [{"attributes": attributes, "indices": corners, "material": 0}]})
        extras = {"level": solid.level, "kind": solid.kind, "label": solid.label, "score": solid.score}
        nodes.append({"name": solid.name, "mesh": len(meshes) - 1, "extras": extras})
    root = {"name": "RAS mm", "matrix": [number for column in FROM_RAS for number in column], "children": list(range(len(nodes)))}
    bone = {"name": "bone", "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.8}}
    document = {
        "asset": {"version": "2.0", "generator": "shapekit", "extras": {"case": case, "space": SPACE}},
        "scene": 0,
        "scenes": [{"nodes": [len(nodes)]}],
        "nodes": [*nodes, root],
        "meshes": meshes,
        "materials": [bone],
        "buffers": [{"byteLength": sum(len(part) for part in parts)}],
        "bufferViews": views,
        "accessors": accessors,
    }
    text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    chunks = [(text + b" " * (-len(text) % 4), b"JSON"), (b"".join(parts), b"BIN\0")]
    body = b"".join(np.uint32(len(content)).tobytes() + kind + content for content, kind in chunks)
    path.write_bytes(b"glTF" + np.array([2, 12 + len(body)], dtype="<u4").tobytes() + body)


def _linear(colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Take sRGB to linear light, as glTF's vertex colours are, and add full opacity (IEC 61966-2-1); (n, 3) → (n, 4)."""
    share = np.arange(256) / 255.0
    light = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    table = np.round(light * 255).astype(np.uint8)
    return np.concatenate([table[colours], np.full((len(colours), 1), 255, np.uint8)], axis=1)
