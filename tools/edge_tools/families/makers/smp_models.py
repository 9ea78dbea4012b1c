"""Networks of segmentation_models_pytorch as people export them, with random weights, and their answers.

pip install segmentation-models-pytorch==0.6.0 torch torchvision onnx pillow opencv-python-headless
python smp_models.py PICTURES MODELS

Binary, multi-class and multi-label, with and without an activation in the graph; ImageNet's mean and deviations.
"""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import segmentation_models_pytorch as smp
import torch
from PIL import Image

SIZE = 256
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
GIVEN = {"encoder_name": "resnet18", "encoder_weights": None}


def runs(mask):
    """First pixel and one past the last of each run, row by row."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.reshape(-1).astype(np.int8), [0]])))
    return {"size": list(mask.shape), "runs": edges.reshape(-1, 2).tolist()}


def prepared(picture):
    """What the network takes."""
    pixels = cv2.resize(np.asarray(picture.convert("RGB")), (SIZE, SIZE)).astype(np.float32) / 255
    return torch.from_numpy(((pixels - MEAN) / STD).astype(np.float32).transpose(2, 0, 1).copy())


def livened(network, batch):
    """Fill the norms' statistics, and shift the last layer so that every class is found."""
    network.train()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
            module.reset_running_stats()
    last = [module for module in network.segmentation_head.modules() if isinstance(module, torch.nn.Conv2d)][-1]
    with torch.no_grad():
        network(batch)
        network.eval()
        out = network.segmentation_head[0](network.decoder(network.encoder(batch)))
        wide = 2 / out.std(dim=(0, 2, 3))
        last.weight *= wide[:, None, None, None]
        last.bias.copy_((last.bias - out.mean(dim=(0, 2, 3))) * wide)
    return network


def areas(network, picture, kind, active):
    """Where each class is."""
    with torch.no_grad():
        out = network(prepared(picture)[None])[0]
    if kind == "classes":
        whole = np.asarray(Image.fromarray(out.argmax(0).byte().numpy()).resize(picture.size, Image.NEAREST))
        return [{"class": int(k), "score": 1.0, "mask": runs(whole == k)} for k in np.unique(whole) if k]
    chances = out if active else out.sigmoid()
    rows = []
    for index, chance in enumerate(chances.numpy()):
        mask = np.asarray(Image.fromarray((chance > 0.5).astype(np.uint8)).resize(picture.size, Image.NEAREST)) > 0
        if mask.any():
            rows.append({"class": index + (kind == "mask"), "score": 1.0, "mask": runs(mask)})
    return rows


def main():
    """Make each model and its answers."""
    torch.set_num_threads(1)
    pictures, models = sorted(Path(sys.argv[1]).glob("*.jpg")), Path(sys.argv[2])
    batch = torch.stack([prepared(Image.open(path)) for path in pictures])
    for name, kind, activation, make, classes in (
        ("unet-1", "mask", None, smp.Unet, 1),
        ("unet-1-sigmoid", "mask", "sigmoid", smp.Unet, 1),
        ("fpn-4", "classes", None, smp.FPN, 4),
        ("linknet-4-softmax", "classes", "softmax2d", smp.Linknet, 4),
        ("unet-3-masks", "masks", "sigmoid", smp.Unet, 3),
    ):
        torch.manual_seed(0)
        network = livened(make(**GIVEN, classes=classes, activation=activation), batch)
        torch.onnx.export(
            network, (batch[:1],), str(models / f"smp-{name}.onnx"), opset_version=17, dynamo=False,
            input_names=["input"], output_names=["output"],
        )  # fmt: skip
        rows = {path.name: areas(network, Image.open(path), kind, activation) for path in pictures}
        (models / f"smp-{name}.answers.json").write_text(json.dumps(rows))
        print(name, {key: len(one) for key, one in rows.items()}, flush=True)


main()
