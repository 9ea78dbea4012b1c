"""Writes a trained checkpoint as ONNX: `python samples/pcb/export.py run/checkpoint.pt samples/pcb/pcb.onnx`."""

from __future__ import annotations

import copy
import json
import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for `python samples/pcb/export.py`

import click
import onnx
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from pcb.defects import NAMES
from pcb.model import STRIDE, Detector

OPSET = 17


def folded(model: nn.Module) -> nn.Module:
    """A copy of the model for inference, every batch norm folded into the convolution before it."""
    model = copy.deepcopy(model).eval()
    for module in model.modules():
        if isinstance(module, nn.Sequential):
            for i in range(len(module) - 1):
                conv, norm = module[i], module[i + 1]
                if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    module[i], module[i + 1] = fuse_conv_bn_eval(conv, norm), nn.Identity()
    return model


def export(model: nn.Module, path: Path, size: int = 640) -> None:
    """Write `model` to `path`: input `images` [batch, 1, size, size], output `predictions` [batch, 10, points]."""
    beside = path.with_suffix(".tmp")
    with warnings.catch_warnings():  # the older exporter is deprecated, but needs no further package
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # the number of points is meant to be constant
        torch.onnx.export(
            folded(model),
            (torch.zeros(1, 1, size, size),),
            str(beside),
            opset_version=OPSET,
            dynamo=False,
            input_names=["images"],
            output_names=["predictions"],
            dynamic_axes={"images": {0: "batch"}, "predictions": {0: "batch"}},
        )
    written = onnx.load(beside)
    rows, points = written.graph.output[0].type.tensor_type.shape.dim[1:]
    rows.dim_value, points.dim_value = 4 + len(NAMES), (size // STRIDE) ** 2
    facts = {
        "names": json.dumps({str(i): name for i, name in enumerate(NAMES)}),
        "strides": str(STRIDE),
        "task": "detect",
    }
    for key, value in facts.items():
        entry = written.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.checker.check_model(written, full_check=True)
    onnx.save(written, beside)
    beside.replace(path)


@click.command()
@click.argument("checkpoint", type=click.Path(exists=True, path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
def main(checkpoint: Path, target: Path) -> None:
    """Export the averaged weights in CHECKPOINT to TARGET."""
    model = Detector()
    model.load_state_dict(torch.load(checkpoint, weights_only=True)["average"])
    export(model, target)
    click.echo(f"{target}: {target.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
