"""In: the pipeline's Scored vertebrae. Out: mesh files (glb, stl, 3mf, ply, obj, vtp), a Slicer scene, print plates, a deficit volume.

``write_meshes`` writes a whole case; ``solids_of`` makes what it writes, ``gate`` is what every mesh passes, ``plate_of`` lays out a print,
``icp`` and ``show`` look at bodies with open3d.
"""

from shapekit.export.alignment import Alignment, icp, show
from shapekit.export.case import FORMATS, check_formats, write_meshes
from shapekit.export.gate import Passed, gate
from shapekit.export.printing import Plate, plate_of, write_plate
from shapekit.export.solids import PALETTES, Solid, solids_of
from shapekit.export.volumes import deficit_volume, expected_labels

__all__ = [
    "FORMATS",
    "PALETTES",
    "Alignment",
    "Passed",
    "Plate",
    "Solid",
    "check_formats",
    "deficit_volume",
    "expected_labels",
    "gate",
    "icp",
    "plate_of",
    "show",
    "solids_of",
    "write_meshes",
    "write_plate",
]
