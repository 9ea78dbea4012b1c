"""`python -m edge_tools.parts_table RUN`: what int8 costs masks, key points and turned boxes, at every effort.

RUN holds folders as samples/parts/train.py writes them: model.onnx, facts.json, pictures in calibrate/ and judge/.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from edge_runtime.cli.console import leave_without

if __name__ == "__main__":
    leave_without("export", "python -m edge_tools.parts_table")
from rich.console import Console
from rich.progress import Progress as Bars

from edge_export.pipeline import export_bundle
from edge_export.state import Comparison, ExportOptions, FactFlags
from edge_runtime.errors import EdgelineError
from edge_tools.give import give

__all__ = ["Line", "as_markdown", "lines_of", "measure"]

_EFFORTS = ("fast", "good", "best")
_FIDELITY = {"box_f1": "boxes", "mask_f1": "masks", "points_f1": "points", "oriented_f1": "turned boxes"}


@dataclass(frozen=True)
class Line:
    """One figure, 0..1, of one model at one effort, with the 95 % interval of the paired difference; or `problem`."""

    model: str
    effort: str
    precision: str = ""
    bytes_ratio: float = math.nan  # of FP32's file
    metric: str = ""
    fp32: float = math.nan
    bundle: float = math.nan
    change: float = math.nan
    low: float = math.nan
    high: float = math.nan
    fidelity: str = ""
    images: int = 0
    problem: str = ""


def measure(folder: Path, effort: str, limit: int) -> list[Line]:
    """Export a model of RUN with this effort into a folder that is thrown away; a refusal becomes a line's problem."""
    model = folder / "model.onnx"
    with tempfile.TemporaryDirectory(prefix="edge-parts-") as work:
        options = ExportOptions(
            source=str(model),
            output=Path(work) / "model.edge",
            flags=FactFlags(file=folder / "facts.json"),
            calibrate=folder / "calibrate" / "images",
            evaluate=folder / "judge",
            evaluate_limit=limit,
            effort=effort,  # type: ignore[arg-type]  # one of _EFFORTS
        )
        try:
            manifest, draft = export_bundle(options)
        except EdgelineError as error:
            return [Line(folder.name, effort, problem=str(error))]
        size = sum(path.stat().st_size for path in options.output.iterdir() if path.name != "report.html")
    counts = Counter(node.precision for node in manifest.precision)
    precision = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    ratio = size / model.stat().st_size
    return list(lines_of(folder.name, effort, precision, ratio, draft.comparison))


def lines_of(model: str, effort: str, precision: str, ratio: float, comparison: Comparison | None) -> Iterator[Line]:
    """Yield the means over all overlaps (50-95) of a comparison, each with how many answers are FP32's."""
    if comparison is None:
        yield Line(model, effort, problem="nothing was compared")
        return
    same = ", ".join(f"{_FIDELITY.get(one.metric, one.metric)} {one.value:.3f}" for one in comparison.fidelity)
    rows = zip(comparison.fp32, comparison.bundle, comparison.difference, strict=True)
    for before, after, change in rows:
        if before.metric.endswith("map50-95"):
            interval = (change.value, change.low, change.high)
            yield Line(
                model,
                effort,
                precision,
                ratio,
                before.metric,
                before.value,
                after.value,
                *interval,
                same,
                before.images,
            )


def as_markdown(lines: Sequence[Line], command: str) -> str:
    """Return the table with the command that makes it."""
    head = (
        "model", "effort", "layers", "bytes", "measure", "FP32", "bundle", "change (95 %)", "same answers (F1)",
    )  # fmt: skip
    rows = ["| " + " | ".join(head) + " |", "| --- | --- | --- | ---: | --- | ---: | ---: | --- | --- |"]
    for line in lines:
        if line.problem:
            rows.append(f"| {line.model} | {line.effort} | - | - | - | - | - | {line.problem} | - |")
            continue
        change = f"{line.change:+.4f} ({line.low:+.4f} .. {line.high:+.4f})"
        rows.append(
            f"| {line.model} | {line.effort} | {line.precision} | {line.bytes_ratio:.2f}x | {line.metric} "
            f"| {line.fp32:.4f} | {line.bundle:.4f} | {change} | {line.fidelity} |"
        )
    images = max((line.images for line in lines), default=0)
    return "\n".join([*rows, "", f"Judged on {images} pictures for each model. Made by `{command}`.", ""])


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--effort", "efforts", type=click.Choice(_EFFORTS), multiple=True, help="Default: each.")
@click.option("--limit", default=0, show_default=True, help="At most so many pictures to judge on; 0: all.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of markdown.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write there instead of standard output.")
def main(run: Path, efforts: tuple[str, ...], limit: int, as_json: bool, output: Path | None) -> None:
    """Export every model below RUN at every effort and print what became of its masks, points and turned boxes."""
    folders = sorted(path.parent for path in run.glob("*/model.onnx"))
    if not folders:
        raise click.ClickException(f"no */model.onnx in {run}; make some with samples/parts/train.py")
    lines = []
    with Bars(console=Console(stderr=True), transient=True) as bars:
        for folder in folders:
            for effort in efforts or _EFFORTS:
                task = bars.add_task(f"{folder.name}, {effort}", total=None)
                lines += measure(folder, effort, limit)
                bars.remove_task(task)
    if as_json:
        text = json.dumps([asdict(line) for line in lines], indent=2) + "\n"
    else:
        text = as_markdown(lines, "python -m edge_tools.parts_table RUN")
    give(text, output)


if __name__ == "__main__":
    main()
