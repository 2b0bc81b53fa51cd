"""Inputs whose answers are known, for tests and benchmarks. Never a cube, never isotropic unless that is the point."""

import numpy as np
from scipy.spatial.transform import Rotation

from shapekit.core.grid import Grid
from shapekit.core.levels import Level
from shapekit.core.values import LabelMap, Sdf

OBLIQUE = Rotation.from_rotvec((0.31, -0.22, 0.4)).as_matrix()

LEANING = Rotation.from_rotvec((0.25, -0.15, 0.0)).as_matrix()
"""Forward and sideways, but hardly turned: bodies without an arch have only the patient's axes to say where anterior is."""


def oblique_grid(shape=(37, 52, 41), spacing_mm=(0.7, 1.3, 2.9)):
    """The usual fixture: a grid with three different sides, three spacings and no axis along the patient's."""
    affine = np.eye(4)
    affine[:3, :3] = OBLIQUE * spacing_mm
    affine[:3, 3] = (-31.0, 12.5, 140.0)
    return Grid(shape, affine)


def ellipsoid_distance(points, semi_axes):
    """Exact signed distance to an ellipsoid about the origin by bisection on the Lagrange multiplier (Eberly 2013); float64."""
    p, r = np.abs(np.asarray(points, dtype=np.float64)), np.asarray(semi_axes, dtype=np.float64)
    squared = r**2
    least = int(np.argmin(r))
    low = np.maximum(-squared[least] + r[least] * p[..., least], -squared[least] + 1e-9)
    high = np.maximum(-squared[least] + np.linalg.norm(r * p, axis=-1), low + 1.0)
    for _ in range(90):
        middle = (low + high) / 2
        outside = ((r * p / (middle[..., None] + squared)) ** 2).sum(axis=-1) > 1
        low, high = np.where(outside, middle, low), np.where(outside, high, middle)
    foot = squared * p / (((low + high) / 2)[..., None] + squared)
    # on the middle plane the multiplier cannot be told from its limit: there the surface's own equation gives the foot's height
    others = 1 - ((np.delete(foot, least, axis=-1) / np.delete(r, least)) ** 2).sum(axis=-1)
    foot[..., least] = np.where(p[..., least] < 1e-6, r[least] * np.sqrt(np.maximum(others, 0)), foot[..., least])
    distance = np.linalg.norm(p - foot, axis=-1)
    return np.where(((p / r) ** 2).sum(axis=-1) < 1, -distance, distance)


def patch_of(values_at, shape=(60, 56, 48), spacing_mm=1.0):
    """An upright patch about the origin filled by a function of (lr, ap, si) in mm."""
    affine = np.diag([spacing_mm] * 3 + [1.0])
    affine[:3, 3] = -0.5 * spacing_mm * (np.array(shape) - 1)
    grid = Grid(shape, affine)
    lr, ap, si = np.moveaxis(grid.points(), -1, 0)
    return Sdf(np.asarray(values_at(lr, ap, si), dtype=np.float32), grid)


BODIES = {Level.L2: (20.0, 15.0, 12.5), Level.L3: (21.0, 15.5, 13.0), Level.L4: (22.0, 16.0, 13.2), Level.L5: (23.0, 16.5, 13.4)}
"""Half width, half depth, half height of lumbar bodies, mm."""


def body_spine(spacing_mm=(1.1, 0.9, 1.6), *, crushed=None, keep=1.0, axes=LEANING, levels=tuple(BODIES)):
    """Body-only lumbar spine (VerSe values) on an oblique anisotropic grid; ``crushed`` loses the top of its height down to ``keep``.

    Returns the LabelMap and, by level, the true volume in mm³.
    """
    tops = np.arange(len(levels))[::-1] * 35.0
    extent = np.array([70.0, 56.0, 35.0 * len(levels) + 20.0])
    sides = np.ceil(extent / spacing_mm).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = axes * spacing_mm
    affine[:3, 3] = axes @ (-0.5 * np.array([extent[0], extent[1], 45.0]))
    grid = Grid(tuple(int(n) for n in sides), affine)
    lr, ap, si = np.moveaxis(grid.points() @ axes, -1, 0)
    array = np.zeros(grid.shape, np.uint8)
    volumes = {}
    for level, middle in zip(levels, tops, strict=True):
        width, depth, height = BODIES[level]
        inside = ((np.abs(lr) / width) ** 2.5 + (np.abs(ap) / depth) ** 2.5 < 1) & (np.abs(si - middle) < height)
        if level is crushed:
            inside &= si < middle - height + 2 * height * keep
        array[inside] = 20 + int(level.value[1:]) - 1
        volumes[level] = float(inside.sum()) * grid.voxel_mm3
    values = {20 + int(level.value[1:]) - 1: level for level in levels}
    return LabelMap(array, grid, values, name="bodies", scheme="verse"), volumes


def whole_vertebra(grid, centre, axes, *, arch=True):
    """One vertebra with a canal 15 mm deep behind it: (mask, mask of its body), and which way it faces is ``axes``' columns."""
    lr, ap, si = np.moveaxis((grid.points() - centre) @ axes, -1, 0)
    body = ((lr / 22.0) ** 2 + (ap / 16.0) ** 2 < 1) & (np.abs(si) < 13.0) & (ap > -14.0)
    if not arch:
        return body, body
    pedicles = (np.abs(np.abs(lr) - 12.0) < 4.0) & (ap <= -8.0) & (ap > -31.0) & (np.abs(si - 4.0) < 6.0)
    lamina = (np.abs(lr) < 16.0) & (np.abs(ap + 32.0) < 3.0) & (np.abs(si) < 10.0)
    spinous = (np.abs(lr) < 3.0) & (ap <= -32.0) & (ap > -55.0) & (np.abs(si + 3.0) < 7.0)
    return body | pedicles | lamina | spinous, body


def pass_through(network, seen):
    """Set a ``PaperGenerator``'s weights so that it draws, smoothed, what any of the masks in the channels ``seen`` shows: a trained one might."""
    import torch
    from torch import nn

    blurred = (2, 3, 10, 11, 12, 13)  # of the convolutions; max-pooling between them thickens what it passes on, the threshold thins it again
    with torch.no_grad():
        for layer in network:
            if isinstance(layer, nn.Conv3d | nn.ConvTranspose3d):
                layer.weight.zero_()
                layer.bias.zero_()
            if isinstance(layer, nn.ConvTranspose3d):
                layer.weight[0, 0] = 1
        first, second, *others, last = (layer for layer in network if isinstance(layer, nn.Conv3d))
        first.weight[:2, list(seen), 1, 1, 1], first.bias[1] = 1, -1  # the sum of the masks, and by how much it exceeds 1
        second.weight[0, 0], second.weight[0, 1], second.bias[0] = 1 / 27 / 0.8, -1 / 27 / 0.8, -0.25  # one where any mask is: no more than that
        for n, layer in enumerate(others):
            if n + 2 in blurred:
                layer.weight[0, 0] = 1 / 27
            else:
                layer.weight[0, 0, 1, 1, 1] = 1
        last.weight[0, 0], last.bias[0] = 20, -20 * 0.75
    return network
