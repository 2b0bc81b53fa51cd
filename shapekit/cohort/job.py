"""What is done to every scan of a cohort, and what identifies it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from shapekit.core.checks import InputError
from shapekit.io.paths import shown
from shapekit.io.shipped import shipped_weights
from shapekit.version import __version__


@dataclass(frozen=True)
class Options:
    """How scans are scored and what is written of them; see ``shapekit.score`` and ``SpineScore.save``.

    Parameters
    ----------
    predictor : str
    weights : Path or None
        None for the package's own.
    preset, bodies : str
    meshes : tuple of str
        Formats.
    print, report : bool
        Whether plates for printing and reports are written.
    """

    predictor: str = "generative"
    weights: Path | None = None
    preset: str = "botros2022"
    bodies: str = "auto"
    meshes: tuple[str, ...] = ()
    print: bool = False
    report: bool = True

    def identity(self) -> dict[str, str]:
        """Return all that decides what comes out of a scan but the scan itself: options, the weights' checksum, shapekit's version.

        The device is none of it: a run on a GPU goes on with what another did on a CPU.

        Raises
        ------
        InputError
            If the weights cannot be read.
        """
        return {
            "predictor": self.predictor,
            "weights": _checksum(self.weights if self.weights is not None else shipped_weights(self.predictor), given=self.weights is not None),
            "preset": self.preset,
            "bodies": self.bodies,
            "meshes": ",".join(sorted(set(self.meshes))),
            "print": str(self.print),
            "report": str(self.report),
            "shapekit_version": __version__,
        }


@dataclass(frozen=True)
class Job:
    """Work that every worker of a run is given, on whichever machine.

    Parameters
    ----------
    options : Options
    made_with : dict
        ``options.identity()`` where the run was started; a worker that has another refuses.
    out : Path
        The results' folder.
    device : str
        ``"auto"``, ``"cpu"``, ``"gpu"`` or ``"gpu:N"``.
    overwrite : bool
        Whether a scan is scored that has been finished meanwhile.
    """

    options: Options
    made_with: dict[str, str]
    out: Path
    device: str
    overwrite: bool


def _checksum(path: Path, *, given: bool) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        if not given:
            return ""  # an unknown predictor, which its maker refuses in better words
        raise InputError(f"the weights {shown(path)} cannot be read; give the file that `shapekit train` wrote.") from error
