"""The tables that shape the phantom: per-level means (``data/reference/phantom_levels.csv``) and correlations down the column."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shapekit.core.levels import Level

Float = NDArray[np.float64]

LEVELS = tuple(level for level in Level if level.region in "TL" and level not in (Level.T13, Level.L6))
"""The usual seventeen, T1 to L5."""

HEIGHT_SCALE = 1.04
"""CT label edges lie 1-1.5 mm outside the published lumbar heights (1.03-1.05)."""

FEMALE_RATIO = {"ha": 0.95, "hp": 0.95, "width": 0.90, "depth": 0.90}
"""Women's mean over men's."""

SIZE_SD = {"width": 0.085, "depth": 0.085}
"""Between-subject SD within a sex, as a share of the mean (802 CTs: 8-9 %); the heights' SDs are in the table."""

_HA = """1
.67 1
.57 .74 1
.53 .65 .75 1
.48 .58 .61 .73 1
.48 .54 .59 .65 .75 1
.42 .45 .48 .52 .59 .68 1"""
_HP = """1
.84 1
.75 .86 1
.66 .75 .87 1
.61 .65 .74 .84 1
.51 .52 .57 .64 .74 1
.35 .32 .30 .30 .33 .48 1"""
"""Correlation of Ha and Hp between the levels T11 … L5, both sexes pooled (802 CTs)."""

THORACIC_ADJACENT = {"ha": 0.67, "hp": 0.82, "width": 0.83, "depth": 0.83}
"""Adjacent correlation where no table reaches: heights go on as at T11-T12. Widths, measured with error, correlate by 0.72-0.76, but
4-5 % of them is left given both neighbours; that residual needs 0.83 here, and depths are taken to behave as widths."""
DECAY = 0.92
"""Each further level apart keeps this share of a correlation (two apart: 0.57-0.75)."""

WITHIN_LEVEL = np.array([[1.0, 0.73, 0.35, 0.35], [0.73, 1.0, 0.35, 0.35], [0.35, 0.35, 1.0, 0.62], [0.35, 0.35, 0.62, 1.0]])
"""Correlation of Ha, Hp, width, depth within a level: corr(Ha, Hp) is 0.70-0.76; widths with heights are assumed."""
CROSS_LEVEL_DROP = 0.06
"""How much less Ha of one level tells about Hp of another than the mean of their own correlations (Ha/Hp correlates 0.28-0.47 only)."""


@dataclass(frozen=True)
class LevelReference:
    """One row of the table: means and SDs, mm and degrees, both sexes; as published, before ``HEIGHT_SCALE``."""

    level: str
    ha_mm: float
    ha_sd: float
    hm_mm: float
    hm_sd: float
    hp_mm: float
    hp_sd: float
    wedge_deg: float
    wedge_sd: float
    width_superior_mm: float
    width_inferior_mm: float
    depth_superior_mm: float
    depth_inferior_mm: float
    posterior_concavity_mm: float
    canal_depth_mm: float
    canal_width_mm: float
    disc_below_mm: float
    disc_below_sd: float
    spacing_below_mm: float
    spacing_below_sd: float
    spacing_below_p05: float
    spacing_below_p95: float


_SIDES = 0xA559A2E1C01A284F
"""Which way each component of the sizes points, a bit each. Libraries differ in that from processor to processor; a seed's patients must not."""


@cache
def level_references() -> dict[Level, LevelReference]:
    """Read the table of the usual levels; T13 is the mean of T12 and L1, L6 repeats L5."""
    shipped = resources.files("shapekit") / "data" / "reference" / "phantom_levels.csv"
    path = shipped if shipped.is_file() else Path(__file__).resolve().parents[2] / "data" / "reference" / "phantom_levels.csv"
    rows = {}
    for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines()):
        name = row.pop("level")
        rows[Level(name)] = LevelReference(name, **{key: float(value) if value else float("nan") for key, value in row.items()})
    mean = {key: (getattr(rows[Level.T12], key) + getattr(rows[Level.L1], key)) / 2 for key in LevelReference.__dataclass_fields__ if key != "level"}
    rows[Level.T13] = LevelReference("T13", **mean)
    rows[Level.L6] = rows[Level.L5]
    return rows


@cache
def size_factor() -> Float:
    """Matrix that turns 4 x 17 independent normals into correlated ones: Ha, Hp, width, depth of T1 … L5, within a sex, (68, 68)."""
    n = len(LEVELS)
    lag = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    own = []
    for name, table in (("ha", _HA), ("hp", _HP), ("width", ""), ("depth", "")):
        pooled = np.where(lag == 0, 1.0, THORACIC_ADJACENT[name] * DECAY ** (np.maximum(lag, 1) - 1.0))
        if table:
            lower = [[float(v) for v in line.split()] for line in table.splitlines()]
            block = np.array([row + [0.0] * (7 - len(row)) for row in lower])
            pooled[n - 7 :, n - 7 :] = block + np.tril(block, -1).T
        ratio, within = FEMALE_RATIO[name], SIZE_SD.get(name, 0.066)
        sexes = ((1.0 - ratio) / (1.0 + ratio)) ** 2  # variance between the sexes, as a share of the mean
        own.append(np.clip((pooled * (within**2 + sexes) - sexes) / within**2, -0.99, 1.0))
    blocks = [
        [own[i] if i == j else WITHIN_LEVEL[i, j] * np.where(lag == 0, 1.0, (own[i] + own[j]) / 2 / WITHIN_LEVEL[i, j] ** 0.5) for j in range(4)]
        for i in range(4)
    ]
    drop = np.where(lag == 0, 0.0, CROSS_LEVEL_DROP)
    blocks[0][1] = blocks[1][0] = np.where(lag == 0, WITHIN_LEVEL[0, 1], (own[0] + own[1]) / 2 - drop)
    for i, j in ((0, 2), (0, 3), (1, 2), (1, 3), (2, 3)):
        blocks[i][j] = blocks[j][i] = WITHIN_LEVEL[i, j] * (own[i] + own[j]) / 2
    values, vectors = np.linalg.eigh(np.block(blocks))
    sides = np.cos(np.arange(len(values)) ** 2.0) @ vectors > 0  # by a direction that is at right angles to none of them
    vectors = vectors * np.where(sides == [_SIDES >> k & 1 for k in range(len(values))], 1.0, -1.0)
    root = vectors * np.sqrt(np.maximum(values, 1e-4))
    return np.asarray(root / np.linalg.norm(root, axis=1, keepdims=True))
