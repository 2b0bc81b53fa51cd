"""Surfaces → a few hundred kilobytes of text, and the few numbers that say how to read them (``viewer.js`` does)."""

from __future__ import annotations

import base64
import gzip
import math

import numpy as np
from numpy.typing import NDArray

from shapekit.core.values import Mesh
from shapekit.report.shapes import SPACING_MM, actual_surface, expected_surface
from shapekit.report.subject import Subject

STEPS = 4095
"""Positions are whole numbers up to this between a surface's lowest and highest corner: about 12 µm apart."""
TOP = 65535
"""The highest index of a vertex."""


def pack_surfaces(subject: Subject) -> tuple[list[dict[str, object]], str]:
    """Pack every vertebra's surfaces.

    A surface is three streams of 16-bit words: positions (all x, all y, all z), triangles, and on an expected surface the deficit in µm (signed).
    Of a stream the differences from word to word are kept, first all low bytes, then all high ones: so gzip finds the repetitions.

    Parameters
    ----------
    subject : Subject

    Returns
    -------
    vertebrae : list of dict
        One a vertebra: its ``row`` in the table, ``level`` and ``score``, and under ``actual`` and ``expected`` None or where a surface begins
        (``at``, bytes), its counts, and the ``low`` corner (mm, RAS) and ``step`` (mm) of its positions.
    payload : str
        All streams, gzip, base64.
    """
    vertebrae: list[dict[str, object]] = []
    streams = bytearray()
    for row, one in enumerate(subject.scored):
        spacing_mm, actual, deficit = SPACING_MM, actual_surface(one), expected_surface(one)
        while max(len(actual.vertices) if actual else 0, len(deficit.mesh.vertices) if deficit else 0) > TOP:
            spacing_mm *= 1.5
            actual, deficit = actual_surface(one, spacing_mm), expected_surface(one, spacing_mm)
        if actual is None:
            continue
        vertebrae.append(
            {
                "row": row,
                "level": one.measures.level,
                "score": None if math.isnan(one.measures.score) else round(one.measures.score, 4),
                "actual": _append(streams, actual),
                "expected": _append(streams, deficit.mesh, deficit.along_si_mm) if deficit is not None else None,
            }
        )
    return vertebrae, base64.b64encode(gzip.compress(bytes(streams), compresslevel=6, mtime=0)).decode("ascii")


def _append(streams: bytearray, mesh: Mesh, missing_mm: NDArray[np.float64] | None = None) -> dict[str, object]:
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    step = np.maximum((high - low) / STEPS, 1e-9)
    described = {
        "at": len(streams),
        "vertices": len(mesh.vertices),
        "triangles": len(mesh.faces),
        "low": [round(float(value), 4) for value in low],
        "step": [float(f"{value:.8g}") for value in step],
    }
    streams += _words(np.round((mesh.vertices - low) / step).T)
    streams += _words(mesh.faces)
    if missing_mm is not None:
        streams += _words(np.round(missing_mm * 1000.0))
    return described


def _words(values: NDArray[np.generic]) -> bytes:
    """Differences of 16-bit words, modulo 65536: low bytes, then high ones."""
    words = np.asarray(values).ravel().astype(np.int64)
    steps = np.diff(words, prepend=0) & 0xFFFF
    return (steps & 0xFF).astype(np.uint8).tobytes() + (steps >> 8).astype(np.uint8).tobytes()
