"""A scene for 3-D Slicer (.mrml) that shows the exported meshes, each by its name in the same folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from shapekit.export.solids import DEFICIT_RANGE_MM, Solid

READABLE = ("vtp", "ply", "obj", "stl")
"""Formats that Slicer reads, the most telling first."""
COLOUR_TABLE = "vtkMRMLColorTableNodeFileColdToHotRainbow.txt"


def write_scene(path: Path, solids: Sequence[Solid], suffix: str, *, case: str) -> None:
    """Write a Slicer scene that refers to ``<solid's name>.<suffix>`` beside it.

    Parameters
    ----------
    path : Path
    solids : sequence of Solid
    suffix : str
        Format of the meshes, one of ``READABLE``.
    case : str
        Name of the case, for the models' descriptions.
    """
    said = "".join(letter if letter.isprintable() else "?" for letter in case)
    root = ElementTree.Element("MRML", version="Slicer5.0", userTags="")
    for number, solid in enumerate(solids, start=1):
        red, green, blue = (f"{part / 255:.4f}" for part in solid.colours[0])
        mapped = suffix == "vtp" and solid.kind == "expected"
        nodes = {
            "ModelStorage": {"fileName": f"{solid.name}.{suffix}", "coordinateSystem": "LPS", "useCompression": "0"},
            "ModelDisplay": {
                "color": f"{red} {green} {blue}" if solid.kind == "actual" else "0.94 0.92 0.87",
                "opacity": "1" if solid.kind == "actual" else "0.6",
                "visibility": "true",
                "scalarVisibility": "true" if mapped else "false",
            },
            "Model": {
                "description": f"{said}: {solid.level}, {solid.kind} body",
                "references": f"display:vtkMRMLModelDisplayNode{number};storage:vtkMRMLModelStorageNode{number};",
            },
        }
        if mapped:
            nodes["ModelDisplay"] |= {
                "activeScalarName": next(iter(solid.scalars)),
                "scalarRangeFlag": "UseManual",
                "scalarRange": f"{-DEFICIT_RANGE_MM:g} {DEFICIT_RANGE_MM:g}",
                "colorNodeID": COLOUR_TABLE,
            }
        for kind, attributes in nodes.items():
            ElementTree.SubElement(root, kind, {"id": f"vtkMRML{kind}Node{number}", "name": solid.name.replace("_", " "), **attributes})
    ElementTree.indent(root, " ")
    path.write_bytes(b'<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="utf-8") + b"\n")
