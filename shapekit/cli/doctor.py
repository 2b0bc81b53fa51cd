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
OPTIONAL = {
    "matplotlib": ("figures", "viz"),
    "pyvista": ("VTP meshes", "viz"),
    "manifold3d": ("printable plates", "print"),
    "lib3mf": ("3MF files", "print"),
    "fast-simplification": ("fewer triangles", "print"),
    "lightning-fabric": ("training", "train"),
    "pyyaml": ("configurations of training", "train"),
    "tensorboard": ("logs of training", "train"),
    "pyarrow": ("a cohort's tables as Parquet", "cohort"),
    "ray": ("cohorts on a cluster", "ray"),
    "highdicom": ("DICOM segmentations", "dicom"),
    "openpyxl": ("VerSe's workbook of grades", "datasets"),
    "cuda-core": ("the CUDA operators", "cuda"),
}
"""Packages, what they are for, and the extra that brings them."""
OPEN3D = "closed meshes as input", "pip install 'shapekit[mesh]', and on Debian or Ubuntu: apt-get install libusb-1.0-0"
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
    for name, (purpose, extra) in OPTIONAL.items():
        try:
            typer.echo(f"  {name:{WIDTH}} {version(name)} ({purpose})")
        except PackageNotFoundError:
            typer.echo(f"  {name:{WIDTH}} missing ({purpose}): pip install 'shapekit[{extra}]'")
    purpose, remedy = OPEN3D
    try:  # it is there under two names, and may lack a library of the system's
        typer.echo(f"  {'open3d':{WIDTH}} {import_module('open3d').__version__} ({purpose})")
    except (ImportError, OSError):
        typer.echo(f"  {'open3d':{WIDTH}} missing ({purpose}): {remedy}")
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
