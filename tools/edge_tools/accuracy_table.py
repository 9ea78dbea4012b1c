"""`python -m edge_tools.accuracy_table --data DIR`: trained accuracy kept, FP32 against int8, on real images.

Every float classifier and detector that the data can judge is calibrated on a few images and measured on the
others: top-1 on ImageNet images, mAP50 on coco128, and the shipped sample's mAP at IoU 0.33 on DeepPCB.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from edge_runtime.cli.console import leave_without

if __name__ == "__main__":
    leave_without("export", "python -m edge_tools.accuracy_table")
import onnx
from rich.console import Console
from rich.progress import Progress as Bars

from edge_export.evaluate.data import open_labelled
from edge_export.evaluate.scores import Advance, Options, compare, measuring_settings
from edge_export.pipeline import export_bundle
from edge_export.state import Comparison, ExportOptions, FactFlags, Score
from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.bundle.facts import ModelFacts
from edge_runtime.errors import EdgelineError
from edge_runtime.files.atomic import sha256_file
from edge_runtime.files.schema import to_json
from edge_runtime.ort.session import SessionOptions, SessionRunner
from edge_runtime.vision.runner import VisionRunner
from edge_tools.calibration_data import image_folder
from edge_tools.give import give
from edge_tools.known_models import KNOWN, KnownModel

__all__ = ["Line", "as_markdown", "line_of", "measure_model", "measure_sample"]

_LEADING = ("map33", "map50", "top1", "miou")
_FIDELITY = {
    "agreement": "same top-1",
    "box_f1": "same boxes (F1)",
    "mask_f1": "same masks (F1)",
    "points_f1": "same key points (F1)",
    "oriented_f1": "same turned boxes (F1)",
    "mask_miou": "same mask (mIoU)",
}


@dataclass(frozen=True)
class Line:
    """One model's leading figure, 0..1, with the 95 % interval of the paired difference; or why there is none."""

    model: str
    metric: str
    data: str
    fp32: float | None = None
    bundle: float | None = None
    change: float | None = None
    low: float | None = None
    high: float | None = None
    fidelity: str = ""
    precision: str = ""  # of the layers with weights: not every model can be int8 throughout
    problem: str = ""


def measure_model(model: Path, known: KnownModel, data: Path, samples: int, progress: Bars) -> Line:
    """Export a model to int8 in a folder that is thrown away and measure it; a refusal becomes the line's problem."""
    metric = "map50" if known.postprocess.task == "detect" else "top1"
    name = model.name.removesuffix(".onnx")
    with tempfile.TemporaryDirectory(prefix="edge-accuracy-") as folder:
        facts = Path(folder) / "facts.json"
        content = {"preprocess": to_json(known.preprocess), "postprocess": to_json(known.postprocess)}
        facts.write_text(json.dumps(content))
        task = progress.add_task(name, total=None)
        try:
            images = image_folder(known, data)
            options = ExportOptions(
                source=str(model),
                output=Path(folder) / "model.edge",
                flags=FactFlags(file=facts),
                calibrate=images,
                samples=samples,
                evaluate=images,
            )
            manifest, draft = export_bundle(options)
        except EdgelineError as error:
            return Line(name, metric, known.data, problem=str(error))
        finally:
            progress.remove_task(task)
    if draft.comparison is None:
        return Line(name, metric, known.data, problem="nothing was compared")
    return line_of(name, draft.comparison, manifest.model.precision)


def measure_sample(source: Path, bundle: Path, data: Path, limit: int, progress: Advance) -> Line:
    """Compare the shipped bundle with the ONNX file that it was made from, on DeepPCB's real boards."""
    opened = read_bundle(bundle)
    if opened.manifest.model.sha256 != sha256_file(source):
        problem = f"{bundle.name} was not made from this {source.name}: export it again"
        return Line(bundle.stem, "map33", "deeppcb", problem=problem)
    before, after = (
        _runner(opened.manifest, SessionRunner(path, SessionOptions(device="cpu", threads=2)))
        for path in (source, opened.file("model.onnx"))
    )
    manifest = opened.manifest
    options = Options(manifest.labels, manifest.thresholds.confidence)
    comparison = compare(before, after, open_labelled(data, limit), options, progress)
    return line_of(bundle.stem, comparison, manifest.model.precision)


def line_of(name: str, comparison: Comparison, precision: str) -> Line:
    """Return the line of a comparison: its leading score, the difference, and how often the answers are the same."""
    place = next(i for i, score in enumerate(comparison.fp32) if score.metric in _LEADING)
    before, after, change = (scores[place] for scores in (comparison.fp32, comparison.bundle, comparison.difference))
    return Line(
        model=name,
        metric=before.metric,
        data=f"{comparison.data} ({before.images} measured)",
        fp32=before.value,
        bundle=after.value,
        change=change.value,
        low=change.low,
        high=change.high,
        fidelity=", ".join(_same(score) for score in comparison.fidelity),
        precision=precision,
    )


def as_markdown(lines: Sequence[Line], command: str) -> str:
    """Return the table with the command that makes it."""
    head = ("model", "measure", "precision", "FP32", "bundle", "change (95 %)", "same answers as FP32", "data")
    rows = ["| " + " | ".join(head) + " |", "| --- | --- | --- | ---: | ---: | --- | --- | --- |"]
    for line in lines:
        if line.problem:
            rows.append(f"| {line.model} | {line.metric} | - | - | - | {line.problem} | - | {line.data} |")
            continue
        change = f"{_points(line.change)} ({_points(line.low)} .. {_points(line.high)})"
        rows.append(
            f"| {line.model} | {line.metric} | {line.precision} | {_figure(line.fp32)} "
            f"| {_figure(line.bundle)} | {change} | {line.fidelity} | {line.data} |"
        )
    return "\n".join([*rows, "", f"Made by `{command}`.", ""])


def _runner(facts: ModelFacts, session: SessionRunner) -> VisionRunner:
    return VisionRunner(facts, session, measuring_settings(facts))


def _same(score: Score) -> str:
    return f"{_FIDELITY.get(score.metric, score.metric)} {score.value:.3f}"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _points(value: float | None) -> str:
    return "-" if value is None else f"{value:+.3f}"


def _is_float(model: Path) -> bool:
    kinds = {node.op_type for node in onnx.load(str(model), load_external_data=False).graph.node}
    return not kinds & {"QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger"}


@click.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    required=True,
    help="Holds models/, imagenet/, coco128/ and deeppcb/.",
)
@click.option("--samples", type=click.IntRange(min=1), default=32, show_default=True, help="To calibrate on.")
@click.option("--only", default="*.onnx", show_default=True, help="Pattern of model files.")
@click.option("--boards", default=0, show_default=True, help="At most so many real boards; 0: all.")
@click.option(
    "--sample",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The folder with pcb.onnx and pcb.edge; default: samples/pcb of this checkout.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON instead of markdown.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write there instead of standard output.")
def main(
    data: Path, samples: int, only: str, boards: int, sample: Path | None, as_json: bool, output: Path | None
) -> None:
    """Measure what int8 costs on real labelled images and print a table."""
    sample = sample or Path(__file__).resolve().parents[2] / "samples" / "pcb"
    models = [
        path
        for path in sorted((data / "models").glob(only))
        if path.name in KNOWN and KNOWN[path.name].evaluate and _is_float(path)
    ]
    lines = []
    with Bars(console=Console(stderr=True), transient=True) as bars:
        for model in models:
            lines.append(measure_model(model, KNOWN[model.name], data, samples, bars))
        if (sample / "pcb.edge").is_dir() and (data / "deeppcb").is_dir():
            task = bars.add_task("sample on real boards", total=None)
            lines.append(
                measure_sample(
                    sample / "pcb.onnx",
                    sample / "pcb.edge",
                    data / "deeppcb",
                    boards,
                    lambda done, total: bars.update(task, completed=done, total=total),
                )
            )
    if not lines:
        raise click.ClickException(f"nothing to measure: no known float model in {data / 'models'}, no pcb.edge")
    if as_json:
        text = json.dumps([asdict(line) for line in lines], indent=2) + "\n"
    else:
        text = as_markdown(lines, "python -m edge_tools.accuracy_table --data ../shared/data")
    give(text, output)


if __name__ == "__main__":
    main()
