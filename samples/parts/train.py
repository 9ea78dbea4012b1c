"""Trains a detector on drawn pictures and writes it as ONNX, with the facts and the labelled pictures to judge it on.

python samples/parts/train.py masks run/masks --steps 2000
edge-export run/masks/model.onnx --facts run/masks/facts.json -o masks.edge \\
    --calibrate run/masks/calibrate --evaluate run/masks/judge
"""

from __future__ import annotations

import copy
import json
import math
import sys
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for `python samples/parts/train.py`

import click
import cv2
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from parts.learn import loss, targets_of
from parts.network import PROTOTYPES, Decoded, Detector, grid
from parts.scenes import EDGES, KINDS, NAMES, SIDE, draw_scene, write_set

OPSET = 17
# Seeds of pictures that no model is trained on.
CALIBRATE, JUDGE = 1_000_000, 2_000_000


def train(kind: str, steps: int, batch: int, rate: float) -> Detector:
    """Return a trained detector: Adam, a cosine down to a hundredth, and averaged weights."""
    torch.manual_seed(0)
    model, places = Detector(kind).to(memory_format=torch.channels_last), grid()
    average = copy.deepcopy(model)
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.02)
    with click.progressbar(range(steps), file=sys.stderr, item_show_func=lambda _: f"{shown:.3f}") as bar:
        shown = 0.0
        for step in bar:
            for group in optimiser.param_groups:
                group["lr"] = (
                    rate * min(1.0, (step + 1) / 100) * (0.01 + 0.495 * (1 + math.cos(math.pi * step / steps)))
                )
            scenes = [draw_scene(kind, step * batch + index) for index in range(batch)]
            value = loss(model, targets_of(kind, [scene for scene in scenes if scene.objects]), places)
            optimiser.zero_grad(set_to_none=True)
            value.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 10.0)
            optimiser.step()
            _follow(average, model, min(0.998, step / (step + 10)))
            shown += max(0.02, 1 / (step + 1)) * (value.item() - shown)
    return average


@torch.no_grad()  # type: ignore[untyped-decorator, unused-ignore]
def _follow(average: nn.Module, model: nn.Module, keep: float) -> None:
    theirs = model.state_dict()
    for name, mine in average.state_dict().items():
        if mine.dtype.is_floating_point:
            mine.lerp_(theirs[name], 1 - keep)
        else:
            mine.copy_(theirs[name])


def export(model: Detector, path: Path) -> None:
    """Write the detector with one image a batch, its batch norms folded."""
    model = copy.deepcopy(model).eval()
    for module in model.modules():
        if isinstance(module, nn.Sequential):
            for index in range(len(module) - 1):
                pair = module[index], module[index + 1]
                if isinstance(pair[0], nn.Conv2d) and isinstance(pair[1], nn.BatchNorm2d):
                    module[index], module[index + 1] = fuse_conv_bn_eval(*pair), nn.Identity()
    with warnings.catch_warnings():  # the older exporter is deprecated, but needs no further package
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Decoded(model).eval(),
            (torch.zeros(1, 3, SIDE, SIDE),),
            str(path),
            opset_version=OPSET,
            dynamo=False,
            input_names=["images"],
            output_names=["predictions", "prototypes"][: 1 + (model.kind == "masks")],
        )


def facts(kind: str) -> dict[str, Any]:
    """What edge-export must know of the model."""
    part: dict[str, dict[str, Any]] = {
        "masks": {"masks": {"output": "prototypes", "count": PROTOTYPES}},
        "points": {"points": {"count": 17, "values": 3, "edges": EDGES}},
        "oriented": {"angle": "radians"},
    }
    return {
        "preprocess": {"width": SIDE, "height": SIDE, "fit": "letterbox"},
        "postprocess": {"task": "detect", "format": "yolo", "outputs": ["predictions"], **part[kind]},
        "labels": NAMES[kind],
        "thresholds": {"confidence": 0.25, "iou": 0.6},
    }


@click.command()
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--steps", default=2000, show_default=True)
@click.option("--batch", default=8, show_default=True)
@click.option("--rate", default=4e-3, show_default=True, help="Peak learning rate.")
@click.option("--pictures", default=300, show_default=True, help="To judge on; 64 more are to calibrate on.")
def main(kind: str, out: Path, steps: int, batch: int, rate: float, pictures: int) -> None:
    """Train a detector of KIND, and write OUT/model.onnx, OUT/facts.json, OUT/calibrate and OUT/judge."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    out.mkdir(parents=True, exist_ok=True)
    write_set(kind, out / "calibrate", 64, CALIBRATE)
    write_set(kind, out / "judge", pictures, JUDGE)
    (out / "facts.json").write_text(json.dumps(facts(kind), indent=1) + "\n", encoding="utf-8")
    export(train(kind, steps, batch, rate), out / "model.onnx")
    click.echo(f"{out}/model.onnx: {(out / 'model.onnx').stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
