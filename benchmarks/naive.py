"""The straightforward pipeline, re-enacted plainly as a yardstick: ``python benchmarks/naive.py [MASK]``.

What one would write first: the whole mask resampled to 1 mm, one ``argwhere`` a label, patches of 64 voxels about each centroid, SciPy's
distance transforms, two networks of the paper's size at full resolution, a vertebra at a time, and a weight mask that is made and rotated for
each. The networks' weights are random, which costs the same time; its scores mean nothing, so a test holds its scoring against shapes of known loss.
It does less than shapekit: labels are taken as bodies (no arch is cut off), nothing is placed, no neighbour is repaired, there is no interval.
"""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from scipy import ndimage
from torch import nn

from shapekit.networks import PaperGenerator

SIDE, MIDDLE = 64, 32
FULL_MM = 1.5


def read(path: Path) -> np.ndarray:
    """The labels upright ([right, anterior, superior]) on 1 mm voxels: the whole volume."""
    image = nib.as_closest_canonical(nib.load(path))
    labels = np.asanyarray(image.dataobj)
    return ndimage.zoom(labels, image.header.get_zooms()[:3], order=0)


def patch(labels: np.ndarray, value: int, centroids: dict[int, np.ndarray]) -> np.ndarray:
    """A vertebra's own mask about its own centroid; zeros where there is no such vertebra."""
    box = np.zeros((SIDE, SIDE, SIDE), np.float32)
    if value not in centroids:
        return box
    start = np.round(centroids[value]).astype(int) - MIDDLE
    low, high = np.maximum(start, 0), np.minimum(start + SIDE, labels.shape)
    inner = tuple(slice(a - s, b - s) for a, b, s in zip(low, high, start, strict=True))
    outer = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    box[inner] = labels[outer] == value
    return box


def signed_distance(mask: np.ndarray) -> np.ndarray:
    """By two of SciPy's transforms, mm; far away where there is nothing."""
    if not mask.any():
        return np.full(mask.shape, float(SIDE))
    return ndimage.distance_transform_edt(~mask) - ndimage.distance_transform_edt(mask)


def length_along(plane: np.ndarray, direction: tuple[float, float], step: float = 0.05) -> float:
    """Length of the occupied part of a line through the middle of a slice, mm."""
    along = np.arange(-MIDDLE + 1, MIDDLE - 1, step)
    return float((ndimage.map_coordinates(plane, MIDDLE + np.outer(direction, along), order=1) > 0.5).sum() * step)


def surplus_score(expected: np.ndarray, actual: np.ndarray, tilt: float) -> float:
    """0-100: the surplus under a Gaussian that is made upright and then rotated to the vertebra's tilt."""
    l_ap = length_along(actual[MIDDLE], (math.cos(tilt), -math.sin(tilt)))
    l_lr = length_along(actual[:, :, MIDDLE], (1.0, 0.0))
    if not l_ap or not l_lr:
        return math.nan
    lr, ap, _ = np.meshgrid(*[np.arange(SIDE) - MIDDLE] * 3, indexing="ij")
    upright = np.exp(-0.5 * ((lr / (l_lr / 6)) ** 2 + (ap / (l_ap / 6)) ** 2))
    weight = ndimage.rotate(upright, math.degrees(tilt), axes=(2, 1), reshape=False, order=1, mode="nearest")
    surplus = np.clip(-signed_distance(expected > 0.5) + 0.5, 0, 1) - np.clip(-signed_distance(actual > 0.5) + 0.5, 0, 1)
    return 100 * float(np.clip((weight * np.maximum(surplus, 0)).sum() / (l_ap * l_lr) / FULL_MM, 0, 1))


def score(path: Path, networks: tuple[nn.Module, nn.Module] | None) -> dict[int, float]:
    """Score every label; without networks the mean of the two neighbours stands in for what they would say."""
    labels = read(path)
    values = [int(value) for value in np.unique(labels) if value]
    centroids = {value: np.argwhere(labels == value).mean(axis=0) for value in values}
    scores = {}
    for value in values:
        actual = patch(labels, value, centroids)
        context = np.stack([patch(labels, value + step, centroids) for step in (-2, -1, 1, 2)])
        if networks is None:
            expected = context[1:3].mean(axis=0)
        else:
            with torch.inference_mode():
                given = torch.from_numpy(context)[None]
                coarse = torch.sigmoid(networks[0](given))
                expected = torch.sigmoid(networks[1](torch.cat([given, coarse], dim=1)))[0, 0].numpy()
        ends = [centroids.get(value + step, centroids[value]) for step in (-1, 1)]
        _, ap, si = ends[0] - ends[1]
        scores[value] = surplus_score(expected, actual, math.atan2(ap, si) if si else 0.0)
    return scores


def timed(path: Path) -> tuple[float, float, int]:
    """Seconds with and without the networks, and how many labels were scored."""
    torch.manual_seed(0)
    networks = PaperGenerator(4).eval(), PaperGenerator(5).eval()
    begin = time.perf_counter()
    score(path, None)
    middle = time.perf_counter()
    count = len(score(path, networks))
    return time.perf_counter() - middle, middle - begin, count


def main() -> None:
    """Print the seconds for one mask."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from benchmarks.scans import scan

    path = Path(sys.argv[1]) if len(sys.argv) > 1 else scan("small")
    both, plain, count = timed(path)
    print(f"{path.name}: {count} labels, {both:.1f} s with networks of the paper's size, {plain:.1f} s without")


if __name__ == "__main__":
    main()
