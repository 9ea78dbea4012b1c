"""Where a tool's result goes: to a file, or to standard output."""

from __future__ import annotations

from pathlib import Path

import click

from edge_runtime.files.atomic import write_text

__all__ = ["give"]


def give(text: str, output: Path | None) -> None:
    """Write `text` to `output`; None: print it as it is."""
    if output is None:
        click.echo(text, nl=False)
    else:
        write_text(output, text)
