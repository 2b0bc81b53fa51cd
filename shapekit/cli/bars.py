"""Progress bars of the commands that take long."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def counting(what: str, total: int, *, quiet: bool) -> Iterator[Callable[..., None]]:
    """Count to a total on a terminal's stderr, with the rate and the time left; say nothing in a pipe.

    What is yielded takes a count and, if need be, a text. Lines written meanwhile stand above the bar.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(rate_of(task.speed))

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=quiet or not sys.stderr.isatty()) as bar:
        task = bar.add_task(what, total=total)

        def done(count: int, text: str = what) -> None:
            bar.update(task, completed=count, description=text)

        yield done


def rate_of(per_second: float | None) -> str:
    """Tell a rate in the unit that makes it a number to read.

    Examples
    --------
    >>> rate_of(2.5), rate_of(0.02), rate_of(None)
    ('2.5/s', '1.2/min', '')
    """
    if not per_second:
        return ""
    return f"{per_second:.1f}/s" if per_second >= 1 else f"{60 * per_second:.1f}/min"
