"""`python -m edge_tools.families.mutate PICTURES FOLDER...`: layouts changed so that the right answers stay known.

Each model gets nodes behind its outputs or before its input, or other metadata; then it is exported without a flag.
The worst is to be wrong in silence: a verdict from other answers than the right ones. That must not be.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import click
import onnx

from edge_runtime.cli.console import run_command
from edge_runtime.files.atomic import write_text
from edge_tools.families.bases import bases
from edge_tools.families.mutations import mutations_of
from edge_tools.families.tables import into, mutations_table, read_rows
from edge_tools.families.work import in_processes, mutated_row

__all__ = ["main", "mutate"]

_PATH = click.Path(exists=True, path_type=Path, file_okay=False)


@click.command()
@click.argument("pictures", type=_PATH)
@click.argument("folders", type=_PATH, nargs=-1, required=True)
@click.option("--only", "patterns", multiple=True, default=("*",), help="Models whose name fits one of the patterns.")
@click.option("--mutation", default="", help="Mutations whose name holds this.")
@click.option("--known", default="000000000009.jpg", show_default=True, help="The picture of 640x480 of known answers.")
@click.option("--jobs", default=2, show_default=True, help="Models at a time.")
@click.option("--table", type=click.Path(path_type=Path), help="Write the table between the markers of this file.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the rows as JSON lines, as they come.")
@click.option("--earlier", type=click.Path(exists=True, path_type=Path), help="Rows to take for what is not tried now.")
def mutate(
    pictures: Path,
    folders: Sequence[Path],
    patterns: Sequence[str],
    mutation: str,
    known: str,
    jobs: int,
    table: Path | None,
    output: Path | None,
    earlier: Path | None,
) -> None:
    """Change the layouts of the models in FOLDERS, and say what becomes of each."""
    tried = [base for folder in folders for base in bases(folder, patterns, known)]
    asked = [
        (base, one.name, pictures)
        for base in tried
        for one in mutations_of(onnx.load(str(base.model)))
        if mutation in one.name
    ]
    rows = []
    for row in in_processes(mutated_row, asked, jobs):
        if row is not None:
            rows.append(row)
            told = f"{row.outcome.verdicts} {row.outcome.why[:400]}"
            click.echo(f"{row.outcome.word:5s} {row.base}: {row.mutation}: {told}", err=True)
            if output is not None:
                with output.open("a", encoding="utf-8") as lines:
                    lines.write(json.dumps(dataclasses.asdict(row)) + "\n")
    if earlier is not None:
        tried_now = {(row.base, row.mutation) for row in rows}
        rows += [row for row in read_rows(earlier) if (row.base, row.mutation) not in tried_now]
    order = list(dict.fromkeys([*(name for _, name, _ in asked), *(row.mutation for row in rows)]))
    rows.sort(key=lambda row: (order.index(row.mutation), row.base))
    text = mutations_table(rows)
    click.echo(text)
    if table is not None:
        write_text(table, into(table.read_text(encoding="utf-8"), "mutations", text))


def main() -> None:
    """Run the command."""
    run_command(mutate, "edge_tools.families.mutate")


if __name__ == "__main__":
    main()
