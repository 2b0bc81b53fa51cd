"""What users hold of one vertebra: its numbers, and the shapes behind them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from shapekit.core.checks import InputError, check_choice
from shapekit.core.frame import Frame
from shapekit.core.levels import Level
from shapekit.core.values import Measures, Mesh, Sdf
from shapekit.mesh import mesh_from_sdf, smooth_mesh
from shapekit.pipeline import Scored
from shapekit.scoring import Deficit, deficit_map


@dataclass(frozen=True, eq=False)
class VertebraScore:
    """One vertebra: its measures, and the shapes they come from."""

    _scored: Scored

    @property
    def measures(self) -> Measures:
        """All numbers of the vertebra's row."""
        return self._scored.measures

    @property
    def scored(self) -> Scored:
        """What the pipeline knows of the vertebra, as ``shapekit.report.figure`` takes it."""
        return self._scored

    @property
    def level(self) -> Level:
        """Anatomical level."""
        return Level(self.measures.level)

    @property
    def score(self) -> float:
        """Score, 0-100; NaN where the vertebra could not be scored."""
        return self.measures.score

    @property
    def interval(self) -> tuple[float, float]:
        """90 % interval of the score; NaN where the predictor's spread was not measured."""
        return self.measures.score_lo, self.measures.score_hi

    @property
    def status(self) -> str:
        """``"ok"``, ``"uncertain"`` (wide interval), or why there is none: ``"partial"``, ``"no_context"``, ``"outside_levels"``, ``"no_body"``."""
        return self.measures.status

    @property
    def reason(self) -> str:
        """What was noticed, in words."""
        return self.measures.reason

    @property
    def expected(self) -> Sdf | None:
        """Signed distance (mm) of the expected body on its patch; None where there is none."""
        return self._scored.expected.sdf if self._scored.expected else None

    @property
    def actual(self) -> Sdf | None:
        """Signed distance (mm) of the actual body on the same patch; at native resolution where nothing was expected."""
        if self._scored.actual is not None:
            return self._scored.actual
        return self._scored.body.sdf if self._scored.body else None

    @property
    def frame(self) -> Frame | None:
        """Anatomical frame of the actual body (mm, RAS)."""
        return self._scored.frame

    @property
    def expected_frame(self) -> Frame | None:
        """Where the expected body lies and how it is turned (mm, RAS)."""
        return self._scored.expected.frame if self._scored.expected else None

    @property
    def deficit(self) -> Deficit | None:
        """Millimetres missing at each vertex of the expected body's surface; None where nothing was expected."""
        if self._scored.expected is None or self._scored.actual is None:
            return None
        return deficit_map(self._scored.expected.sdf, self._scored.actual, self._scored.expected.frame)

    def mesh(self, kind: str = "actual") -> Mesh:
        """Closed surface in patient space (mm, RAS).

        Parameters
        ----------
        kind : {"actual", "expected"}

        Raises
        ------
        UsageError
            For another ``kind``.
        InputError
            If the vertebra has no such shape.
        """
        check_choice("kind", kind, ("actual", "expected"))
        sdf = self.actual if kind == "actual" else self.expected
        if sdf is None:
            raise InputError(f"{self.level} has no {kind} shape: {self.reason or self.status}.")
        return smooth_mesh(mesh_from_sdf(sdf))

    def __repr__(self) -> str:
        shown = self.status if math.isnan(self.score) else f"{self.score:.1f}"
        return f"<VertebraScore {self.level}: {shown}>"
