"""`python -m edge_tools.models_table DIR`: export every .onnx of a folder and say what became of it.

Each export is the `edge-export` command in a process of its own, so a crash, a hang or a kill for memory is one
row and not the end of the table. A refusal is given in the command's own words.
"""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click

from edge_runtime.cli.console import leave_without

if __name__ == "__main__":
    leave_without("export", "python -m edge_tools.models_table")
import onnx
from google.protobuf.message import DecodeError
from rich.console import Console
from rich.progress import track

from edge_devices.interpreter import python_environment, python_module
from edge_runtime.errors import DataError, EdgelineError
from edge_runtime.files.schema import to_json
from edge_tools.calibration_data import calibration_path, graph_inputs, image_folder
from edge_tools.give import give
from edge_tools.known_models import KNOWN, UNKNOWN, KnownModel

__all__ = ["Row", "as_markdown", "export_row", "read_report"]


@dataclass(frozen=True)
class Row:
    """One model. Sizes in bytes; `sqnr_db` is the worst output's, `largest_error` the largest of any output."""

    model: str
    task: str
    opset: int | None
    fp32_bytes: int
    seconds: float
    verdict: str  # "exported", or "refused: ..." or "failed: ..." with the reason
    bundle_bytes: int | None = None
    precision: dict[str, int] = field(default_factory=dict)
    blocks: int | None = None
    sqnr_db: float | None = None
    largest_error: float | None = None
    calibration: str = ""
    notes: tuple[str, ...] = ()


def export_row(model: Path, known: KnownModel, data: Path, samples: int, quantize: str, timeout: float) -> Row:
    """Export one model into a folder that is thrown away, and return its row; raises nothing for a bad model."""
    started = time.monotonic()
    size, opset = model.stat().st_size, _opset(model)
    task = known.postprocess.task
    with tempfile.TemporaryDirectory(prefix="edge-models-") as name:
        work = Path(name)
        try:
            command = _command(model, known, data, work, samples, quantize)
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=timeout, check=False, env=python_environment()
            )
        except subprocess.TimeoutExpired:
            return Row(model.name, task, opset, size, timeout, f"failed: not done after {timeout:.0f} s")
        except EdgelineError as error:
            return Row(model.name, task, opset, size, time.monotonic() - started, f"failed: {error}")
    seconds = time.monotonic() - started
    if done.returncode == 0:
        return read_report(model.name, opset, json.loads(done.stdout.strip().splitlines()[-1]), seconds)
    return Row(model.name, task, opset, size, seconds, _reason(done.returncode, done.stderr))


def read_report(model: str, opset: int | None, report: dict[str, Any], seconds: float) -> Row:
    """Turn what `edge-export --json` printed into a row."""
    accuracy = report["accuracy"]
    noise = [a["bundle"] for a in accuracy if a["metric"].startswith("sqnr_db")]
    errors = [a["bundle"] for a in accuracy if a["metric"].startswith("max_abs_diff")]
    return Row(
        model=model,
        task=report["task"],
        opset=opset,
        fp32_bytes=report["fp32_bytes"],
        seconds=seconds,
        verdict="exported",
        bundle_bytes=report["bundle_bytes"],
        precision=report["precision"],
        blocks=report["blocks"],
        sqnr_db=min(noise, default=None),
        largest_error=max(errors, default=None),
        calibration=next((a["data"] for a in accuracy if a["metric"].startswith("sqnr_db")), ""),
        notes=tuple(report["notes"]),
    )


_HEADING = """\
# What becomes of every model

Exported with default settings, calibrated on images where the model takes images and on noise elsewhere
(`edge_tools/known_models.py` says what is known of each). SQNR and the largest error are against FP32. Models that
arrived quantized keep their size. Made by `python -m edge_tools.models_table DIR -o tools/MODELS.md`.
"""


def as_markdown(rows: Sequence[Row]) -> str:
    """Return a page with the table, and below it how many were exported."""
    head = ("model", "task", "opset", "source bytes", "bundle bytes", "ratio", "precision", "blocks",
            "SQNR dB", "largest error", "seconds", "verdict")  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for row in rows:
        mix = ", ".join(f"{count} {kind}" for kind, count in row.precision.items())
        cells = (
            row.model.removesuffix(".onnx"),
            row.task,
            _text(row.opset),
            f"{row.fp32_bytes:,}",
            "-" if row.bundle_bytes is None else f"{row.bundle_bytes:,}",
            "-" if row.bundle_bytes is None else f"{row.bundle_bytes / max(1, row.fp32_bytes):.2f}x",
            mix or "-",
            _text(row.blocks),
            "-" if row.sqnr_db is None else f"{row.sqnr_db:.1f}",
            "-" if row.largest_error is None else f"{row.largest_error:.3g}",
            f"{row.seconds:.0f}",
            row.verdict.replace("|", "\\|"),
        )
        lines.append("| " + " | ".join(cells) + " |")
    exported = sum(row.verdict == "exported" for row in rows)
    refused = sum(row.verdict.startswith("refused") for row in rows)
    return "\n".join([_HEADING, *lines, "", f"{len(rows)} models: {exported} exported, {refused} refused, "
                      f"{len(rows) - exported - refused} failed.", ""])  # fmt: skip


def _command(model: Path, known: KnownModel, data: Path, work: Path, samples: int, quantize: str) -> list[str]:
    facts: dict[str, Any] = {"postprocess": to_json(known.postprocess)}
    if known.preprocess is not None:
        facts["preprocess"] = to_json(known.preprocess)
    (work / "facts.json").write_text(json.dumps(facts))
    command = python_module("edge_export", str(model), "-o", str(work / "model.edge"), "--json")
    command += ["--facts", str(work / "facts.json"), "--samples", str(samples), "--quantize", quantize]
    for name, shape in known.input_shapes.items():
        command += ["--input-shape", f"{name}:{','.join(map(str, shape))}"]
    image_folder(known, data)
    try:
        graph_inputs(model)
    except DataError:
        return command  # no tensors can be made for it: what is wrong is for the command to say
    return [*command, "--calibrate", str(calibration_path(model, known, data, work, samples))]


def _opset(model: Path) -> int | None:
    try:
        imports = onnx.load(str(model), load_external_data=False).opset_import
    except (DecodeError, OSError):
        return None
    return max((int(entry.version) for entry in imports if entry.domain in ("", "ai.onnx")), default=None)


def _reason(code: int, errors: str) -> str:
    if code < 0:
        hint = " (out of memory?)" if -code == signal.SIGKILL else ""
        return f"failed: killed by {signal.Signals(-code).name}{hint}"
    lines = [line for line in errors.strip().splitlines() if line.strip()]
    last = lines[-1].strip() if lines else "no message"
    # A command that ends well-mannered prints one line; a traceback is a defect and is shown as one.
    if any(line.startswith("Traceback") for line in lines):
        return f"failed: crashed with {last}"
    return f"refused: {last.removeprefix('edge-export: ').removeprefix('error: ')}"


def _text(value: int | None) -> str:
    return "-" if value is None else str(value)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--data", type=click.Path(path_type=Path), help="Holds imagenet/ and coco128/; default: beside DIR.")
@click.option("--only", default="*.onnx", show_default=True, help="Pattern of file names.")
@click.option("--samples", type=click.IntRange(min=1), default=32, show_default=True, help="To calibrate on.")
@click.option("--quantize", type=click.Choice(["int8", "fp16", "fp32"]), default="int8", show_default=True)
@click.option("--timeout", type=float, default=900.0, show_default=True, help="Seconds for one model.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of markdown.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write there instead of standard output.")
def main(
    folder: Path,
    data: Path | None,
    only: str,
    samples: int,
    quantize: str,
    timeout: float,
    as_json: bool,
    output: Path | None,
) -> None:
    """Export every model in FOLDER and print a table of what became of each."""
    models = sorted(folder.glob(only))
    if not models:
        raise click.ClickException(f"no {only} in {folder}")
    rows = []
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    for model in track(models, "exporting", console=console, transient=True):
        known = KNOWN.get(model.name, UNKNOWN)
        rows.append(export_row(model, known, data or folder.parent, samples, quantize, timeout))
        console.print(f"{model.name}: {rows[-1].verdict}, {rows[-1].seconds:.0f} s")
    text = json.dumps([asdict(row) for row in rows], indent=2) + "\n" if as_json else as_markdown(rows)
    give(text, output)


if __name__ == "__main__":
    main()
