"""Vertebrae → vertebral bodies: one component a label, the arch cut off behind the posterior wall, cut bodies recognised."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cc3d
import numpy as np
from numpy.typing import NDArray

from shapekit.core.checks import InputError, check_choice
from shapekit.core.conventions import AP
from shapekit.core.grid import Grid, box_of, centre_of, cut_box
from shapekit.core.labels import LabelSummary
from shapekit.core.levels import Level
from shapekit.core.threads import each
from shapekit.core.values import Body, LabelMap, MeshSet
from shapekit.ops import densest_point
from shapekit.sdf import refine_sdf, sdf_from_mask, sdf_from_mesh
from shapekit.spine.canal import Canal, find_canal
from shapekit.spine.curve import order_along_spine, steady_anterior, superior_directions

BODY_MODES = ("auto", "given", "split")
CONTACT_MM2 = 50.0
"""A body that meets the volume's edge in a flat face of this area is cut by it."""
MARGIN_MM = 6.0
SEED_SIGMAS_MM = np.geomspace(18.0, 9.0, 24)
"""About half a body's depth in the end: the density of a vertebra at this scale peaks in its body, on the midline. From twice that, so that
a start in the canal is left towards the body."""
MESH_SPACING_MM = 1.0
MIN_BODY_MM3 = 500.0

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class _Vertebra:
    level: Level
    label: int
    mask: Mask  # the largest component, on a crop with a margin
    given: Mask | None  # the part of it that the file itself calls body
    grid: Grid
    inside: tuple[slice, slice, slice]  # where the scan's voxels lie in the crop: beyond them nothing was seen
    centre_mm: NDArray[np.float64]
    notes: tuple[str, ...]


def extract_bodies(spine: LabelMap, *, bodies: str = "auto") -> tuple[list[Body], dict[Level, str], tuple[str, ...]]:
    """Cut the vertebral body out of every labelled vertebra.

    In order of preference: the part that sub-region labels or a given body mask call body; the labels themselves where they
    hold no arch (no canal behind most of them); the part in front of the posterior wall, found from the spinal canal.

    Parameters
    ----------
    spine : LabelMap
    bodies : {"auto", "given", "split"}
        ``"given"`` takes labels (within the body mask, where there is one) as bodies; ``"split"`` always looks for the canal.

    Returns
    -------
    bodies : list of Body
        From the head downward.
    missing : dict of Level to str
        Vertebrae whose body was not found, with the reason.
    notes : tuple of str
        Doubts about the spine as a whole.

    Raises
    ------
    UsageError
        For an unknown ``bodies``.
    InputError
        If the map holds no vertebra at all.
    """
    check_choice("bodies", bodies, BODY_MODES)
    if min(spine.grid.shape) < 2:
        raise InputError(f"{spine.name} is a single slice (shape {spine.grid.shape}); shapekit needs a volume.")
    known = [(value, level, spine.summaries[value]) for value, level in spine.levels.items() if value in spine.summaries]
    vertebrae = each(lambda one: _isolate(spine, *one), known)
    if not vertebrae:
        raise InputError(f"{spine.name} holds no vertebra among its labels.")
    order, notes = order_along_spine(np.stack([v.centre_mm for v in vertebrae]), [v.level for v in vertebrae])
    vertebrae = [vertebrae[n] for n in order]
    canals = _find_canals(vertebrae)
    as_labelled = bodies == "given" or (bodies == "auto" and sum(canal is not None for canal in canals) * 2 < len(vertebrae))
    found: list[Body] = []
    missing: dict[Level, str] = {}

    def cut(vertebra: _Vertebra, canal: Canal | None) -> Body | str:
        marked = vertebra.label in spine.partial
        return _body(vertebra, canal, marked=marked, as_labelled=as_labelled, mode=bodies, body_source=spine.body_source)

    for vertebra, body in zip(vertebrae, each(cut, vertebrae, canals), strict=True):
        if isinstance(body, Body):
            found.append(body)
        else:
            missing[vertebra.level] = body
    return found, missing, notes


def bodies_from_meshes(meshes: MeshSet, *, bodies: str = "auto") -> tuple[list[Body], dict[Level, str], tuple[str, ...]]:
    """Turn closed meshes into bodies; whole vertebrae are voxelised at 1 mm and cut like a label map.

    Parameters and returns are those of ``extract_bodies``; labels count from 1 in the order given.

    Raises
    ------
    MissingPackageError
        Without open3d.
    InputError
        For meshes that cannot be gridded.
    """
    check_choice("bodies", bodies, BODY_MODES)
    exact: list[Body] = []
    vertebrae: list[_Vertebra] = []
    for label, (level, mesh) in enumerate(meshes.meshes.items(), start=1):
        sdf = sdf_from_mesh(mesh, spacing_mm=MESH_SPACING_MM, margin_mm=MARGIN_MM)
        mask = sdf.values < 0
        everywhere = (slice(0, mask.shape[0]), slice(0, mask.shape[1]), slice(0, mask.shape[2]))
        vertebrae.append(_Vertebra(level, label, mask, None, sdf.grid, everywhere, densest_point(mask, sdf.grid, SEED_SIGMAS_MM), ()))
        exact.append(Body(level, label, sdf, _centroid(mask, sdf.grid), float(mask.sum()) * sdf.grid.voxel_mm3, source="mesh"))
    order, notes = order_along_spine(np.stack([v.centre_mm for v in vertebrae]), [v.level for v in vertebrae])
    vertebrae, exact = [vertebrae[n] for n in order], [exact[n] for n in order]
    canals: list[Canal | None] = [None] * len(vertebrae) if bodies == "given" else _find_canals(vertebrae)
    if bodies == "given" or (bodies == "auto" and sum(canal is not None for canal in canals) * 2 < len(vertebrae)):
        return exact, {}, notes
    cut = [_body(v, canal, marked=False, as_labelled=False, mode=bodies, body_source="") for v, canal in zip(vertebrae, canals, strict=True)]
    missing = {v.level: reason for v, reason in zip(vertebrae, cut, strict=True) if isinstance(reason, str)}
    return [body for body in cut if isinstance(body, Body)], missing, notes


def _isolate(spine: LabelMap, value: int, level: Level, summary: LabelSummary) -> _Vertebra:
    margin = np.ceil(MARGIN_MM / spine.grid.spacing_mm).astype(int)
    low, high = summary.start - margin, summary.stop + margin
    mask, dropped = _largest_component(cut_box(spine.array, low, high) == value)
    given = None if spine.body_mask is None else _largest_component(mask & cut_box(spine.body_mask, low, high))[0]
    grid = spine.grid.crop(low, (mask.shape[0], mask.shape[1], mask.shape[2]))
    inside = [
        slice(max(0, -int(a)), side - max(0, int(b) - whole)) for a, b, side, whole in zip(low, high, mask.shape, spine.grid.shape, strict=True)
    ]
    # upright, so that marching cubes cut the same triangles however the file stores its voxels
    order, steps, grid = grid.upright()
    mask = np.ascontiguousarray(mask.transpose(order)[steps])
    given = None if given is None else np.ascontiguousarray(given.transpose(order)[steps])
    inside = [
        slice(side - box.stop, side - box.start) if step.step == -1 else box
        for box, step, side in zip([inside[n] for n in order], steps, mask.shape, strict=True)
    ]
    notes = (f"{dropped * grid.voxel_mm3:.0f} mm³ in loose pieces left out",) if dropped else ()
    return _Vertebra(level, value, mask, given, grid, (inside[0], inside[1], inside[2]), densest_point(mask, grid, SEED_SIGMAS_MM), notes)


def _find_canals(vertebrae: list[_Vertebra]) -> list[Canal | None]:
    """Look for every vertebra's canal: each for itself, then again along the line and in the direction that all agree on."""
    centres = np.stack([vertebra.centre_mm for vertebra in vertebrae])
    whole = np.array([_contact_mm2(vertebra.mask, vertebra) < CONTACT_MM2 for vertebra in vertebrae])
    ups = superior_directions(centres)
    canals = each(lambda vertebra, centre, up: find_canal(vertebra.mask, vertebra.grid, centre, up), vertebrae, centres, ups)
    seen = np.array([canal is not None for canal in canals])
    centres = np.stack([old if c is None else c.body_centre_mm for c, old in zip(canals, centres, strict=True)])
    ups = superior_directions(centres, seen | whole)
    ahead = steady_anterior([None if c is None else c.anterior for c in canals], ups, whole)

    def again(vertebra: _Vertebra, sees: bool, *where: NDArray[np.float64]) -> Canal | None:
        return find_canal(vertebra.mask, vertebra.grid, *where) if sees else None

    return each(again, vertebrae, seen, centres, ups, ahead)


def _body(vertebra: _Vertebra, canal: Canal | None, *, marked: bool, as_labelled: bool, mode: str, body_source: str) -> Body | str:
    """Return the body, or the sentence that says why there is none."""
    notes = vertebra.notes
    given = vertebra.given if vertebra.given is not None and mode != "split" else None
    if given is not None and float(given.sum()) * vertebra.grid.voxel_mm3 >= MIN_BODY_MM3:
        mask, source = given, body_source
    elif as_labelled:
        mask, source = vertebra.mask, "labels"
    elif canal is not None:
        mask, source = _largest_component(canal.in_front(vertebra.mask, vertebra.grid))[0], "split"
    elif _contact_mm2(vertebra.mask, vertebra) >= CONTACT_MM2:
        mask, source = vertebra.mask, "labels"
    else:
        return "no spinal canal was found behind it, so its body could not be told from its arch."
    volume = float(mask.sum()) * vertebra.grid.voxel_mm3
    if volume < MIN_BODY_MM3:
        return f"its body is only {volume:.0f} mm³, too small to be a vertebral body."
    contact = _contact_mm2(mask, vertebra)
    if contact >= CONTACT_MM2:
        notes = (*notes, f"cut by the edge of the volume over {contact:.0f} mm²")
    elif marked:
        notes = (*notes, "marked as only partly visible in the file")
    body = Body(
        level=vertebra.level,
        label=vertebra.label,
        sdf=refine_sdf(sdf_from_mask(*_trim(mask, vertebra.grid))),
        centre_mm=_centroid(mask, vertebra.grid),
        volume_mm3=volume,
        source=source,
        partial=marked or contact >= CONTACT_MM2,
        notes=notes,
    )
    return body if canal is None else replace(body, anterior=canal.frame.axes[:, AP])


def _largest_component(mask: Mask) -> tuple[Mask, int]:
    """Keep the largest 26-connected piece; also say how many voxels were left out."""
    pieces, count = cc3d.connected_components(mask, connectivity=26, return_N=True)
    if count < 2:
        return mask, 0
    sizes = np.bincount(pieces.ravel())[1:]
    return pieces == 1 + int(sizes.argmax()), int(sizes.sum() - sizes.max())


def _centroid(mask: Mask, grid: Grid) -> NDArray[np.float64]:
    return grid.to_world(centre_of(mask))


def _contact_mm2(mask: Mask, vertebra: _Vertebra) -> float:
    """Largest area over which a mask meets one face of the scan."""
    seen = mask[vertebra.inside]
    spacing = vertebra.grid.spacing_mm
    area = 0.0
    for axis in range(3):
        for side, padded in ((0, vertebra.inside[axis].start > 0), (-1, vertebra.inside[axis].stop < mask.shape[axis])):
            if padded:
                area = max(area, float(np.take(seen, side, axis=axis).sum()) * float(np.prod(np.delete(spacing, axis))))
    return area


def _trim(mask: Mask, grid: Grid) -> tuple[Mask, Grid]:
    """Crop to the mask with the usual margin (distances further out come from the crop's edge)."""
    margin = np.maximum(np.ceil(MARGIN_MM / grid.spacing_mm).astype(int), 4)
    low, high = box_of(mask)
    low, high = low - margin, high + margin
    trimmed = cut_box(mask, low, high)
    return trimmed, grid.crop(low, (trimmed.shape[0], trimmed.shape[1], trimmed.shape[2]))
