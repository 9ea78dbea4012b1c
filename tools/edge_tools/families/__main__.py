"""`python -m edge_tools.families MODELS PICTURES`: bundles against what each family's own package answers, as a table.

    python tools/edge_tools/families/makers/ultralytics_models.py MODELS yolo11n      # in an environment of its own
    python tools/edge_tools/families/makers/ultralytics_answers.py PICTURES MODELS
    python -m edge_tools.families MODELS PICTURES --form fp32 --form good --table tools/MODELS.md

MODELS holds models (NAME.onnx, or a folder NAME) as their exporters wrote them, each with NAME.answers.json. No flag
tells the export what they are, but NAME@WIDTHxHEIGHT.onnx its size where the file leaves that free. right: FP32's are
the same classes, boxes, points, masks, and int8's as near to them as the bundle's certificate says, which says little
where few pictures were held back from calibration. said: refused, raw, or no picture is judged. WRONG: other answers,
and a verdict; or a certificate that promises more than is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from edge_runtime.cli.console import run_command
from edge_runtime.files.atomic import write_text
from edge_tools.families.outcome import FORMS
from edge_tools.families.tables import MatrixRow, into, matrix
from edge_tools.families.truth import SUFFIX
from edge_tools.families.work import in_processes, matrix_row

__all__ = ["families", "main"]


@click.command()
@click.argument("models", type=click.Path(exists=True, path_type=Path, file_okay=False))
@click.argument("pictures", type=click.Path(exists=True, path_type=Path, file_okay=False))
@click.option("--form", "forms", multiple=True, type=click.Choice(list(FORMS)), default=("fp32",), show_default=True)
@click.option("--only", "patterns", multiple=True, default=("*",), help="Models whose name fits one of the patterns.")
@click.option(
    "--calibrate",
    type=click.Path(exists=True, path_type=Path, file_okay=False),
    help="Pictures to calibrate on; PICTURES where it is not given.",
)
@click.option("--jobs", default=2, show_default=True, help="Models at a time.")
@click.option("--table", type=click.Path(path_type=Path), help="Write the table between the markers of this file.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Add each row as a JSON line; keep those it has.")
def families(
    models: Path,
    pictures: Path,
    forms: Sequence[str],
    patterns: Sequence[str],
    calibrate: Path | None,
    jobs: int,
    table: Path | None,
    output: Path | None,
) -> None:
    """Export each model of MODELS that has answers beside it, run the bundle on PICTURES, and compare."""
    truths = sorted({truth for pattern in patterns for truth in models.glob(f"{pattern}{SUFFIX}")})
    rows = _had(output)
    had = {(row.model, row.form) for row in rows}
    asked = [
        (truth, pictures, form, calibrate)
        for form in forms
        for truth in truths
        if (truth.name.removesuffix(SUFFIX), form) not in had
    ]
    for row in in_processes(matrix_row, asked, jobs):
        rows.append(row)
        click.echo(f"{row.model} {row.form}: {row.cell()} {row.outcome.why[:600]}", err=True)
        if output is not None:
            with output.open("a", encoding="utf-8") as lines:
                lines.write(f"{row.line()}\n")
    rows.sort(key=lambda row: (row.model, list(FORMS).index(row.form)))
    text = matrix(rows)
    click.echo(text)
    if table is not None:
        write_text(table, into(table.read_text(encoding="utf-8"), "families", text))


def _had(output: Path | None) -> list[MatrixRow]:
    """Return the rows of a run that is gone on with."""
    if output is None or not output.exists():
        return []
    return [MatrixRow.of(line) for line in output.read_text(encoding="utf-8").splitlines()]


def main() -> None:
    """Run the command."""
    run_command(families, "edge_tools.families")


if __name__ == "__main__":
    main()
