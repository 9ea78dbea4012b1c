"""YOLOv6 0.4 and YOLOv7 by their own code, as their exporters' options make them, with random weights, and the answers.

pip install --no-deps yolov6detect==0.4.1 yolov7detect==1.0.1, and torch torchvision onnx onnxruntime
    opencv-python-headless pandas matplotlib seaborn scipy tqdm pyyaml requests addict
python yolov6_yolov7_models.py PICTURES MODELS [NAME...]

YOLOv6's exporter (deploy/ONNX/export_onnx.py) is not in its wheel: what it calls is. YOLOv7's configurations are not in
its wheel: that of yolov7-tiny is written down here.
"""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import torch
import yolov6
from yolov6.layers.common import RepVGGBlock
from yolov6.models.end2end import End2End as End6
from yolov6.models.yolo import Model as Model6
from yolov6.utils.config import Config
from yolov6.utils.nms import non_max_suppression as nms6
from yolov7.models.common import Conv as Conv7
from yolov7.models.experimental import End2End as End7
from yolov7.models.yolo import Model as Model7
from yolov7.utils.activations import SiLU
from yolov7.utils.general import non_max_suppression as nms7

SIZE = 320
LOW = 0.05  # of scores: the comparison has the bundle's own threshold
ELAN = [[-1, 1], [-2, 1], [-1, 3], [-1, 3]]


def conv(width, size=1, stride=1, source=-1):
    """A layer of yolov7-tiny."""
    return [source, 1, "Conv", [width, size, stride, None, 1, "nn.LeakyReLU(0.1)"]]


def elan(width):
    """Its block of six layers."""
    parts = [conv(width, size, 1, source) for source, size in ELAN]
    return [*parts, [[-1, -2, -3, -4], 1, "Concat", [1]], conv(2 * width)]


def tiny(classes):
    """yolov7-tiny.yaml."""
    up, pool = [-1, 1, "nn.Upsample", ["None", 2, "nearest"]], [-1, 1, "MP", []]
    backbone = [conv(32, 3, 2), conv(64, 3, 2), *elan(32), pool, *elan(64), pool, *elan(128), pool, *elan(256)]
    spatial = [[-1, 1, "SP", [5]], [-2, 1, "SP", [9]], [-3, 1, "SP", [13]], [[-1, -2, -3, -4], 1, "Concat", [1]]]
    head = [
        conv(256), conv(256, source=-2), *spatial, conv(256), [[-1, -7], 1, "Concat", [1]], conv(256),
        conv(128), up, conv(128, source=21), [[-1, -2], 1, "Concat", [1]], *elan(64),
        conv(64), up, conv(64, source=14), [[-1, -2], 1, "Concat", [1]], *elan(32),
        conv(128, 3, 2), [[-1, 47], 1, "Concat", [1]], *elan(64),
        conv(256, 3, 2), [[-1, 37], 1, "Concat", [1]], *elan(128),
        conv(128, 3, 1, 57), conv(256, 3, 1, 65), conv(512, 3, 1, 73),
        [[74, 75, 76], 1, "IDetect", ["nc", "anchors"]],
    ]  # fmt: skip
    anchors = [[10, 13, 16, 30, 33, 23], [30, 61, 62, 45, 59, 119], [116, 90, 156, 198, 373, 326]]
    scales = {"depth_multiple": 1.0, "width_multiple": 1.0}
    return {"nc": classes, **scales, "anchors": anchors, "backbone": backbone, "head": head}


def prepared(image):
    """Letterboxed, as both do, and where the picture lies."""
    height, width = image.shape[:2]
    gain = min(SIZE / height, SIZE / width)
    small = round(width * gain), round(height * gain)
    left, top = (round((SIZE - side) / 2 - 0.1) for side in small)
    boxed = np.full((SIZE, SIZE, 3), 114, np.uint8)
    resized = image if small == (width, height) else cv2.resize(image, small, interpolation=cv2.INTER_LINEAR)
    boxed[top : top + small[1], left : left + small[0]] = resized
    return boxed, (left, top), (width / small[0], height / small[1])


def pixels(image):
    """What a network takes."""
    return np.ascontiguousarray(image[..., ::-1].transpose(2, 0, 1), np.float32)[None] / 255


def livened(network, batch, layers, objectness=False):
    """Fill the norms' statistics, and spread the scores."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
            module.reset_running_stats()
            module.train()
    outputs = {}
    for layer in layers:
        layer.register_forward_hook(lambda one, _, out: outputs.setdefault(one, out))
    with torch.no_grad():
        for layer in layers:
            torch.nn.init.normal_(layer.weight, std=0.05)
        network(batch)
        network.eval()
        outputs.clear()
        network(batch)
        for layer, out in outputs.items():
            flat = out.movedim(1, -1).flatten(0, -2)
            gain = 1.2 / flat.std(0)
            layer.weight *= gain[:, None, None, None]
            layer.bias.copy_(gain * (layer.bias - flat.mean(0)))
            if objectness:
                layer.bias.view(3, -1)[:, 4] -= 4
                layer.weight.view(3, -1, *layer.weight.shape[1:])[:, :4] *= 0.3
            else:
                layer.bias -= 4
    for layer in layers:
        layer._forward_hooks.clear()
    return network


def found(out, nms):
    """The rows x1 y1 x2 y2 score class of one picture's answer."""
    out = [torch.from_numpy(value) for value in out]
    if len(out) == 4:  # counted: boxes, scores, classes
        count, boxes, scores, classes = out
        return torch.cat([boxes[0], scores[0, :, None], classes[0, :, None].float()], 1)[: int(count)]
    if out[0].ndim == 2:  # YOLOv7's, after the operator
        return out[0][:, [1, 2, 3, 4, 6, 5]]
    return nms(out[0].clone(), LOW, 0.45)[0]


def decoded(heads, network):
    """YOLOv7's heads, as its last layer decodes them where it does."""
    last, rows = network.model[-1], []
    for index, head in enumerate(torch.from_numpy(value) for value in heads):
        y, x = torch.meshgrid(torch.arange(head.shape[2]), torch.arange(head.shape[3]), indexing="ij")
        part = head.sigmoid()
        part[..., :2] = (part[..., :2] * 2 - 0.5 + torch.stack([x, y], -1)) * last.stride[index]
        part[..., 2:4] = (part[..., 2:4] * 2) ** 2 * last.anchor_grid[index]
        rows.append(part.flatten(1, 3))
    return [torch.cat(rows, 1).numpy()]


def six(classes, end, whole, batch):
    """A YOLOv6-N: its rows, or finished by ONNX' operator, which may take whole BGR pixels."""
    config = Config.fromfile(str(Path(yolov6.__file__).parent / "configs" / "yolov6n.py"))
    config._cfg_dict["training_mode"] = "repvgg"
    network = Model6(config, num_classes=classes)
    livened(network, batch, list(network.detect.cls_preds))
    for layer in network.modules():
        if isinstance(layer, RepVGGBlock):
            layer.switch_to_deploy()
    made = End6(network, 100, 0.45, LOW, ort=True, with_preprocess=whole) if end else network
    return made, ["num_dets", "det_boxes", "det_scores", "det_classes"] if end else ["outputs"], network


def seven(classes, form, batch):
    """A YOLOv7-tiny: --grid --end2end --max-wh, --grid, or its heads."""
    network = livened(Model7(tiny(classes), nc=classes), batch, [], True)
    livened(network, batch, list(network.model[-1].m), True)
    network.requires_grad_(False).fuse()
    for layer in network.modules():
        if isinstance(layer, Conv7) and isinstance(layer.act, torch.nn.SiLU):
            layer.act = SiLU()
    last = network.model[-1]
    last.export, last.concat = form == "heads", form == "grid"
    made = End7(network, 100, 0.45, LOW, SIZE, None, classes) if form == "end2end" else network
    return made, ["output", "second", "third"] if form == "heads" else ["output"], network


def main():
    """Make each model and its answers."""
    torch.set_num_threads(1)
    pictures, models = sorted(Path(sys.argv[1]).glob("*.jpg")), Path(sys.argv[2])
    images = {path.name: cv2.imread(str(path)) for path in pictures}
    batch = torch.from_numpy(np.concatenate([pixels(prepared(image)[0]) for image in images.values()]))
    for name, classes, form in (
        ("yolov6-3", 3, "rows"), ("yolov6-1", 1, "rows"),
        ("yolov6-end2end-3", 3, "end"), ("yolov6-whole-3", 3, "whole"),
        ("yolov7-grid-3", 3, "grid"), ("yolov7-end2end-3", 3, "end2end"), ("yolov7-end2end-1", 1, "end2end"),
        ("yolov7-heads-80", 80, "heads"), ("yolov7-heads-3", 3, "heads"),
    ):  # fmt: skip
        if not name.startswith(tuple(sys.argv[3:]) or ""):
            continue
        torch.manual_seed(0)
        if "v6" in name:
            made, outputs, network = six(classes, form != "rows", form == "whole", batch)
        else:
            made, outputs, network = seven(classes, form, batch)
        target = models / f"{name}.onnx"
        torch.onnx.export(
            made.eval(), (batch[:1],), str(target), opset_version=13, input_names=["images"],
            output_names=outputs, dynamo=False, training=torch.onnx.TrainingMode.EVAL,
        )  # fmt: skip
        session, rows = onnxruntime.InferenceSession(str(target)), {}
        for key, image in images.items():
            boxed, start, scale = prepared(image)
            given = boxed.transpose(2, 0, 1)[None].astype(np.float32) if form == "whole" else pixels(boxed)
            out = session.run(None, {"images": given})
            answer = found(decoded(out, network) if form == "heads" else out, nms6 if "v6" in name else nms7)
            boxes = (answer[:, :4] - torch.tensor(start * 2)) * torch.tensor(scale * 2)
            boxes = boxes.clamp(torch.zeros(4), torch.tensor([*image.shape[1::-1]] * 2))
            rows[key] = [
                {"box": box, "score": float(row[4]), "class": int(row[5])} for box, row in zip(boxes.tolist(), answer)
            ]
        target.with_suffix(".answers.json").write_text(json.dumps(rows))
        print(name, {key: len(one) for key, one in rows.items()}, flush=True)


main()
