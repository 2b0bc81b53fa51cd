"""In: a command line. Out: files, one line on stderr when something is wrong, and an exit code. No arithmetic here."""

from shapekit.cli.app import main

__all__ = ["main"]
