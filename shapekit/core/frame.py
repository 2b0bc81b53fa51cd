"""A rigid anatomical frame: where a vertebra is and how it is turned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shapekit.core.checks import InputError, check_array

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Frame:
    """Origin and right-handed axes of a vertebra in patient space.

    Parameters
    ----------
    origin : (3,) float, mm, RAS
    axes : (3, 3) float
        Columns are the unit vectors LR (towards the right), AP (anterior), SI (superior).
    error_deg : float
        Standard deviation of the axes' direction, degrees; NaN where it was not measured.

    Raises
    ------
    InputError
        If the axes are not orthonormal and right-handed to 1e-6, or anything is not finite.
    """

    origin: Float
    axes: Float
    error_deg: float = float("nan")

    def __post_init__(self) -> None:
        origin, axes = np.array(self.origin, dtype=np.float64), np.array(self.axes, dtype=np.float64)
        check_array("origin", origin, shape=(3,), finite=True)
        check_array("axes", axes, shape=(3, 3), finite=True)
        if np.abs(axes.T @ axes - np.eye(3)).max() > 1e-6 or np.linalg.det(axes) < 0:
            raise InputError("axes must be three orthonormal, right-handed columns (LR, AP, SI).")
        origin.setflags(write=False)
        axes.setflags(write=False)
        object.__setattr__(self, "origin", origin)
        object.__setattr__(self, "axes", axes)

    @classmethod
    def from_directions(cls, origin: ArrayLike, superior: ArrayLike, anterior: ArrayLike, *, error_deg: float = float("nan")) -> Frame:
        """Build a frame from a superior direction (kept) and a roughly anterior one (made orthogonal to it).

        Raises
        ------
        InputError
            If the two directions are parallel or zero.
        """
        up = np.asarray(superior, dtype=np.float64)
        up = up / max(float(np.linalg.norm(up)), 1e-300)
        front = np.asarray(anterior, dtype=np.float64)
        front = front - up * (front @ up)
        length = float(np.linalg.norm(front))
        if not np.isfinite(length) or length < 1e-9:
            raise InputError("the superior and anterior directions are parallel; a frame needs two different ones.")
        front = front / length
        return cls(np.asarray(origin, dtype=np.float64), np.stack([np.cross(front, up), front, up], axis=1), error_deg)

    def to_local(self, points: ArrayLike) -> Float:
        """Patient space → (LR, AP, SI) mm from the origin; (..., 3) → (..., 3)."""
        return (np.asarray(points, dtype=np.float64) - self.origin) @ self.axes

    def local_map(self) -> Float:
        """Return ``to_local`` as an affine map, (3, 4) and contiguous."""
        return np.ascontiguousarray(np.column_stack([self.axes.T, -self.axes.T @ self.origin]))

    def to_world(self, points: ArrayLike) -> Float:
        """(LR, AP, SI) mm from the origin → patient space; (..., 3) → (..., 3)."""
        return np.asarray(points, dtype=np.float64) @ self.axes.T + self.origin

    def moved(self, origin: ArrayLike) -> Frame:
        """Return the same axes about another origin (mm, RAS)."""
        return Frame(np.asarray(origin, dtype=np.float64), self.axes, self.error_deg)

    def angle_to(self, other: Frame) -> float:
        """Return the angle of the rotation between two frames' axes, degrees."""
        cosine = (np.trace(self.axes.T @ other.axes) - 1.0) / 2.0
        return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))

    @property
    def tilt_sagittal_deg(self) -> float:
        """Forward tilt of SI in patient space: positive when the top leans anteriorly."""
        return float(np.degrees(np.arctan2(self.axes[1, 2], self.axes[2, 2])))

    @property
    def tilt_coronal_deg(self) -> float:
        """Sideways tilt of SI in patient space: positive when the top leans to the patient's right."""
        return float(np.degrees(np.arctan2(self.axes[0, 2], self.axes[2, 2])))

    @property
    def rotation_axial_deg(self) -> float:
        """Turn of the anterior direction about the patient's vertical: positive towards the patient's left."""
        return float(np.degrees(np.arctan2(-self.axes[0, 1], self.axes[1, 1])))
