"""A plain CT of a patient: bone, discs, canal, soft tissue, fat and lung in Hounsfield units, as a scanner would average and blur them.

It shows the anatomy as it is: the same level sets that the masks are drawn from, without the errors of a segmentation. A voxel
holds the share of each tissue in it (a level set over the voxel's size; thick slices are averaged from thinner samples), then
comes a Gaussian point spread in the plane and noise whose neighbours correlate.

Not drawn: ribs, sacrum, vessels, bowel, metal, beam hardening, streaks. Numbers are from textbooks and memory unless a source is
named, and count as assumed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

from shapekit.core.grid import Grid
from shapekit.core.levels import Level
from shapekit.core.values import Image
from shapekit.phantom.acquisition import HALO_MM, _box_corners, _distances, _local_points, _window, smooth_field
from shapekit.phantom.patient import Patient, Vertebra

Array = NDArray[np.float32]
Float = NDArray[np.float64]
Window = tuple[slice, slice, slice]

AIR_HU, LUNG_HU, FAT_HU = -1000.0, -850.0, -100.0
TRABECULAR_HU = {False: (150.0, 30.0, 80.0, 240.0), True: (90.0, 24.0, 30.0, 160.0)}
"""Trabecular bone of L1 without and with a fracture anywhere: mean, SD, least, most. Below 100-110 HU osteoporosis is likely, from 160
on it is not (Pickhardt et al. 2013, Ann Intern Med 158:588)."""
PER_LEVEL = 0.025
"""Trabecular bone grows denser from one level to the next above by this share."""
SAMPLE_MM = 1.0
"""Voxels longer than this are averaged from samples no farther apart."""
TEXTURE_MM = 2.0
"""Correlation length of trabecular texture."""
COMPACTION_MM = 3.0
"""Depth over which bone pressed together under a broken endplate falls off."""
FAT_MM, FAT_FROM = 7.0, (0.6, 2.8)
"""Fat planes lie where a smooth field of this correlation length rises through these values, in SD."""
TORSO_MM, SKIN_MM, BEHIND_MM, BEFORE_MM = (165.0, 115.0), 18.0, 25.0, 80.0
"""Half width and least half depth of the trunk, its layer of fat, and what lies at least behind the spinous processes and before the bodies."""
CANAL_ENDS_MM = 25.0
"""How far the canal goes on beyond the first and the last vertebra's middle."""
LUNG_MIDDLE_MM, LUNG_MM = (82.0, 45.0), (58.0, 62.0)
"""Middle (to the side of and before the vertebral bodies) and half axes of a lung's section."""
SLAB = 8
"""Layers of the whole grid that are worked on at once, so that they stay in the processor's cache."""
NOISE_KERNEL = np.array([0.25, 0.5, 0.25])
"""Neighbouring voxels' noise correlates by 0.67, the next by 0.17."""


@dataclass(frozen=True)
class CtLook:
    """How one patient looks in one scanner.

    Parameters
    ----------
    trabecular_hu : mapping of Level to float
        Mean of each body's spongy bone; bone under a broken endplate is denser.
    cortical_hu : float
    wall_mm, endplate_mm, arch_mm : float
        Thickness of the cortex around a body, at its endplates and around the arch.
    texture_hu : float
        SD of trabecular bone about its mean.
    compaction_hu : float
        What bone pressed together under a broken endplate has more, at the endplate.
    disc_hu, muscle_hu, canal_hu : float
    blur_mm : float
        SD of the point spread within the plane.
    noise_hu : float
        SD of the noise.
    """

    trabecular_hu: Mapping[Level, float]
    cortical_hu: float
    wall_mm: float
    endplate_mm: float
    arch_mm: float
    texture_hu: float
    compaction_hu: float
    disc_hu: float
    muscle_hu: float
    canal_hu: float
    blur_mm: float
    noise_hu: float

    def truth(self) -> dict[str, object]:
        """Everything a JSON file holds of it."""
        return asdict(self) | {"trabecular_hu": {str(level): hu for level, hu in self.trabecular_hu.items()}}


def draw_look(patient: Patient, *, generator: Generator) -> CtLook:
    """Draw how a patient looks in a CT; who has a fracture has less bone.

    Parameters
    ----------
    patient : Patient
    generator : numpy.random.Generator

    Returns
    -------
    CtLook

    Examples
    --------
    >>> from shapekit.phantom import demo_patient
    >>> look = draw_look(demo_patient(), generator=np.random.default_rng(0))
    >>> 30 <= look.trabecular_hu[Level.L1] <= 160
    True
    """
    mean, sd, least, most = TRABECULAR_HU[any(vertebra.grade for vertebra in patient)]
    density = float(np.clip(generator.normal(mean, sd), least, most))
    own = generator.normal(1.0, 0.05, len(patient))
    steps = [Level.L1.rank - vertebra.level.rank for vertebra in patient]
    trabecular = {
        vertebra.level: density * (1.0 + PER_LEVEL * step) * float(share) for vertebra, step, share in zip(patient, steps, own, strict=True)
    }
    thin = 0.8 + 0.2 * min(density / 150.0, 1.0)  # the cortex goes with the spongy bone
    return CtLook(
        trabecular_hu=trabecular,
        cortical_hu=float(generator.uniform(800.0, 1150.0)) * thin,
        wall_mm=float(generator.uniform(0.5, 0.8)) * thin,
        endplate_mm=float(generator.uniform(0.6, 0.9)) * thin,
        arch_mm=float(generator.uniform(1.0, 1.5)),
        texture_hu=float(generator.uniform(20.0, 40.0)),
        compaction_hu=float(generator.uniform(50.0, 150.0)),
        disc_hu=float(generator.uniform(65.0, 95.0)),
        muscle_hu=float(generator.uniform(42.0, 60.0)),
        canal_hu=float(generator.uniform(12.0, 38.0)),
        blur_mm=float(generator.uniform(0.5, 0.9)),
        noise_hu=float(generator.uniform(10.0, 40.0)),
    )


def simulate_ct(patient: Patient, grid: Grid, look: CtLook, *, generator: Generator) -> Image:
    """Take a CT of a patient.

    Slices are the planes across the grid's longest voxel side (across the last axis where all are equal).

    Parameters
    ----------
    patient : Patient
    grid : Grid
        Usually that of the patient's mask.
    look : CtLook
    generator : numpy.random.Generator
        For texture, fat and noise; each takes a stream of its own.

    Returns
    -------
    Image
        int16, Hounsfield units.

    Examples
    --------
    >>> from shapekit.phantom import draw_patient, scan_grid
    >>> patient, generator = draw_patient(4, levels=["L2"]), np.random.default_rng(0)
    >>> image = simulate_ct(patient, scan_grid(patient, 2.0), draw_look(patient, generator=generator), generator=generator)
    >>> image.array.dtype.name
    'int16'
    """
    *own, tissue, noise = generator.spawn(len(patient) + 2)
    samples = np.maximum(np.ceil(grid.spacing_mm / SAMPLE_MM - 1e-6), 1).astype(int)
    fine = _refined(grid, samples)
    hu = _soft_tissue(patient, fine, look, tissue)
    for n in range(len(patient)):
        _fill_canal(hu, patient, n, fine, look)
    for upper, lower in zip(patient.vertebrae, patient.vertebrae[1:], strict=False):
        _fill_disc(hu, upper, lower, fine, look)
    for vertebra, stream in zip(patient, own, strict=True):
        _fill_bone(hu, vertebra, fine, look, stream)
    hu = _averaged(hu, samples)
    across = 2 if np.ptp(grid.spacing_mm) < 1e-3 else int(np.argmax(grid.spacing_mm))
    sigma = [0.0 if axis == across else look.blur_mm / side for axis, side in enumerate(grid.spacing_mm)]
    ndimage.gaussian_filter(hu, sigma, output=hu, mode="nearest", truncate=3.0)
    _add_noise(hu, look.noise_hu, noise)
    return Image(np.rint(np.clip(hu, -1024.0, 3071.0, out=hu), out=hu).astype(np.int16), grid)


def _share(distance: NDArray[np.floating], width_mm: float) -> Array:
    """Share of a voxel that lies behind a surface at a signed distance from its middle."""
    return np.asarray(np.clip(0.5 - distance / width_mm, 0.0, 1.0), dtype=np.float32)


def _refined(grid: Grid, samples: NDArray[np.integer]) -> Grid:
    """Grid of the samples within a grid's voxels."""
    affine = grid.affine.copy()
    affine[:3, :3] /= samples
    affine[:3, 3] += 0.5 * (affine[:3, :3] - grid.affine[:3, :3]).sum(axis=1)
    i, j, k = (int(side * count) for side, count in zip(grid.shape, samples, strict=True))
    return Grid((i, j, k), affine)


def _averaged(values: Array, samples: NDArray[np.integer]) -> Array:
    """Average of the samples within each voxel."""
    if (samples == 1).all():
        return values
    (i, j, k), (a, b, c) = values.shape, samples
    return np.asarray(values.reshape(i // a, a, j // b, b, k // c, c).mean(axis=(1, 3, 5)))


def _cropped(grid: Grid, window: Window) -> Grid:
    i, j, k = (part.stop - part.start for part in window)
    return grid.crop([part.start for part in window], (i, j, k))


def _ramp(grid: Grid, point: Float, direction: Float) -> Array:
    """Distance of a grid's voxels from a plane along its normal, mm."""
    i, j, k = (np.arange(side) * float(grid.affine[:3, axis] @ direction) for axis, side in enumerate(grid.shape))
    start = float((grid.affine[:3, 3] - point) @ direction)
    return np.asarray(((start + i).astype(np.float32)[:, None, None] + j.astype(np.float32)[:, None]) + k.astype(np.float32))


def _soft_tissue(patient: Patient, grid: Grid, look: CtLook, generator: Generator) -> Array:
    """Muscle with planes of fat, lungs beside the thoracic spine, and the skin; (i, j, k) HU."""
    hu = smooth_field(grid, FAT_MM, generator=generator)
    low, high = FAT_FROM
    hu -= np.float32(low)
    hu *= np.float32((FAT_HU - look.muscle_hu) / (high - low))
    np.clip(hu, FAT_HU - look.muscle_hu, 0.0, out=hu)
    hu += np.float32(look.muscle_hu)
    width = float(grid.spacing_mm.mean())
    lung, trunk = _lung(patient), _trunk(patient)
    pick = np.array(np.meshgrid(*[(0, side - 1) for side in grid.shape])).reshape(3, -1).T
    only_inside = bool((trunk(*grid.to_world(pick).T) > SKIN_MM + width).all())  # the trunk is convex
    for start in range(0, grid.shape[0], SLAB):
        slab = hu[start : start + SLAB]
        part = grid.crop((start, 0, 0), (len(slab), *grid.shape[1:]))
        x, y, z = (_ramp(part, np.zeros(3), axis) for axis in np.eye(3))
        if lung is not None:
            slab += (LUNG_HU - slab) * _share(lung(x, y, z), width)
        if not only_inside:
            depth = trunk(x, y, z)
            slab += (FAT_HU - slab) * _share(depth - SKIN_MM, width)
            slab += (AIR_HU - slab) * _share(depth, width)
    return hu


def _lung(patient: Patient) -> Callable[[Array, Array, Array], Array] | None:
    """Distance outside the lungs, which follow the curve of the thoracic spine; None where too little of it is there."""
    spine = np.array([vertebra.placement.origin for vertebra in patient if vertebra.level.region == "T"])
    if len(spine) < 3:
        return None
    (x2, y2), (x1, y1), (x0, y0) = np.polyfit(spine[:, 2], spine[:, :2], 2).tolist()
    middle, half = float(spine[:, 2].mean()), 0.5 * float(np.ptp(spine[:, 2]))
    (to_side, to_front), (half_width, half_depth) = LUNG_MIDDLE_MM, LUNG_MM

    def outside(x: Array, y: Array, z: Array) -> Array:
        side = (np.abs(x - (x0 + z * (x1 + z * x2))) - to_side) / half_width
        front = (y - (y0 + z * (y1 + z * y2)) - to_front) / half_depth
        dome = ((z - middle) / half) ** 2
        return np.asarray((np.sqrt(side * side + front * front + dome * dome) - 1.0) * half_width)

    return outside


def _trunk(patient: Patient) -> Callable[[Array, Array, Array], Array]:
    """Depth under the skin of an elliptic trunk."""
    tips = np.concatenate([vertebra.placement.to_world(vertebra.arch.end) for vertebra in patient])
    bodies = np.array([vertebra.placement.origin for vertebra in patient])
    half_width, half_depth = TORSO_MM
    back, front = float(tips[:, 1].min()) - BEHIND_MM, float(bodies[:, 1].max()) + BEFORE_MM
    half_depth = max(half_depth, 0.5 * (front - back))
    middle_x, middle_y = float(bodies[:, 0].mean()), back + half_depth

    def depth(x: Array, y: Array, _: Array) -> Array:
        return np.asarray(half_depth * (1.0 - np.hypot((x - middle_x) / half_width, (y - middle_y) / half_depth)))

    return depth


def _fill_canal(hu: Array, patient: Patient, n: int, grid: Grid, look: CtLook) -> None:
    """Fill the part of the canal that belongs to a vertebra, as far as half way to the next; at the ends of the column farther."""
    vertebra = patient.vertebrae[n]
    origins = [v.placement.origin for v in patient]
    above = np.linalg.norm(origins[n - 1] - origins[n]) / 2 if n else CANAL_ENDS_MM
    below = np.linalg.norm(origins[n + 1] - origins[n]) / 2 if n + 1 < len(patient) else CANAL_ENDS_MM
    half_depth, half_width = vertebra.arch.canal_depth_mm / 2, vertebra.arch.canal_width_mm / 2
    middle = -float(vertebra.healthy.wall_radius(-np.pi / 2, 0.3)) - half_depth
    low = np.array([-half_width, middle - half_depth, -below]) - 1.0
    high = np.array([half_width, middle + half_depth, above]) + 1.0
    window = _window(vertebra, grid, low, high)
    if window is None:
        return
    local = _local_points(vertebra, grid, window)
    beyond = np.hypot(local[..., 0] / half_width, (local[..., 1] - middle) / half_depth) - 1.0
    distance = np.maximum(beyond * half_depth, np.maximum(local[..., 2] - above, -below - local[..., 2]))
    share = _share(distance, float(grid.spacing_mm.mean()))
    hu[window] += (look.canal_hu - hu[window]) * share


def _fill_disc(hu: Array, upper: Vertebra, lower: Vertebra, grid: Grid, look: CtLook) -> None:
    """Fill the room between two bodies within the outline of their rims; the bodies are drawn over it."""
    wide, deep = 1.2 * upper.actual.half_width_mm + 4.0, 1.2 * upper.actual.half_depth_mm + 6.0
    below = (lower.placement.origin - upper.placement.origin) @ upper.placement.axes[:, 2]
    window = _window(upper, grid, np.array([-wide, -deep, below]), np.array([wide, deep, 0.0]))
    if window is None:
        return
    part = _cropped(grid, window)
    around = np.linspace(-np.pi, np.pi, 181)
    outline = np.zeros(part.shape)
    between = np.full(part.shape, -np.inf)
    for vertebra, end in ((upper, -1.0), (lower, 1.0)):
        local = _local_points(vertebra, grid, window)
        x, y = local[..., 0], local[..., 1]
        radius = np.interp(np.arctan2(y, x), around, vertebra.actual.wall_radius(around, end))
        outline += 0.5 * (np.hypot(x, y) - radius)
        point, normal = vertebra.endplates()[1 if vertebra is upper else 0]
        between = np.maximum(between, -_ramp(part, point, normal))
    # behind the rim a disc reaches into the endplate's hollow, however deep
    distance = np.maximum(outline, between - np.clip(-3.0 * outline, 1.0, 15.0))
    share = _share(distance, float(grid.spacing_mm.mean()))
    hu[window] += (look.disc_hu - hu[window]) * share


def _fill_bone(hu: Array, vertebra: Vertebra, grid: Grid, look: CtLook, generator: Generator) -> None:
    """Draw a vertebra: a cortex around spongy bone."""
    corners = vertebra.placement.to_local(_box_corners(vertebra, arch=True))
    window = _window(vertebra, grid, corners.min(axis=0) - HALO_MM, corners.max(axis=0) + HALO_MM)
    if window is None:
        return
    part, width = _cropped(grid, window), float(grid.spacing_mm.mean())
    body, bone = _distances(vertebra, part, True, HALO_MM)
    (top, up), (bottom, down) = vertebra.endplates()
    depth = -np.maximum(_ramp(part, top, up), _ramp(part, bottom, down))
    near_plate = np.clip(2.0 - depth / (0.1 * float(np.linalg.norm(top - bottom))), 0.0, 1.0)
    core = np.minimum(body + (look.wall_mm + (look.endplate_mm - look.wall_mm) * near_plate), bone + look.arch_mm)
    whole, inner = _share(bone, width), _share(core, width)
    spongy = look.trabecular_hu[vertebra.level] + look.texture_hu * smooth_field(part, TEXTURE_MM, generator=generator)
    if vertebra.kind:
        _compact(spongy, vertebra, grid, window, body, look.compaction_hu)
    hu[window] = (1.0 - whole) * hu[window] + inner * spongy + (whole - inner) * np.float32(look.cortical_hu)


def _compact(spongy: Array, vertebra: Vertebra, grid: Grid, window: Window, body: Array, most_hu: float) -> None:
    """Add what the bone that a fracture pressed together has more: under the broken endplate, by how far it sank (full from 4 mm)."""
    inside = body < 1.0
    x, y, z = _local_points(vertebra, grid, window)[inside].T
    for now, before, sign in zip(vertebra.actual.plate_heights(x, y), vertebra.healthy.plate_heights(x, y), (1.0, -1.0), strict=True):
        sunk, depth = sign * (before - now), np.maximum(sign * (now - z), 0.0)
        spongy[inside] += (most_hu * np.clip(sunk / 4.0, 0.0, 1.0) * np.exp(-depth / COMPACTION_MM)).astype(np.float32)


def _add_noise(hu: Array, noise_hu: float, generator: Generator) -> None:
    """Add noise of a stated SD whose neighbours correlate."""
    noise = generator.standard_normal(hu.shape, dtype=np.float32)
    for axis in range(3):  # "wrap" keeps the SD up to the edges
        ndimage.correlate1d(noise, NOISE_KERNEL / np.linalg.norm(NOISE_KERNEL), axis=axis, output=noise, mode="wrap")
    noise *= np.float32(noise_hu)
    hu += noise
