"""``shapekit doctor``: versions, devices, what is missing and how to get it."""

from __future__ import annotations

import platform
import warnings
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

import typer

REQUIRED = (
    "torch",
    "numpy",
    "scipy",
    "scikit-image",
    "nibabel",
    "indexed_gzip",
    "connected-components-3d",
    "SimpleITK",
    "trimesh",
    "pandas",
    "joblib",
    "threadpoolctl",
    "safetensors",
    "typer",
    "rich",
)
OPTIONAL = {"open3d": ("closed meshes as input", "pip install 'shapekit[mesh]', and on Debian or Ubuntu: apt-get install libusb-1.0-0")}
WIDTH = max(map(len, REQUIRED))

BACKENDS = {"reference": "torch and SciPy references", "cpu": "C++", "cuda": "CUDA"}


def doctor() -> int:
    """Show versions and devices, and what is missing with how to get it."""
    import torch

    from shapekit.ops import backend_for
    from shapekit.version import __version__

    typer.echo(f"shapekit {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    missing = 0
    for name in REQUIRED:
        try:
            typer.echo(f"  {name:{WIDTH}} {version(name)}")
        except PackageNotFoundError:
            missing += 1
            typer.echo(f"  {name:{WIDTH}} missing: pip install {name}")
    for module, (purpose, remedy) in OPTIONAL.items():
        try:
            typer.echo(f"  {module:{WIDTH}} {import_module(module).__version__} ({purpose})")
        except (ImportError, OSError):
            typer.echo(f"  {module:{WIDTH}} missing ({purpose}): {remedy}")
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            typer.echo(f"device gpu:{number}: {torch.cuda.get_device_name(number)}")
    else:
        typer.echo("device gpu: none (torch sees no CUDA device; everything runs on the CPU)")
    typer.echo(f"device cpu: {torch.get_num_threads()} threads")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the library would warn of stands in the line
        for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
            choice = backend_for(device)
            typer.echo(f"operators on {device}: {BACKENDS[choice.name]} ({choice.reason})")
    return 1 if missing else 0
