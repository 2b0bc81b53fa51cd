"""The frozen values that travel from stage to stage. Arrays inside are shared, never written to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from shapekit.core.checks import InputError, check_array
from shapekit.core.frame import Frame
from shapekit.core.grid import Grid
from shapekit.core.labels import LabelSummary, summarise_labels
from shapekit.core.levels import Level

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Image:
    """Intensities on a grid: ``array`` (i, j, k), ``grid``."""

    array: NDArray[np.generic]
    grid: Grid

    def __post_init__(self) -> None:
        check_array("array", self.array, shape=self.grid.shape)


@dataclass(frozen=True, eq=False)
class LabelMap:
    """Labelled vertebrae in patient space.

    Parameters
    ----------
    array : (i, j, k) unsigned integer
        Label values, 0 outside. To change them, give a changed copy to ``dataclasses.replace``: what is counted of an array is kept.
    grid : Grid
    levels : mapping of int to Level
        Which values are vertebrae, and which.
    name : str
        The file's stem; the only name a result ever shows.
    scheme : str
        Name of the label scheme that ``levels`` comes from.
    partial : frozenset of int
        Values that the file itself marks as only partly visible.
    body_mask : (i, j, k) bool, optional
        Voxels known to be vertebral body (sub-region labels, or a mask that was given).
    body_source : str
        Where ``body_mask`` comes from: ``"subregions"``, ``"given"`` or ``""``.
    notes : tuple of str
        What was noticed while reading: evidence for the scheme, values left out.
    """

    array: NDArray[np.unsignedinteger]
    grid: Grid
    levels: Mapping[int, Level]
    name: str = "spine"
    scheme: str = ""
    partial: frozenset[int] = frozenset()
    body_mask: NDArray[np.bool_] | None = None
    body_source: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_array("array", self.array, shape=self.grid.shape)
        if self.array.dtype.kind != "u":
            raise InputError(f"array has dtype {self.array.dtype}, but a label map holds unsigned integers.")
        if self.body_mask is not None:
            check_array("body_mask", self.body_mask, shape=self.grid.shape)
            if self.body_mask.dtype != np.bool_:
                raise InputError(f"body_mask has dtype {self.body_mask.dtype}, but must be boolean.")
        if len(set(self.levels.values())) != len(self.levels):
            raise InputError("two label values of one map stand for the same level.")

    @cached_property
    def summaries(self) -> dict[int, LabelSummary]:
        """How many voxels each value has, and where; see ``summarise_labels``."""
        return summarise_labels(self.array, self.grid)

    def understood(self, levels: Mapping[int, Level], scheme: str, partial: frozenset[int], notes: tuple[str, ...]) -> LabelMap:
        """Return the same labels with what they mean; what was counted of them is not counted again.

        Parameters
        ----------
        levels, scheme, partial, notes
            See the class.

        Raises
        ------
        InputError
            If two values stand for the same level.
        """
        known = replace(self, levels=levels, scheme=scheme, partial=partial, notes=notes)
        known.__dict__["summaries"] = self.summaries
        return known


@dataclass(frozen=True, eq=False)
class Mesh:
    """A closed triangle surface: ``vertices`` (n, 3) float mm RAS, ``faces`` (m, 3) int, counter-clockwise from outside."""

    vertices: Float
    faces: NDArray[np.int64]

    def __post_init__(self) -> None:
        vertices, faces = np.asarray(self.vertices, dtype=np.float64), np.asarray(self.faces, dtype=np.int64)
        check_array("vertices", vertices, shape=(None, 3), finite=True)
        check_array("faces", faces, shape=(None, 3))
        if len(faces) and (faces.min() < 0 or faces.max() >= len(vertices)):
            wrong = int(faces.min() if faces.min() < 0 else faces.max())
            raise InputError(f"faces name vertex {wrong}, but there are {len(vertices)} vertices.")
        object.__setattr__(self, "vertices", vertices)
        object.__setattr__(self, "faces", faces)


@dataclass(frozen=True, eq=False)
class MeshSet:
    """Closed meshes by level, as ``load`` gives them for a mapping of files."""

    meshes: Mapping[Level, Mesh]
    name: str = "meshes"


@dataclass(frozen=True, eq=False)
class Sdf:
    """A signed distance field: ``values`` (i, j, k) float32 mm, negative inside; ``grid``."""

    values: NDArray[np.float32]
    grid: Grid

    def __post_init__(self) -> None:
        check_array("values", self.values, shape=self.grid.shape)
        if self.values.dtype != np.float32:
            raise InputError(f"values has dtype {self.values.dtype}, but a signed distance holds float32.")

    def sample(self, points: NDArray[np.floating]) -> NDArray[np.float32]:
        """Signed distance at points in patient space, trilinear; beyond the grid, its edge's value plus the way back to it.

        Parameters
        ----------
        points : (..., 3) float, mm, RAS

        Returns
        -------
        (...) float32, mm
        """
        values, beyond_mm = self.grid.sample(self.values, points)
        return values + beyond_mm


@dataclass(frozen=True, eq=False)
class Body:
    """One vertebral body cut out of its vertebra.

    Parameters
    ----------
    level, label
        Anatomical level and the value it had in the label map.
    sdf : Sdf
        Signed distance of the body, on a crop of the scan with a margin; at the scan's resolution or a whole fraction of it.
    centre_mm : (3,) float, mm, RAS
        Centre of the body's volume.
    volume_mm3 : float
    anterior : (3,) float or None
        Unit vector from the canal or arch towards the body, patient space; None for a body without its arch.
    source : str
        How the body was found: ``"subregions"``, ``"given"``, ``"split"``, ``"labels"`` (they are bodies already) or ``"mesh"``.
    partial : bool
        Cut by the edge of the volume, or marked so by the file.
    notes : tuple of str
        What was dropped or doubtful.
    """

    level: Level
    label: int
    sdf: Sdf
    centre_mm: Float
    volume_mm3: float
    anterior: Float | None = None
    source: str = "labels"
    partial: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Expected:
    """The shape a body should have, placed in patient space.

    Parameters
    ----------
    sdf : Sdf
        On the patch of the target (axes LR, AP, SI).
    frame : Frame
        Of the expected body: its centre and orientation.
    used, repaired : tuple of Level
        Neighbours the prediction rests on, and those replaced by their own expected shape.
    predictor : str
    """

    sdf: Sdf
    frame: Frame
    used: tuple[Level, ...] = ()
    repaired: tuple[Level, ...] = ()
    predictor: str = ""


_NAN = float("nan")


@dataclass(frozen=True)
class Measures:
    """One row of ``scores.csv``; the fields are its columns after ``case``, in their order.

    Lengths mm, volumes mm³, angles degrees, scores 0–100, shares 0–1; NaN, None or "" where not measured.
    """

    level: str
    label: int
    status: str = "ok"
    reason: str = ""
    score: float = _NAN
    score_lo: float = _NAN
    score_hi: float = _NAN
    relative_loss: float = _NAN
    deformity: str = ""
    genant_grade: int | None = None
    height_loss: float = _NAN
    height_loss_neighbours: float = _NAN
    ha_mm: float = _NAN
    hm_mm: float = _NAN
    hp_mm: float = _NAN
    expected_ha_mm: float = _NAN
    expected_hm_mm: float = _NAN
    expected_hp_mm: float = _NAN
    predicted_ha_mm: float = _NAN
    predicted_hm_mm: float = _NAN
    predicted_hp_mm: float = _NAN
    weighted_surplus_mm3: float = _NAN
    surplus_anterior_mm3: float = _NAN
    surplus_middle_mm3: float = _NAN
    surplus_posterior_mm3: float = _NAN
    surplus_mm3: float = _NAN
    excess_mm3: float = _NAN
    expected_mm3: float = _NAN
    actual_mm3: float = _NAN
    l_ap_mm: float = _NAN
    l_lr_mm: float = _NAN
    tilt_sagittal_deg: float = _NAN
    tilt_coronal_deg: float = _NAN
    rotation_axial_deg: float = _NAN
    frame_error_deg: float = _NAN
    surface_distance_mm: float = _NAN
    neighbours_used: str = ""
    neighbours_repaired: str = ""
    predictor: str = ""
    weights_id: str = ""
    shapekit_version: str = field(default="")


COLUMNS = ("case", *(field.name for field in fields(Measures)))
"""Columns of ``scores.csv``, in their order."""
