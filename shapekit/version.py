"""The package's version, as installed."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("shapekit")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+source"
