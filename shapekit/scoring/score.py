"""From expected and actual signed distances to the score (0-100), the relative loss and the volumes behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from shapekit.core.checks import InputError, check_choice
from shapekit.core.grid import centre_of
from shapekit.core.threads import each
from shapekit.core.values import Sdf
from shapekit.ops import surplus_volume
from shapekit.scoring.weight import SIGMA_SHARE, chord_lengths


@dataclass(frozen=True)
class Preset:
    """A way to turn a weighted surplus into 0-100: 100 · clip(V_w / (L_AP · L_LR) / ``full_mm``, 0, 1)."""

    full_mm: float


PRESETS = {"botros2022": Preset(full_mm=1.5)}
"""``botros2022``: Botros et al. 2022 with its first implementation's constants, in a full 3-D frame."""


def score_patches(expected: Sequence[Sdf], actual: Sequence[Sdf], *, preset: str = "botros2022", device: str = "cpu") -> list[dict[str, float]]:
    """Score actual bodies against expected ones.

    For each pair, with o the smoothed occupancy, u = max(o(E) - o(A), 0) and w a Gaussian about the expected body's centre
    with standard deviations L_LR/6, L_AP/6 and infinity along (LR, AP, SI): V_w = ∫ w u dx, the score is
    100 · clip(V_w / (L_AP L_LR) / 1.5 mm, 0, 1), the relative loss V_w / ∫ w o(E) dx.

    Parameters
    ----------
    expected, actual : sequences of Sdf
        Pairs on the same patch; a patch's axes are the expected body's (LR, AP, SI).
    preset : str
        One of ``PRESETS``.
    device : str
        Where to compute, as torch names it.

    Returns
    -------
    list of dict
        Names and units are those of ``Measures``.

    Raises
    ------
    InputError
        If the two do not pair up, lie on different patches, or one is empty; if patches differ in shape or spacing or have no cubic voxels.
    UsageError
        For an unknown preset.
    """
    check_choice("preset", preset, tuple(PRESETS))
    if len(expected) != len(actual):
        raise InputError(f"expected has {len(expected)} shapes and actual {len(actual)}; they must pair up.")
    if not expected:
        return []
    if not all(one.grid.is_close(other.grid) for one, other in zip(expected, actual, strict=True)):
        raise InputError("an expected and an actual shape lie on different patches; resample one of them first.")
    shape, spacing = expected[0].grid.shape, float(expected[0].grid.spacing_mm[0])
    if any(sdf.grid.shape != shape or np.abs(sdf.grid.spacing_mm - spacing).max() > 1e-3 * spacing for sdf in expected):
        raise InputError("the patches differ in shape or spacing, or their voxels are not cubes; resample them onto one kind of patch first.")
    lengths = np.array([chord_lengths(one) for one in actual])  # short array operations: threads only hand Python's lock to and fro
    centres = each(lambda sdf: centre_mm(sdf.values, spacing), expected)
    count = len(expected)
    sigma = np.concatenate([lengths * SIGMA_SHARE, np.full((count, 1), np.inf)], axis=1)

    def tensor(values: object) -> torch.Tensor:
        return torch.as_tensor(np.asarray(values, dtype=np.float32), device=device)

    volumes = surplus_volume(
        tensor(np.stack([sdf.values for sdf in expected])),
        tensor(np.stack([sdf.values for sdf in actual])),
        spacing_mm=spacing,
        centre=tensor(np.stack(centres)),
        rotation=torch.eye(3, device=device).expand(count, 3, 3),
        sigma_mm=tensor(sigma),
        length_ap_mm=tensor(lengths[:, 1]),
    )
    numbers = {name: tensor.tolist() for name, tensor in vars(volumes).items()}  # one copy from the device a volume
    rows = []
    for n, (l_lr, l_ap) in enumerate(lengths):
        weighted, whole = numbers["weighted_surplus"][n], numbers["weighted_expected"][n]
        posterior, middle, anterior = numbers["weighted_thirds"][n]
        rows.append(
            {
                "score": 100.0 * float(np.clip(weighted / (l_ap * l_lr) / PRESETS[preset].full_mm, 0.0, 1.0)),
                "relative_loss": weighted / whole if whole > 0 else float("nan"),
                "weighted_surplus_mm3": weighted,
                "surplus_anterior_mm3": anterior,
                "surplus_middle_mm3": middle,
                "surplus_posterior_mm3": posterior,
                "surplus_mm3": numbers["surplus"][n],
                "excess_mm3": numbers["excess"][n],
                "expected_mm3": numbers["expected"][n],
                "actual_mm3": numbers["actual"][n],
                "l_ap_mm": float(l_ap),
                "l_lr_mm": float(l_lr),
            }
        )
    return rows


def centre_mm(values: NDArray[np.float32], spacing_mm: float) -> NDArray[np.float64]:
    """Centre of a shape's volume from its patch's middle, in the patch's axes, mm.

    Raises
    ------
    InputError
        If the shape is empty.
    """
    inside = values < 0
    if not inside.any():
        raise InputError("the expected body is empty on its patch.")
    return np.asarray((centre_of(inside) - (np.array(values.shape) - 1) / 2) * spacing_mm)
