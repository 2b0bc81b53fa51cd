"""Progress bars of the commands that take long."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def counting(what: str, total: int, *, quiet: bool) -> Iterator[Callable[..., None]]:
    """Count to a total on a terminal's stderr, with the time left; say nothing in a pipe. What is yielded takes a count and, if need be, a text."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=quiet or not sys.stderr.isatty()) as bar:
        task = bar.add_task(what, total=total)

        def done(count: int, text: str = what) -> None:
            bar.update(task, completed=count, description=text)

        yield done
