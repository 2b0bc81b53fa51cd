"""VTP files: every scalar, in LPS millimetres; written by VTK."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from shapekit.core.checks import MissingPackageError, OutputError
from shapekit.export.plain import joined
from shapekit.export.solids import Solid


def write_vtp(path: Path, solids: Sequence[Solid]) -> None:
    """Write solids of one kind as VTK XML PolyData.

    Point data: every scalar by its name, ``label``, and the colours as ``RGB``. Field data: ``SPACE``, ``unit``, and the bodies' ``names`` with
    their ``labels``.

    Raises
    ------
    MissingPackageError
        Without vtk, which ``shapekit[viz]`` brings.
    OutputError
        If VTK cannot write the file.
    """
    try:
        from vtkmodules.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray
        from vtkmodules.vtkCommonCore import vtkPoints, vtkStringArray
        from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData
        from vtkmodules.vtkIOXML import vtkXMLPolyDataWriter
    except ImportError as error:
        raise MissingPackageError("VTP files need vtk, which is not installed; install shapekit[viz].") from error
    vertices, faces, starts = joined(solids)
    surface, points, cells = vtkPolyData(), vtkPoints(), vtkCellArray()
    points.SetData(numpy_to_vtk(vertices, deep=True))
    cells.SetData(3, numpy_to_vtkIdTypeArray(faces.astype(np.int64).ravel(), deep=True))
    surface.SetPoints(points)
    surface.SetPolys(cells)
    arrays = {name: np.concatenate([solid.scalars[name] for solid in solids]) for name in solids[0].scalars}
    arrays["label"] = np.repeat(np.array([solid.label for solid in solids], dtype=np.uint16), np.diff(starts))
    arrays["RGB"] = np.concatenate([solid.colours for solid in solids])
    for name, values in arrays.items():
        array = numpy_to_vtk(np.ascontiguousarray(values), deep=True)
        array.SetName(name)
        surface.GetPointData().AddArray(array)
    surface.GetPointData().SetActiveScalars(next(iter(arrays)))
    for name, words in {"SPACE": ["LPS"], "unit": ["mm"], "names": [solid.name for solid in solids]}.items():
        strings = vtkStringArray()
        strings.SetName(name)
        for word in words:
            strings.InsertNextValue(word)
        surface.GetFieldData().AddArray(strings)
    labels = numpy_to_vtk(np.array([solid.label for solid in solids], dtype=np.uint16), deep=True)
    labels.SetName("labels")
    surface.GetFieldData().AddArray(labels)
    writer = vtkXMLPolyDataWriter()
    writer.SetFileName(str(path))
    writer.SetInputData(surface)
    writer.SetDataModeToAppended()
    writer.EncodeAppendedDataOff()
    writer.SetCompressionLevel(1)  # coordinates hardly pack; more effort takes twice the time
    if not writer.Write():
        raise OutputError(f"{path.name} cannot be written; check the folder's permissions and free space.")
