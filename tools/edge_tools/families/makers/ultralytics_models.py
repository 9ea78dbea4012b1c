"""Models of every task, as one version of Ultralytics exports them, with random weights that find something.

    pip install ultralytics==8.3.100 torch torchvision onnx onnxslim     # or 8.0.200, 8.1.47, 8.2.103, 8.4.190
    python ultralytics_models.py PICTURES MODELS yolo11n yolov9t rtdetr-l

The statistics of the norms come from PICTURES; heads are shifted so that a few cells of each picture find something
whose box lies in it.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import torch
import ultralytics
import yaml
from ultralytics import RTDETR, YOLO

SIZE = 320
FEW, MOST = np.log(0.25 / 0.75), 6.0  # logits: what a cell of a hundred reaches, and the best
CLASSES = {"seg": 3, "pose": 1, "obb": 4, "cls": 5}
END_TO_END = ("yolov10n", "yolo26n")  # with a second head that needs no suppression: nms=False keeps it


def kind_of(name):
    """RT-DETR has a class of its own."""
    return RTDETR if "rtdetr" in name else YOLO


def livened(model, pictures):
    """Fill the norms' statistics, and give the heads scores and boxes as a trained network has them."""
    images = [cv2.resize(cv2.imread(str(path))[..., ::-1], (SIZE, SIZE)) for path in pictures]
    batch = torch.from_numpy(np.stack(images).transpose(0, 3, 1, 2).copy()).float() / 255
    network = model.model.float()
    head = network.model[-1]
    scores, boxes = (
        [[branch[-1] for branch in getattr(head, name, None) or []] for name in (f"cv{part}", f"one2one_cv{part}")]
        for part in (3, 2)
    )
    for layer in (layer for layers in scores for layer in layers):
        layer.weight.data *= 4
    seen = {}
    for layer in (layer for layers in (*scores, *boxes) for layer in layers):
        layer.register_forward_hook(lambda layer, _given, out: seen.__setitem__(layer, out.detach()))
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    kept = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = None
        norm.reset_running_stats()
    network.train()
    with torch.no_grad():
        network(batch)
    for norm, momentum in zip(norms, kept):
        norm.momentum = momentum
    network.eval()
    for layers in scores:  # in one cell of a hundred something is found
        best = [seen[layer].amax(dim=1).flatten() for layer in layers if layer in seen]
        if best:
            few, most = (float(torch.cat(best).quantile(share)) for share in (0.99, 1.0))
            # None above 0.998: of scores that are all 1 none is the better one, and which is left is chance.
            gain = min(1.0, (MOST - FEW) / max(most - few, 1e-6))
            for layer in layers:
                layer.weight.data *= gain
                layer.bias.data = gain * (layer.bias.data - few) + FEW
    for layer in (layer for layers in boxes for layer in layers if layer in seen):
        bins = layer.out_channels // 4
        if bins > 1:  # scores of distances in strides: near ones are likelier
            layer.weight.data *= 3
            layer.bias.data = -0.7 * torch.arange(bins).float().repeat(4)
        else:  # the distance itself
            layer.weight.data *= 0.3 / seen[layer].std(dim=(0, 2, 3)).mean()
            layer.bias.data[:] = 1.5
    for layer in (layer for layers in (*scores, *boxes) for layer in layers):
        layer._forward_hooks.clear()
    if hasattr(head, "dec_score_head"):
        for layer in head.dec_score_head:
            layer.weight.data *= 3
            layer.bias.data[:] = -1.0
        head.enc_score_head.weight.data *= 3
    return model


def make(config, classes, target, pictures, **options):
    """Export one model, unless it is there or this version has no such network."""
    if target.exists():
        return
    try:
        model = kind_of(config)(config)
    except FileNotFoundError as error:
        print("none of", target.name, error, flush=True)
        return
    network = {key: value for key, value in model.model.yaml.items() if key not in ("ch", "channels", "yaml_file")}
    with tempfile.TemporaryDirectory() as work:
        described = Path(work) / config
        described.write_text(yaml.safe_dump({**network, "nc": classes}))
        # The file's name tells no task; RT-DETR has one only, and takes no other.
        model = RTDETR(str(described)) if isinstance(model, RTDETR) else YOLO(str(described), task=model.task)
        done = livened(model, pictures).export(format="onnx", imgsz=SIZE, **options)
        shutil.move(str(done), target)
    print("made", target.name, flush=True)


def main():
    """Make every task of each named network."""
    torch.manual_seed(0)
    pictures, models, names = sorted(Path(sys.argv[1]).glob("*.jpg"))[:8], Path(sys.argv[2]), sys.argv[3:]
    version = ultralytics.__version__
    newer = tuple(int(part) for part in version.split(".")[:2]) >= (8, 4)
    for name in names:
        start = models / f"ultra-{version}-{name}"
        if name.startswith("rtdetr"):
            for classes in (80, 2):
                make(f"{name}.yaml", classes, Path(f"{start}-{classes}.onnx"), pictures)
            continue
        for classes in (80, 2, 1):
            make(f"{name}.yaml", classes, Path(f"{start}-detect-{classes}.onnx"), pictures)
        make(f"{name}.yaml", 3, Path(f"{start}-detect-3-dynamic.onnx"), pictures, dynamic=True)
        if newer:
            make(f"{name}.yaml", 3, Path(f"{start}-detect-3-nms.onnx"), pictures, nms=True)
            if name in END_TO_END:
                for classes in (80, 2, 1):
                    make(f"{name}.yaml", classes, Path(f"{start}-detect-{classes}-e2e.onnx"), pictures, nms=False)
        for task, classes in CLASSES.items():
            make(f"{name}-{task}.yaml", classes, Path(f"{start}-{task}-{classes}.onnx"), pictures)
            if newer and task != "cls":
                make(f"{name}-{task}.yaml", classes, Path(f"{start}-{task}-{classes}-nms.onnx"), pictures, nms=True)
                if name in END_TO_END:
                    make(
                        f"{name}-{task}.yaml", classes, Path(f"{start}-{task}-{classes}-e2e.onnx"), pictures, nms=False
                    )


main()
