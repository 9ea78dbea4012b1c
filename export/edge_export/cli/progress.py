"""Progress on a terminal: one bar for each long step, with time left; silent where nobody looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from edge_export.text import printable

__all__ = ["TerminalProgress"]


class TerminalProgress:
    """Writes to stderr, so that stdout stays the result's."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def step(self, title: str, total: int) -> Iterator[Callable[[], None]]:
        """Show a bar for `total` steps and yield the function that advances it."""
        columns = (
            TextColumn("{task.description:<22}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._console) as bars:
            task = bars.add_task(title, total=total)
            yield lambda: bars.advance(task)
            bars.update(task, completed=total)

    def note(self, text: str) -> None:
        """Print a line between the bars."""
        self._console.print(printable(text), highlight=False, markup=False, style="dim")
