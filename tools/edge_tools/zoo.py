"""`python -m edge_tools.zoo MODEL`: write a model of the size that matters, its weights random from a seed.

Nothing is downloaded. The same seed gives the same bytes on every machine; see `zoo_graph`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click

from edge_runtime.cli.console import leave_without, run_command

if __name__ == "__main__":
    leave_without("export", "python -m edge_tools.zoo")
import onnx

from edge_runtime.files.atomic import write_bytes
from edge_tools.zoo_graph import notice
from edge_tools.zoo_resnet import RESNET18, RESNET50, build_resnet
from edge_tools.zoo_vit import VIT_B16, VIT_TI16, build_vit
from edge_tools.zoo_yolo import YOLO_M, build_yolo

__all__ = ["MODELS", "Entry", "main", "zoo"]


@dataclass(frozen=True)
class Entry:
    """One model: how it is built from a seed, its FP32 size in megabytes (10^6 bytes), and what it is."""

    build: Callable[[int], onnx.ModelProto]
    megabytes: float
    about: str


MODELS: dict[str, Entry] = {
    "vit-b16": Entry(partial(build_vit, "vit-b16", VIT_B16), 346.4, "ViT-B/16, 224x224, 1000 classes"),
    "vit-ti16": Entry(partial(build_vit, "vit-ti16", VIT_TI16), 23.0, "ViT-Ti/16, 224x224, 1000 classes"),
    "resnet50": Entry(partial(build_resnet, "resnet50", RESNET50), 102.1, "ResNet-50 v1.5, 224x224, 1000 classes"),
    "resnet18": Entry(partial(build_resnet, "resnet18", RESNET18), 46.7, "ResNet-18, 224x224, 1000 classes"),
    "yolo-m": Entry(partial(build_yolo, "yolo-m", YOLO_M), 103.7, "detector shaped as YOLOv8m, 640x640, 80 classes"),
}

_LIST = "\n".join(f"  {name:<10}{entry.megabytes:>6.1f} MB  {entry.about}" for name, entry in MODELS.items())

_EPILOG = f"""\b
Models (FP32):
{_LIST}

\b
Examples:
  python -m edge_tools.zoo vit-b16 -o vit-b16.onnx
  edge-export vit-b16.onnx --quantize fp32 -o vit-b16.edge
  edge-export vit-b16.onnx --quantize int8 --calibrate photos/ -o vit-b16-int8.edge
"""


@click.command(epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model", type=click.Choice(list(MODELS)), metavar="MODEL")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="The file to write; default: MODEL.onnx."
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Chooses the weights; one seed, one file."
)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def zoo(model: str, output: Path | None, seed: int, quiet: bool) -> None:
    """Write MODEL as ONNX with random weights, to measure size and speed with.

    The layers are those of the real model; its answers mean nothing, and the file says so. The batch dimension is
    free.
    """
    path = output or Path(f"{model}.onnx")
    data = MODELS[model].build(seed).SerializeToString(deterministic=True)
    write_bytes(path, data)
    if not quiet:
        click.echo(f"{path}: {len(data) / 1e6:.1f} MB, {notice(seed)}")


def main() -> None:
    """Entry point of `python -m edge_tools.zoo`."""
    run_command(zoo, "python -m edge_tools.zoo")


if __name__ == "__main__":
    main()
