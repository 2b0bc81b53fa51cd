"""3MF files for printers: millimetres, a named object a body, colours; written by lib3mf."""

from __future__ import annotations

import ctypes
import locale
import uuid
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapekit.core.checks import MissingPackageError, OutputError
from shapekit.export.plain import TO_LPS
from shapekit.export.solids import Solid

LPS_SPACE = "Each object's vertices are SPACE=LPS, unit mm; the build items shift them onto the printer's bed together."


def write_3mf(path: Path, solids: Sequence[Solid]) -> None:
    """Write solids in their patient space (LPS); the build items move them together, so that no coordinate on the bed is negative."""
    low = np.min([(solid.mesh.vertices * TO_LPS).min(axis=0) for solid in solids], axis=0)
    write_objects(path, [(solid.name, solid.mesh.vertices * TO_LPS, solid.mesh.faces, solid.colours) for solid in solids], -low, LPS_SPACE)


def write_objects(
    path: Path,
    objects: Sequence[tuple[str, NDArray[np.floating], NDArray[np.integer], NDArray[np.uint8]]],
    shift_mm: NDArray[np.floating],
    space: str,
) -> None:
    """Write named meshes with vertex colours.

    Parameters
    ----------
    path : Path
    objects : sequence of (name, vertices, faces, colours)
        (n, 3) mm; (m, 3); (n, 3) uint8 sRGB.
    shift_mm : (3,) float
        From the vertices to the printer's bed.
    space : str
        What the vertices' axes are, for the file's description.

    Raises
    ------
    MissingPackageError
        Without lib3mf, which ``shapekit[print]`` brings.
    OutputError
        If lib3mf cannot write the file.
    """
    try:
        import lib3mf
    except (ImportError, OSError) as error:
        raise MissingPackageError("3MF files need lib3mf, which is not installed; install shapekit[print].") from error
    kit = _kit()
    model = kit.CreateModel()
    model.SetUnit(lib3mf.ModelUnit.MilliMeter)
    model.SetBuildUUID(_identity("build", *(name for name, *_ in objects)))
    about = model.GetMetaDataGroup()
    about.AddMetaData("", "Application", "shapekit", "xs:string", True)
    about.AddMetaData("", "Description", space, "xs:string", True)
    for name, vertices, faces, colours in objects:
        thing = model.AddMeshObject()
        thing.SetName(name)
        thing.SetUUID(_identity(name, "object"))
        corners, triangles = _cast(lib3mf.Position, vertices, np.float32), _cast(lib3mf.Triangle, faces, np.uint32)
        _call(kit, thing, "setgeometry", corners, triangles)
        shown, which = np.unique(colours, axis=0, return_inverse=True)
        group = model.AddColorGroup()
        numbers = np.array([group.AddColor(kit.RGBAToColor(*(int(part) for part in colour), 255)) for colour in shown], dtype=np.uint32)
        resource = group.GetResourceID()
        thing.SetObjectLevelProperty(resource, int(numbers[0]))
        if len(shown) > 1:
            properties = np.concatenate([np.full((len(faces), 1), resource), numbers[which.reshape(-1)[faces]]], axis=1)
            _call(kit, thing, "setalltriangleproperties", _cast(lib3mf.TriangleProperties, properties, np.uint32))
        item = model.AddBuildItem(thing, kit.GetTranslationTransform(*(float(part) for part in shift_mm)))
        item.SetUUID(_identity(name, "item"))
    words = locale.setlocale(locale.LC_ALL)
    try:
        model.QueryWriter("3mf").WriteToFile(str(path))
    except lib3mf.ELib3MFException as error:
        raise OutputError(f"{path.name} cannot be written; check the folder's permissions and free space.") from error
    finally:
        locale.setlocale(locale.LC_ALL, words)  # lib3mf leaves the whole process in the C locale, where Python reads files as ASCII


@cache
def _kit() -> Any:
    """Open lib3mf's interface once: looking its functions up takes a fifth of a file's time."""
    import lib3mf

    return lib3mf.get_wrapper()


def _identity(*words: str) -> str:
    """Make a UUID of names: lib3mf would draw it, and the same bodies would give different files."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, "/".join(words)))


def _call(kit: Any, thing: Any, name: str, *arrays: Any) -> None:
    """Call lib3mf's C interface with arrays as they are: its Python methods copy every element as an object, ten times slower."""
    given = [part for array in arrays for part in (ctypes.c_uint64(len(array)), array)]
    kit.checkError(thing, getattr(kit.lib, f"lib3mf_meshobject_{name}")(thing._handle, *given))


def _cast(kind: Any, rows: NDArray[np.generic], dtype: Any) -> Any:
    """Lay lib3mf's structures over an array's memory."""
    return (kind * len(rows)).from_buffer(np.array(rows, dtype=dtype, order="C"))
