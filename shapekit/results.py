"""What users hold: the scores of a spine, with the shapes behind them."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.typing import NDArray

from shapekit.core.checks import InputError, OutputError, UsageError, check_choice
from shapekit.core.frame import Frame
from shapekit.core.grid import Grid
from shapekit.core.levels import Level
from shapekit.core.values import LabelMap, Measures, Mesh, MeshSet, Sdf
from shapekit.io.nifti import write_label_map
from shapekit.mesh import mesh_from_sdf, smooth_mesh
from shapekit.pipeline import Scored, measure
from shapekit.version import __version__

if TYPE_CHECKING:
    import matplotlib.figure
    import pandas

    from shapekit.report import InlineReport, Subject

COLUMNS = ("case", *(field.name for field in fields(Measures)))
"""Columns of ``scores.csv``, in their order."""

MESH_GRID_MARGIN_MM = 10.0


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
        """90 % interval of the score; NaN as long as the predictor states none."""
        return self.measures.score_lo, self.measures.score_hi

    @property
    def status(self) -> str:
        """``"ok"``, or why there is no score: ``"partial"``, ``"no_context"``, ``"outside_levels"``, ``"no_body"``."""
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


@dataclass(frozen=True, eq=False)
class SpineScore(Sequence[VertebraScore]):
    """Scores of a spine: a sequence of ``VertebraScore`` from the head downward, also indexed by level name.

    Parameters
    ----------
    name : str
        The case: the file's stem.
    vertebrae : tuple of VertebraScore
    grid : Grid
        On which ``expected.nii.gz`` is written: the input's.
    notes : tuple of str
        How the input was understood, and doubts about the spine as a whole.
    options : dict
        What the scores were computed with.
    """

    name: str
    vertebrae: tuple[VertebraScore, ...]
    grid: Grid
    notes: tuple[str, ...]
    options: dict[str, str]

    def __len__(self) -> int:
        return len(self.vertebrae)

    def __iter__(self) -> Iterator[VertebraScore]:
        return iter(self.vertebrae)

    @overload
    def __getitem__(self, key: int | str) -> VertebraScore: ...
    @overload
    def __getitem__(self, key: slice) -> Sequence[VertebraScore]: ...
    def __getitem__(self, key: int | str | slice) -> VertebraScore | Sequence[VertebraScore]:
        if not isinstance(key, str):
            return self.vertebrae[key]
        for vertebra in self.vertebrae:
            if vertebra.measures.level == key:
                return vertebra
        raise KeyError(f"{key} is not in {self.name}, which has {', '.join(v.measures.level for v in self.vertebrae)}.")

    def __repr__(self) -> str:
        return f"<SpineScore {self.name}: {', '.join(repr(v)[15:-1] for v in self.vertebrae)}>"

    def table(self) -> pandas.DataFrame:
        """Return one row a vertebra, with the columns of ``scores.csv``."""
        import pandas

        rows = [{"case": self.name, **asdict(vertebra.measures)} for vertebra in self.vertebrae]
        table = pandas.DataFrame(rows, columns=list(COLUMNS))
        return table.astype({"genant_grade": "Int64"})

    def expected_labels(self) -> NDArray[np.unsignedinteger]:
        """Label map of the expected bodies: the input's grid and label values; (i, j, k) uint8 or uint16."""
        highest = max((vertebra.measures.label for vertebra in self.vertebrae), default=0)
        labels = np.zeros(self.grid.shape, dtype=np.uint8 if highest < 256 else np.uint16)
        nearest = np.zeros(self.grid.shape, dtype=np.float32)
        for vertebra in self.vertebrae:
            if vertebra.expected is None:
                continue
            box = _box_of(vertebra.expected, self.grid)
            part = self.grid.crop([side.start for side in box], tuple(side.stop - side.start for side in box))
            if min(part.shape) < 1:
                continue
            values = vertebra.expected.sample(part.points())
            deeper = values < nearest[box]
            labels[box][deeper] = vertebra.measures.label
            nearest[box][deeper] = values[deeper]
        return labels

    def save(self, folder: str | Path, *, meshes: Sequence[str] = (), report: bool = False) -> Path:
        """Write ``scores.csv``, ``scores.json``, ``expected.nii.gz`` and, if asked, ``report.html`` under ``folder/<case>/``.

        Every file is complete before it appears under its name; ``scores.json`` comes last. An older run's report, which would tell of
        other scores, does not stay.

        Parameters
        ----------
        folder : path
            Made when it does not exist.
        meshes : sequence of str
            Mesh formats; none can be written yet.
        report : bool
            Whether to write the report, one file that a browser shows without a network.

        Returns
        -------
        Path
            The case's own folder.

        Raises
        ------
        UsageError
            For meshes.
        OutputError
            If the folder cannot be written.
        """
        if meshes:
            raise UsageError("scored meshes cannot be written yet; leave meshes out and use VertebraScore.mesh().")
        target = Path(folder) / self.name
        try:
            target.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=target, prefix=".part-") as staged:
                stage = Path(staged)
                self.table().to_csv(stage / "scores.csv", index=False, float_format="%.4f", lineterminator="\n")
                write_label_map(stage / "expected.nii.gz", self.expected_labels(), self.grid)
                if report:
                    (stage / "report.html").write_text(self.show().page, encoding="utf-8")
                (stage / "scores.json").write_text(json.dumps(self._record(), indent=1, allow_nan=False) + "\n")
                for name in ("expected.nii.gz", "scores.csv", *(("report.html",) if report else ()), "scores.json"):
                    (stage / name).replace(target / name)
                if not report:
                    (target / "report.html").unlink(missing_ok=True)
        except OutputError:
            raise
        except OSError as error:
            raise OutputError(
                f"{target.name} cannot be written in {Path(folder).name or folder} ({error.strerror or error}); choose a folder that you may write."
            ) from error
        return target

    def show(self) -> InlineReport:
        """Return the report; in a notebook, as the last value of a cell, it is shown in place."""
        from shapekit.report import InlineReport, report_html

        return InlineReport(report_html(self._subject()))

    def figure(self, level: str | None = None) -> matplotlib.figure.Figure:
        """Draw the spine, or one vertebra's card, for a paper.

        Parameters
        ----------
        level : str, optional
            The vertebra; without it, the whole spine from two sides.

        Returns
        -------
        matplotlib.figure.Figure
            ``savefig`` writes it as PNG, SVG or PDF; no display is needed.

        Raises
        ------
        KeyError
            For a level that is not there.
        InputError
            If there is nothing to draw: no body, or a vertebra without an expected shape.
        MissingPackageError
            Without matplotlib.
        """
        from shapekit.report.figure import draw_spine, draw_vertebra

        return draw_spine(self._subject()) if level is None else draw_vertebra(self[level].scored)

    def _subject(self) -> Subject:
        from shapekit.report import Subject

        return Subject(self.name, tuple(vertebra.scored for vertebra in self.vertebrae), self.notes, self.options)

    def _record(self) -> dict[str, object]:
        rows = []
        for vertebra in self.vertebrae:
            numbers = {name: _plain(value) for name, value in asdict(vertebra.measures).items()}
            frames = {"frame": vertebra.frame, "expected_frame": vertebra.expected_frame}
            rows.append(
                numbers | {name: {"origin": f.origin.tolist(), "axes": f.axes.tolist()} if f is not None else None for name, f in frames.items()}
            )
        return {
            "case": self.name,
            "shapekit_version": __version__,
            "options": self.options,
            "notes": list(self.notes),
            "space": "RAS, mm; the columns of axes are LR (right), AP (anterior), SI (superior)",
            "vertebrae": rows,
        }


def score(
    spine: LabelMap | MeshSet,
    *,
    bodies: str = "auto",
    predictor: str = "neighbours",
    preset: str = "botros2022",
    device: str = "auto",
    progress: Callable[[str], None] | None = None,
) -> SpineScore:
    """Score every vertebra of a spine against the shape its neighbours let expect.

    Parameters
    ----------
    spine : LabelMap or MeshSet
        What ``shapekit.load`` returns.
    bodies : {"auto", "given", "split"}
        Whether the labels are vertebral bodies already, or whole vertebrae whose arch must be cut off; ``"auto"`` looks for the spinal canal.
    predictor : {"neighbours"}
        What says which shape to expect.
    preset : {"botros2022"}
        How a weighted surplus becomes 0-100.
    device : str
        ``"auto"``, ``"cpu"``, ``"gpu"`` or ``"gpu:N"``.
    progress : callable, optional
        Told the name of each stage as it begins.

    Returns
    -------
    SpineScore

    Raises
    ------
    UsageError
        For an option's unknown value, or a GPU that is not there.
    InputError
        If the map holds no vertebra, or its grid cannot be used.
    MissingPackageError
        For meshes, without open3d.

    Examples
    --------
    >>> import numpy as np, shapekit as sk
    >>> from shapekit.core.grid import Grid
    >>> from shapekit.core.values import LabelMap
    >>> i, j, k = np.indices((50, 44, 110))
    >>> array = np.zeros(i.shape, np.uint8)
    >>> for label, middle in ((23, 88), (22, 55), (21, 22)):
    ...     array[(abs(i - 25) / 20) ** 3 + (abs(j - 22) / 15) ** 3 + (abs(k - middle) / 12) ** 4 < 1] = 44 - label
    >>> spine = LabelMap(array, Grid(array.shape, np.eye(4)), {21: sk.Level.L2, 22: sk.Level.L3, 23: sk.Level.L4})
    >>> sk.score(spine)["L3"].score < 1
    True
    """
    where = torch_device(device)
    try:
        scored, notes = measure(spine, bodies=bodies, predictor=predictor, preset=preset, device=where, progress=progress)
    except InputError as error:
        if str(error).startswith(spine.name):
            raise
        raise type(error)(f"{spine.name}: {error}") from error  # so that of many masks the right one is looked at
    grid = spine.grid if isinstance(spine, LabelMap) else _grid_around(spine)
    heard = (*spine.notes, *notes) if isinstance(spine, LabelMap) else notes
    options = {"bodies": bodies, "predictor": predictor, "preset": preset}
    if isinstance(spine, LabelMap):
        options["scheme"] = spine.scheme
    return SpineScore(spine.name, tuple(VertebraScore(one) for one in scored), grid, heard, options)


def torch_device(device: str) -> str:
    """Translate ``auto``, ``cpu``, ``gpu`` or ``gpu:N`` into torch's name.

    Raises
    ------
    UsageError
        For another word, or a GPU that is not there.
    """
    import torch

    if device in ("auto", "cpu"):
        return "cuda" if device == "auto" and torch.cuda.is_available() else "cpu"
    kind, _, number = device.partition(":")
    if kind != "gpu" or (number and not number.isdecimal()) or device.endswith(":"):
        raise UsageError(f"device is {device!r}, but must be one of: auto, cpu, gpu, gpu:N.")
    if not torch.cuda.is_available() or int(number or 0) >= torch.cuda.device_count():
        raise UsageError(f"device {device} is not there: torch sees {torch.cuda.device_count()} GPUs; use cpu, or install a CUDA build of torch.")
    return f"cuda:{number or 0}"


def _plain(value: object) -> object:
    """NaN has no place in JSON."""
    return None if isinstance(value, float) and math.isnan(value) else value


def _box_of(sdf: Sdf, grid: Grid) -> tuple[slice, slice, slice]:
    """Voxels of a grid that a shape may cover."""
    inside = grid.to_index(sdf.grid.to_world(np.argwhere(sdf.values < float(sdf.grid.spacing_mm.max()))))
    low = np.clip(np.floor(inside.min(axis=0)), 0, grid.shape).astype(int)
    high = np.clip(np.ceil(inside.max(axis=0)) + 1, 0, grid.shape).astype(int)
    return (slice(low[0], max(low[0], high[0])), slice(low[1], max(low[1], high[1])), slice(low[2], max(low[2], high[2])))


def _grid_around(meshes: MeshSet) -> Grid:
    """Lay a 1 mm grid along the patient's axes around meshes."""
    vertices = np.concatenate([mesh.vertices for mesh in meshes.meshes.values()])
    low, high = vertices.min(axis=0) - MESH_GRID_MARGIN_MM, vertices.max(axis=0) + MESH_GRID_MARGIN_MM
    affine = np.eye(4)
    affine[:3, 3] = low
    sides = np.ceil(high - low).astype(int)
    return Grid((int(sides[0]), int(sides[1]), int(sides[2])), affine)
