"""What users hold: the scores of a spine, with the shapes behind them."""

from __future__ import annotations

import csv
import json
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from shapekit.core.checks import InputError, OutputError, UsageError, check_choice
from shapekit.core.grid import Grid
from shapekit.core.levels import Level
from shapekit.core.values import COLUMNS, LabelMap, MeshSet
from shapekit.export import PALETTES, check_formats, deficit_volume, expected_labels, show, solids_of, write_meshes
from shapekit.io.load import load
from shapekit.io.nifti import write_distances, write_label_map
from shapekit.io.paths import folder_name
from shapekit.pipeline import Scored, measure
from shapekit.predictors import Predictor, make_predictor
from shapekit.version import __version__
from shapekit.vertebra import VertebraScore

if TYPE_CHECKING:
    import matplotlib.figure
    import pandas

    from shapekit.report import InlineReport, Subject

MESH_GRID_MARGIN_MM = 10.0


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
        return expected_labels(self._all_scored(), self.grid)

    def save(
        self,
        folder: str | Path,
        *,
        meshes: Sequence[str] = (),
        print: bool = False,  # noqa: A002
        palette: str = "green-red",
        keep: float = 1.0,
        report: bool = False,
    ) -> Path:
        """Write ``scores.csv``, ``scores.json``, ``expected.nii.gz``, ``deficit.nii.gz``, meshes and the report under ``folder/<case>/``.

        Every file is complete before it appears under its name; ``scores.json`` comes last. An older run's report, which would tell of
        other scores, does not stay.

        Parameters
        ----------
        folder : path
            Made when it does not exist.
        meshes : sequence of str
            Mesh formats: ``"glb"``, ``"stl"``, ``"3mf"``, ``"ply"``, ``"obj"``, ``"vtp"``; they go to ``meshes/``.
        print : bool
            Whether to write a plate for printing for each scored vertebra, too.
        palette : {"green-red", "plasma"}
            Colours of the meshes from score 0 to 100; ``"plasma"`` is safe for colour-blind readers.
        keep : float
            Share of the triangles that plates keep; ``meshes.json`` says how far their surfaces then lie off.
        report : bool
            Whether to write the report, one file that a browser shows without a network.

        Returns
        -------
        Path
            The case's own folder.

        Raises
        ------
        UsageError
            For an unknown mesh format or palette, or a share that is none.
        MissingPackageError
            For a mesh format whose package is not installed.
        OutputError
            If the folder cannot be written.
        """
        check_formats(meshes, print=print, keep=keep)
        check_choice("palette", palette, tuple(PALETTES))
        target = Path(folder) / folder_name(self.name)
        try:
            target.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=target, prefix=".part-") as staged:
                stage = Path(staged)
                if meshes or print:
                    (stage / "meshes").mkdir()
                    write_meshes(stage / "meshes", self._all_scored(), meshes, print=print, palette=palette, keep=keep, case=self.name)
                self._write_table(stage / "scores.csv")
                write_label_map(stage / "expected.nii.gz", self.expected_labels(), self.grid)
                if report:
                    (stage / "report.html").write_text(self.show().page, encoding="utf-8")
                write_distances(stage / "deficit.nii.gz", deficit_volume(self._all_scored(), self.grid))
                (stage / "scores.json").write_text(json.dumps(self._record(), indent=1, allow_nan=False) + "\n")
                names = [file.relative_to(stage) for file in sorted(stage.rglob("*")) if file.is_file()]
                for name in sorted(names, key=lambda name: name == Path("scores.json")):
                    (target / name).parent.mkdir(exist_ok=True)
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

    def _write_table(self, path: Path) -> None:
        """Write ``table()`` as pandas would, without its import."""
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            for vertebra in self.vertebrae:
                values = (self.name, *asdict(vertebra.measures).values())
                writer.writerow([("" if math.isnan(value) else f"{value:.4f}") if isinstance(value, float) else value for value in values])

    def save_segmentation(self, path: str | Path, images: str | Path) -> None:
        """Write the expected bodies as a DICOM segmentation that viewers lay over the images it belongs to.

        It carries the images' patient and study, as DICOM asks; see :func:`shapekit.io.dicomseg.write_segmentation`.

        Parameters
        ----------
        path : path ending in ``.dcm``
        images : path
            Folder of the DICOM series that the mask was made of, and nothing else.

        Raises
        ------
        InputError
            If the images do not lie on the mask's grid, or no body was predicted.
        OutputError
            If the file cannot be written.
        MissingPackageError
            If highdicom is not installed.
        """
        from shapekit.io.dicomseg import write_segmentation

        levels = {vertebra.measures.label: Level(vertebra.measures.level) for vertebra in self.vertebrae}
        write_segmentation(path, self.expected_labels(), self.grid, levels, images, description="shapekit expected bodies")

    @overload
    def show(self, viewer: Literal["report"] = "report", *, palette: str = "green-red") -> InlineReport: ...
    @overload
    def show(self, viewer: Literal["open3d"], *, palette: str = "green-red") -> None: ...
    def show(self, viewer: str = "report", *, palette: str = "green-red") -> InlineReport | None:
        """Return the report, which a notebook shows in place as the last value of a cell; or open a window.

        Parameters
        ----------
        viewer : {"report", "open3d"}
            ``"open3d"`` opens a window with the actual bodies coloured by score and, beside them, the expected ones with their deficit maps, and
            waits until it is closed.
        palette : {"green-red", "plasma"}
            Colours of the window's actual bodies; the report has a switch of its own.

        Returns
        -------
        InlineReport or None

        Raises
        ------
        UsageError
            For another viewer or palette, or a window where there is no screen.
        MissingPackageError
            For a window, without open3d.
        """
        check_choice("viewer", viewer, ("report", "open3d"))
        check_choice("palette", palette, tuple(PALETTES))
        if viewer == "open3d":
            show(solids_of(self._all_scored(), palette=palette), title=self.name)
            return None
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

        return Subject(self.name, tuple(self._all_scored()), self.notes, self.options)

    def _all_scored(self) -> list[Scored]:
        return [vertebra.scored for vertebra in self.vertebrae]

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
    spine: LabelMap | MeshSet | str | Path | Any,
    *,
    bodies: str = "auto",
    predictor: str | Predictor = "generative",
    weights: str | Path | None = None,
    preset: str = "botros2022",
    device: str = "auto",
    progress: Callable[[str], None] | None = None,
) -> SpineScore:
    """Score every vertebra of a spine against the shape its neighbours let expect.

    Parameters
    ----------
    spine : LabelMap or MeshSet
        What ``shapekit.load`` returns, or anything that it takes: a path, an image of nibabel.
    bodies : {"auto", "given", "split"}
        Whether the labels are vertebral bodies already, or whole vertebrae whose arch must be cut off; ``"auto"`` looks for the spinal canal.
    predictor : {"generative", "linear", "neighbours", "coarse"}, or Predictor
        What says which shape to expect: the networks (coarse and refine), the linear conditional shape model, the mean of the two
        neighbours, or the first network alone. One that was made already (``shapekit.predictors.make_predictor``) serves many spines.
    weights : path, optional
        A file that ``shapekit train`` wrote for the predictor; by default the package's own, trained on phantoms.
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
        If the map holds no vertebra, its grid cannot be used, or a file cannot be read.
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
    >>> sk.score(spine, predictor="neighbours")["L3"].score < 1
    True
    """
    if not isinstance(spine, (LabelMap, MeshSet)):
        spine = load(spine)
    where = torch_device(device)
    expecting = make_predictor(predictor, weights, device=where) if isinstance(predictor, str) else predictor
    try:
        scored, notes = measure(spine, bodies=bodies, predictor=expecting, preset=preset, device=where, progress=progress)
    except InputError as error:
        if str(error).startswith(spine.name):
            raise
        raise type(error)(f"{spine.name}: {error}") from error  # so that of many masks the right one is looked at
    grid = spine.grid if isinstance(spine, LabelMap) else _grid_around(spine)
    heard = (*spine.notes, *notes) if isinstance(spine, LabelMap) else notes
    options = {"bodies": bodies, "predictor": expecting.name, "preset": preset}
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


def _grid_around(meshes: MeshSet) -> Grid:
    """Lay a 1 mm grid along the patient's axes around meshes."""
    vertices = np.concatenate([mesh.vertices for mesh in meshes.meshes.values()])
    low, high = vertices.min(axis=0) - MESH_GRID_MARGIN_MM, vertices.max(axis=0) + MESH_GRID_MARGIN_MM
    affine = np.eye(4)
    affine[:3, 3] = low
    sides = np.ceil(high - low).astype(int)
    return Grid((int(sides[0]), int(sides[1]), int(sides[2])), affine)
