"""A voxel grid in patient space. No bare voxel array crosses a folder without one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shapekit.core.checks import InputError, check_array
from shapekit.core.frame import Frame

Float = NDArray[np.float64]
Voxel = TypeVar("Voxel", bound=np.generic)


def voxels_of(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the indices of a volume's true voxels: ``numpy.argwhere``, sooner.

    Parameters
    ----------
    mask : (i, j, k) bool

    Returns
    -------
    (n, 3) int64
        Row by row, the last index fastest.

    Raises
    ------
    ValueError
        If the mask has not three axes.

    Examples
    --------
    >>> voxels_of(np.array([[[False, True], [False, False]], [[True, False], [False, False]]]))
    array([[0, 0, 1],
           [1, 0, 0]])
    """
    flat = np.flatnonzero(mask)
    index = np.zeros((3, len(flat)), np.int64)
    _, rows, columns = mask.shape
    np.divmod(flat, columns, out=(flat, index[2]))
    np.divmod(flat, rows, out=(index[0], index[1]))
    return index.T


def centre_of(mask: NDArray[np.bool_]) -> Float:
    """Return the mean index of a volume's true voxels: ``voxels_of(mask).mean(axis=0)``, sooner.

    Parameters
    ----------
    mask : (i, j, k) bool
        Must hold a true voxel.

    Returns
    -------
    (3,) float

    Examples
    --------
    >>> centre_of(np.array([[[False, True], [False, True]], [[True, False], [False, False]]]))
    array([0.33333333, 0.33333333, 0.66666667])
    """
    seen = mask.sum(axis=0, dtype=np.int64)  # along the first axis: far quicker than over two
    counts = np.count_nonzero(mask.reshape(len(mask), -1), axis=1), seen.sum(axis=1), seen.sum(axis=0)
    return np.asarray([along @ np.arange(len(along)) for along in counts] / seen.sum())


def box_of(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first index of a volume's true voxels along each axis and the one after the last.

    Parameters
    ----------
    mask : (i, j, k) bool
        Must hold a true voxel.

    Returns
    -------
    low, high : (3,) int64

    Examples
    --------
    >>> low, high = box_of(np.array([[[False, True, True], [False, False, True]]]))
    >>> low.tolist(), high.tolist()
    ([0, 0, 1], [1, 2, 3])
    """
    seen: NDArray[np.bool_] = np.any(mask, axis=0)  # along the first axis: far quicker than over two
    filled = [np.flatnonzero(along) for along in (mask.reshape(len(mask), -1).any(axis=1), seen.any(axis=1), seen.any(axis=0))]
    return np.array([one[0] for one in filled]), np.array([one[-1] + 1 for one in filled])


def cut_box(volume: NDArray[Voxel], low: NDArray[np.int64], high: NDArray[np.int64], beyond: float = 0) -> NDArray[Voxel]:
    """Return a copy of the voxels from ``low`` up to ``high``, which may reach beyond the volume.

    Parameters
    ----------
    volume : (i, j, k) array
    low, high : (3,) int64
    beyond : float
        What stands for voxels that the volume does not have.

    Returns
    -------
    (high - low) array
        Column by column where the volume lies so, else row by row.

    Examples
    --------
    >>> cut_box(np.arange(3)[None, None], np.array([0, 0, 1]), np.array([1, 1, 5]), beyond=7).tolist()
    [[[1, 2, 7, 7]]]
    """
    begin, end = np.clip(low, 0, volume.shape), np.clip(high, 0, volume.shape)
    box = np.full(tuple(high - low), beyond, volume.dtype, order="F" if np.isfortran(volume) else "C")
    box[tuple(slice(int(a), int(b)) for a, b in zip(begin - low, end - low, strict=True))] = volume[
        tuple(slice(int(a), int(b)) for a, b in zip(begin, end, strict=True))
    ]
    return box


def middle_of(points: Float) -> Float:
    """Return the mean of points: ``numpy.mean`` over the first axis, whose inner loop is three long, sooner.

    Parameters
    ----------
    points : (n, 3) float

    Returns
    -------
    (3,) float

    Examples
    --------
    >>> middle_of(np.array([[0.0, 1.0, 2.0], [1.0, 3.0, 8.0]]))
    array([0.5, 2. , 5. ])
    """
    return np.asarray(np.einsum("ij->j", points) / len(points))


@dataclass(frozen=True, eq=False)
class Grid:
    """Shape and affine of a voxel array.

    Parameters
    ----------
    shape : (3,) int
        Voxels along the array's axes ``[i, j, k]``.
    affine : (4, 4) float
        Index of a voxel's centre → patient space (mm, RAS).

    Raises
    ------
    InputError
        If the affine is not finite, singular, or its last row is not (0, 0, 0, 1).
    """

    shape: tuple[int, int, int]
    affine: Float

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        check_array("affine", affine, shape=(4, 4), finite=True)
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise InputError(f"a grid needs three sides of at least one voxel, not {tuple(self.shape)}.")
        lengths = np.linalg.norm(affine[:3, :3], axis=0)
        if lengths.min() < 1e-6 or abs(np.linalg.det(affine[:3, :3] / lengths)) < 1e-3:
            raise InputError("affine is singular: it gives the voxels no volume.")
        if not np.allclose(affine[3], (0, 0, 0, 1)):
            raise InputError(f"affine's last row is {affine[3].tolist()}, but must be 0, 0, 0, 1.")
        affine.setflags(write=False)
        object.__setattr__(self, "shape", tuple(int(side) for side in self.shape))
        object.__setattr__(self, "affine", affine)

    @classmethod
    def from_frame(cls, frame: Frame, shape: tuple[int, int, int], spacing_mm: float) -> Grid:
        """Lay a grid of cubic voxels along a frame's axes with the frame's origin at its middle."""
        affine = np.eye(4)
        affine[:3, :3] = frame.axes * spacing_mm
        affine[:3, 3] = frame.to_world(-0.5 * spacing_mm * (np.array(shape) - 1))
        return cls(shape, affine)

    @property
    def spacing_mm(self) -> Float:
        """Length of a voxel along each array axis, (3,) mm."""
        return np.asarray(np.linalg.norm(self.affine[:3, :3], axis=0))

    @property
    def voxel_mm3(self) -> float:
        """Volume of a voxel."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    def to_world(self, index: ArrayLike) -> Float:
        """Voxel index (fractions allowed) → patient space; (..., 3) → (..., 3) mm."""
        return np.asarray(index, dtype=np.float64) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def to_index(self, points: ArrayLike) -> Float:
        """Patient space (mm) → fractional voxel index; (..., 3) → (..., 3)."""
        inverse = np.linalg.inv(self.affine[:3, :3])
        return (np.asarray(points, dtype=np.float64) - self.affine[:3, 3]) @ inverse.T

    def crop(self, start: ArrayLike, shape: tuple[int, int, int]) -> Grid:
        """Return the grid of a box that begins at voxel ``start``; the box may reach beyond this grid."""
        affine = self.affine.copy()
        affine[:3, 3] = self.to_world(start)
        return Grid(shape, affine)

    def upright(self) -> tuple[tuple[int, int, int], tuple[slice, slice, slice], Grid]:
        """Say how to lay the axes along the patient's right, anterior and superior, as nearly as turning them about lets them.

        Returns
        -------
        order : 3 times int
            ``array.transpose(order)[steps]`` is the array on the returned grid, whichever way it was stored.
        steps : 3 times slice
        grid : Grid
        """
        from nibabel.orientations import inv_ornt_aff, io_orientation

        turned = io_orientation(self.affine)
        first, second, third = (int(axis) for axis in np.argsort(turned[:, 0]))
        order = (first, second, third)
        steps = [slice(None, None, -1) if turned[axis, 1] < 0 else slice(None) for axis in order]
        shape = (self.shape[first], self.shape[second], self.shape[third])
        return order, (steps[0], steps[1], steps[2]), Grid(shape, self.affine @ inv_ornt_aff(turned, self.shape))

    def points(self) -> Float:
        """Patient-space centres of all voxels, ``(*shape, 3)`` mm."""
        i, j, k = (np.arange(side, dtype=np.float64)[:, None] * self.affine[:3, axis] for axis, side in enumerate(self.shape))
        return i[:, None, None] + j[None, :, None] + k[None, None, :] + self.affine[:3, 3]

    def sample(self, array: NDArray[np.float32], points: NDArray[np.floating]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Interpolate an array at points in patient space, trilinear; beyond the grid the nearest value on its edge counts.

        Parameters
        ----------
        array : ``(*shape)`` float32
        points : (..., 3) float, mm, RAS

        Returns
        -------
        values : (...) float32
        beyond_mm : (...) float32
            How far each point lies outside the grid, 0 inside.
        """
        import torch

        index = self.to_index(points).reshape(-1, 3)
        last = np.array(self.shape) - 1.0
        inside = np.clip(index, 0.0, last)
        outside = np.flatnonzero((index != inside).any(axis=1))
        beyond = np.zeros(len(index), dtype=np.float32)
        beyond[outside] = np.linalg.norm((index[outside] - inside[outside]) @ self.affine[:3, :3].T, axis=1)
        # grid_sample wants coordinates in [-1, 1], the last array axis first
        inside *= 2.0 / np.maximum(last, 1.0)
        inside -= 1.0
        where = torch.from_numpy(np.ascontiguousarray(inside[:, ::-1]).reshape(1, -1, 1, 1, 3))
        field = torch.from_numpy(np.ascontiguousarray(array))[None, None].double()
        values = torch.nn.functional.grid_sample(field, where, mode="bilinear", padding_mode="border", align_corners=True)
        shape = np.shape(points)[:-1]
        return values.float().numpy().reshape(shape), beyond.reshape(shape)

    def is_close(self, other: Grid, tolerance_mm: float = 1e-3) -> bool:
        """Tell whether two grids have the same voxels: equal shapes, corners within ``tolerance_mm``."""
        if self.shape != other.shape:
            return False
        corners = np.array(np.meshgrid(*[(0, side - 1) for side in self.shape])).reshape(3, -1).T
        return bool(np.abs(self.to_world(corners) - other.to_world(corners)).max() <= tolerance_mm)
