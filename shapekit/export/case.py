"""All meshes of a case: which formats there are, what they need, and the folder they are written into."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from shapekit.core.checks import MissingPackageError, UsageError
from shapekit.export.gate import checkers
from shapekit.export.gltf import SPACE, write_glb
from shapekit.export.plain import write_obj, write_ply, write_stl
from shapekit.export.printing import BED, PRINT_FORMATS, Plate, plate_of, write_plate
from shapekit.export.scene import READABLE, write_scene
from shapekit.export.solids import DEFICIT_RANGE_MM, KINDS, NO_SCORE, Solid, solids_of
from shapekit.export.threemf import LPS_SPACE, write_3mf
from shapekit.export.vtp import write_vtp
from shapekit.mesh import volume_mm3
from shapekit.pipeline import Scored
from shapekit.version import __version__

Writer = Callable[[Path, Sequence[Solid]], None]

LPS = "SPACE=LPS, unit mm"
FORMATS = {"glb": SPACE, "stl": LPS, "3mf": LPS_SPACE, "ply": LPS, "obj": LPS, "vtp": LPS}
"""Formats by suffix, and the space of each."""
NEEDS = {"vtp": ("vtkmodules", "viz"), "3mf": ("lib3mf", "print"), "print": ("manifold3d", "print"), "keep": ("fast_simplification", "print")}
"""What a format, a plate or a simplified plate needs: a module, and the extra that brings it."""


def check_formats(formats: Sequence[str], *, print: bool = False, keep: float = 1.0) -> None:  # noqa: A002
    """Complain about formats that do not exist or whose packages are missing, before any work is done.

    Parameters
    ----------
    formats : sequence of str
        Keys of ``FORMATS``.
    print : bool
        Whether plates for printing are wanted, too.
    keep : float
        Share of the triangles that plates keep.

    Raises
    ------
    UsageError
        For an unknown format, a single word in place of a sequence, a share that is none, or one without plates.
    MissingPackageError
        Naming the extra to install.
    """
    if isinstance(formats, str):
        raise UsageError(f"meshes is the word {formats!r}, but must be a sequence of formats, such as ('glb', 'stl').")
    for name in formats:
        if name not in FORMATS:
            raise UsageError(f"meshes has {name!r}, but each must be one of: {', '.join(FORMATS)}.")
    if not 0 < keep <= 1 or (keep < 1 and not print):
        raise UsageError(f"the share of triangles that plates keep is {keep:g}, but must lie above 0, be at most 1, and go with plates for printing.")
    wanted = [*formats, *(["print", *_plate_formats(formats)] if print else []), *(["keep"] if keep < 1 else [])]
    for name in wanted:
        module, extra = NEEDS.get(name, ("", ""))
        if module and find_spec(module) is None:
            what = {"print": "plates for printing", "keep": "plates with fewer triangles"}.get(name, f"{name} files")
            raise MissingPackageError(f"{what} need {module}, which is not installed; install shapekit[{extra}].")


def write_meshes(
    folder: Path,
    scored: Sequence[Scored],
    formats: Sequence[str],
    *,
    print: bool = False,  # noqa: A002
    palette: str = "green-red",
    keep: float = 1.0,
    case: str = "",
) -> None:
    """Write every vertebra's bodies, and those of the whole spine, in each format.

    ``<level>_actual`` is coloured by score, ``<level>_expected`` by the deficit map; ``spine_actual`` and ``spine_expected`` hold all of them.
    ``scene.mrml`` shows them in 3-D Slicer, ``<level>_print`` is a vertebra's plate, ``meshes.json`` says the spaces, units and repairs.

    Parameters
    ----------
    folder : Path
        Exists, and is the caller's own until everything is written.
    scored : sequence of Scored
    formats : sequence of str
        Keys of ``FORMATS``.
    print : bool
        Whether to write plates for printing: in those of 3MF and STL that are among the formats, in 3MF where neither is.
    palette : {"green-red", "plasma"}
    keep : float
        Share of the triangles that plates keep, see ``plate_of``.
    case : str
        Name of the case.

    Raises
    ------
    UsageError
        For an unknown format or palette, or a share that is none.
    MissingPackageError
        Naming the extra to install.
    InputError
        If a surface cannot be closed.
    OutputError
        If a file cannot be written.
    """
    check_formats(formats, print=print, keep=keep)
    solids = solids_of(scored, palette=palette)
    by_kind = {kind: [solid for solid in solids if solid.kind == kind] for kind in KINDS}
    for suffix in dict.fromkeys(formats):
        write = _writer(suffix, case)
        for solid in solids:
            write(folder / f"{solid.name}.{suffix}", [solid])
        for kind, those in by_kind.items():
            if those:
                write(folder / f"spine_{kind}.{suffix}", those)
    shown = next((suffix for suffix in READABLE if suffix in formats), None)
    if shown and solids:
        write_scene(folder / "scene.mrml", solids, shown, case=case)
    plates = [plate_of(one, palette=palette, keep=keep) for one in scored if one.expected] if print else []
    for plate in plates:
        for suffix in _plate_formats(formats):
            write_plate(folder / f"{plate.level}_print.{suffix}", plate)
    record = _record(solids, plates, formats, palette, case, keep)
    (folder / "meshes.json").write_text(json.dumps(record, indent=1, allow_nan=False) + "\n")


def _plate_formats(formats: Sequence[str]) -> tuple[str, ...]:
    return tuple(suffix for suffix in PRINT_FORMATS if suffix in formats) or PRINT_FORMATS[:1]


def _writer(suffix: str, case: str) -> Writer:
    writers: dict[str, Writer] = {
        "glb": partial(write_glb, case=case),
        "stl": write_stl,
        "3mf": write_3mf,
        "ply": write_ply,
        "obj": write_obj,
        "vtp": write_vtp,
    }
    return writers[suffix]


def _record(solids: Sequence[Solid], plates: Sequence[Plate], formats: Sequence[str], palette: str, case: str, keep: float) -> dict[str, object]:
    return {
        "case": case,
        "shapekit_version": __version__,
        "spaces": {suffix: FORMATS[suffix] for suffix in formats},
        "scalars": {
            "score": f"0-100; {NO_SCORE:g} where there is none",
            "deficit_mm": "along the expected body's SI axis to the actual surface; positive where bone is missing",
            "nearest_mm": "signed distance to the nearest point of the actual surface; positive where bone is missing",
        },
        "colours": {"actual": f"{palette}, score 0 to 100", "expected": f"deficit_mm, blue -{DEFICIT_RANGE_MM:g} to red +{DEFICIT_RANGE_MM:g}"},
        "checked_by": checkers(),
        "bodies": [
            {
                "name": solid.name,
                "label": solid.label,
                "score": solid.score,
                "vertices": len(solid.mesh.vertices),
                "faces": len(solid.mesh.faces),
                "volume_mm3": round(volume_mm3(solid.mesh), 2),
                "repairs": solid.repairs,
            }
            for solid in solids
        ],
        "plates": [
            {
                "level": plate.level,
                "space": BED,
                "triangles_kept": keep,
                "surface_error_mm": round(plate.surface_error_mm, 3),
                "pieces": {piece.name: {"thinnest_wall_mm": _finite(piece.thinnest_mm)} for piece in plate.pieces},
                "notes": plate.notes,
            }
            for plate in plates
        ],
    }


def _finite(value: float) -> float | None:
    """JSON knows no infinity."""
    return round(value, 2) if math.isfinite(value) else None
