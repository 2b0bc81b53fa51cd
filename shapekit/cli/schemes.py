"""``shapekit schemes``: the label schemes that are known."""

from __future__ import annotations

from typing import Annotated

import typer


def schemes(
    name: Annotated[str, typer.Argument(help="Show every value of one scheme.", metavar="[NAME]")] = "",
) -> int:
    """List the label schemes that masks may follow, or the values of one."""
    from shapekit.core.checks import UsageError, check_choice
    from shapekit.io.schemes import SCHEMES

    if not name:
        for scheme in SCHEMES.values():
            typer.echo(f"{scheme.name:22} {scheme.description}")
        return 0
    from shapekit.cli.app import complain

    try:
        scheme = SCHEMES[check_choice("the scheme", name, tuple(SCHEMES))]
    except UsageError as error:
        return complain(str(error))
    typer.echo(f"{scheme.name}: {scheme.description}")
    for value in sorted({*scheme.levels, *scheme.others}):
        partial = " (partly visible)" if value in scheme.partial else ""
        typer.echo(f"{value:5}  {scheme.levels[value] if value in scheme.levels else scheme.others[value]}{partial}")
    return 0
