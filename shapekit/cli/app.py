"""The command ``shapekit`` and how it ends: 0 something was scored, 1 nothing could be, 2 bad usage or unreadable input."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import typer

from shapekit.cli.cohort import cohort
from shapekit.cli.demo import demo
from shapekit.cli.doctor import doctor
from shapekit.cli.evaluate import evaluate
from shapekit.cli.phantom import phantom
from shapekit.cli.reproduce import reproduce
from shapekit.cli.schemes import schemes
from shapekit.cli.score import score
from shapekit.cli.segment import segment
from shapekit.cli.train import train

app = typer.Typer(
    name="shapekit",
    help="How far a vertebral body departs from the shape it should have, from a segmentation mask. Research software, not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(demo)
app.command()(score)
app.command()(segment)
app.command()(cohort)
app.command()(phantom)
app.command()(train)
app.command()(evaluate)
app.command()(reproduce)
app.command()(schemes)
app.command()(doctor)

STOPPED = 130
"""Exit code after Ctrl-C, which typer returns without a word: 128 and the signal's number, as shells have it."""


def version_shown(value: bool) -> None:
    """Print the version and stop."""
    if value:
        from shapekit.version import __version__

        typer.echo(f"shapekit {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(False, "--version", callback=version_shown, is_eager=True, help="Show the version and exit."),
) -> None:
    """Hold the options that stand before a command."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; every complaint and every warning of ours is one line on stderr.

    Parameters
    ----------
    arguments : list of str, optional
        Instead of the process's own.

    Returns
    -------
    int
        The exit code.
    """
    command = typer.main.get_command(app)
    try:
        with warnings.catch_warnings():
            usual = warnings.showwarning

            def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
                if category.__module__.startswith("shapekit."):
                    complain(str(message))
                else:
                    usual(message, category, *where, **more)

            warnings.showwarning = show
            ended = command.main(args=arguments, prog_name="shapekit", standalone_mode=False)
    except typer.Exit as stop:
        return int(stop.exit_code)
    except typer.TyperException as error:
        text = " ".join(error.format_message().split())
        return 0 if not text else complain(text if text.endswith(".") else f"{text}.")
    except (typer.Abort, KeyboardInterrupt):
        ended = STOPPED
    return complain("stopped.", code=STOPPED) if ended == STOPPED else int(ended or 0)


def complain(text: str, *, code: int = 2) -> int:
    """Write one line to stderr and return the exit code."""
    sys.stderr.write(f"shapekit: {text}\n")
    return code
