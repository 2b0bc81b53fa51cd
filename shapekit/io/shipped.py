"""Where the files that come with the package lie, installed or in a checkout."""

from __future__ import annotations

from importlib import resources
from pathlib import Path


def shipped_weights(of: str) -> Path:
    """Where the package's own weights lie: of a predictor by its name, ``"segmentation"`` or ``"levels"``.

    Examples
    --------
    >>> shipped_weights("coarse").name
    'generative.safetensors'
    """
    name = f"{'generative' if of == 'coarse' else of}.safetensors"
    shipped = resources.files("shapekit") / "data" / "weights" / name
    here = Path(__file__).resolve().parents[2] / "data" / "weights" / name
    return Path(str(shipped)) if shipped.is_file() else here
