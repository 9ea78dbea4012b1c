"""The command line of QAT: `python -m edge_export.qat MODEL --calibrate DIR -o OUT.onnx`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import click
from rich.console import Console

from edge_export import qat
from edge_export.cli.progress import TerminalProgress
from edge_export.cli.values import INPUT_SHAPE
from edge_export.pipeline import QuietProgress
from edge_export.state import FactFlags
from edge_runtime.cli.console import SectionedCommand, run_command
from edge_runtime.errors import OutputError, UsageError
from edge_runtime.files.visible import own_codes

__all__ = ["main", "qat_command"]

PROGRAM = "python -m edge_export.qat"

_EPILOG = """\b
Examples:
  python -m edge_export.qat model.onnx --calibrate photos/ --steps 500 -o model-qat.onnx
  python -m edge_export.qat my_package.nets:make_net --input-shape images:1,3,224,224 --calibrate data.npz
  python -m edge_export.qat model.onnx --facts facts.json --calibrate photos/ --sparsity 0.6 --steps 2000
  edge-export model-qat.onnx -o model.edge       (no --calibrate: the trained scales are kept)
"""


class QatCommand(SectionedCommand):
    """The command with its flags under headings."""

    sections: ClassVar[Mapping[str, Sequence[str]]] = {
        "Result": ("output", "quiet"),
        "Training": ("calibrate", "samples", "steps", "batch", "rate", "scale_rate", "sparsity", "vary", "seed"),
        "Where": ("device", "threads"),
        "The model": ("keep_float", "facts", "input_shape"),
    }


@click.command(cls=QatCommand, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("source")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="The .onnx to write; default: NAME-qat.onnx here."
)
@click.option("-q", "--quiet", is_flag=True, help="No progress bars.")
@click.option(
    "--calibrate", type=click.Path(path_type=Path), metavar="PATH", required=True,
    help="Real inputs, no labels needed: a folder of images, a list of image files, or an .npz of tensors.",
)  # fmt: skip
@click.option("--samples", type=click.IntRange(min=0), default=256, show_default=True, help="At most so many; 0: all.")
@click.option("--steps", type=click.IntRange(min=1), default=300, show_default=True, help="Batches to learn from.")
@click.option("--batch", type=click.IntRange(min=1), default=8, show_default=True, help="Samples in a batch.")
@click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True),
    help="Learning rate of weights, relative to each tensor's magnitude; default: 5e-5, with --sparsity 3e-3.",
)  # fmt: skip
@click.option(
    "--scale-rate", type=click.FloatRange(min=0, min_open=True), default=3e-4, show_default=True,
    help="Learning rate of the quantizers' scales, relative to each.",
)  # fmt: skip
@click.option(
    "--sparsity", type=click.FloatRange(0, 1, max_open=True), metavar="SHARE",
    help="Also prune: the share of weights that are zero at the end, such as 0.6.",
)  # fmt: skip
@click.option("--vary/--as-is", default=True, help="Mirror, zoom and mix images to learn from; default: yes.")
@click.option("--seed", type=int, default=0, show_default=True, help="Chooses samples and their order.")
@click.option("--device", default="cpu", show_default=True, help="Where torch computes: cpu, cuda, mps, ...")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of torch; default: its own choice.")
@click.option(
    "--keep-float", multiple=True, default=("auto",), metavar="auto|none|PATTERN",
    help="Layers that stay float: auto finds those that int8 breaks; names and patterns add to it or replace it.",
)  # fmt: skip
@click.option(
    "--facts", type=click.Path(path_type=Path), metavar="FILE",
    help="JSON with any of the manifest's preprocess, postprocess, labels, thresholds, verdict.",
)  # fmt: skip
@click.option(
    "--input-shape", type=INPUT_SHAPE, multiple=True, metavar="NAME:1,3,224,224", help="Fill free dimensions."
)
def qat_command(source: str, output: Path | None, quiet: bool, **flags: Any) -> None:
    """Fine-tune a trained model until its int8 form answers as its float form does.

    SOURCE is an .onnx file or a PyTorch module as package.module:factory. The float model is the teacher, so no labels
    are needed. The result is an .onnx with int8 weights and trained scales; edge-export makes a bundle of it.
    """
    console = Console(file=own_codes(sys.stderr))
    progress = TerminalProgress(console) if console.is_terminal and not quiet else QuietProgress()
    target = output or Path(f"{Path(source.rsplit(':', 1)[-1]).stem}-qat.onnx")
    if not target.parent.is_dir():
        raise OutputError(f"cannot write {target}: the folder {target.parent} is not there; make it first")
    options = qat.PrepareOptions(
        keep_float=tuple(flags["keep_float"]),
        samples=flags["samples"],
        seed=flags["seed"],
        flags=FactFlags(file=flags["facts"]),
        input_shapes=dict(flags["input_shape"]),
    )
    sparsity = qat.CubicSparsity(flags["sparsity"]) if flags["sparsity"] else None
    training = qat.DistillOptions(
        **{name: flags[name] for name in ("steps", "batch", "rate", "scale_rate", "vary", "seed")}, sparsity=sparsity
    )
    _set_threads(flags["threads"])
    model = qat.prepare(source, flags["calibrate"], options=options, progress=progress)
    report = qat.distill(_moved(model, flags["device"]), training, progress=progress)
    qat.export(model, target)
    click.echo(f"{report.text()}\n{target}: {target.stat().st_size / 1e6:.2f} MB; next: edge-export {target}")


def _set_threads(threads: int | None) -> None:
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def _moved(model: qat.QatModel, device: str) -> qat.QatModel:
    try:
        model.to(device)
    except (RuntimeError, AssertionError) as error:  # torch raises either where there is no such device
        raise UsageError(
            f"--device {device}: {str(error).splitlines()[0][:160]}; choose another, such as cpu"
        ) from error
    return model


def main() -> None:
    """Entry point of `python -m edge_export.qat`."""
    run_command(qat_command, PROGRAM)
