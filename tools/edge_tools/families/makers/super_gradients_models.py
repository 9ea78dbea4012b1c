"""YOLO-NAS for boxes and for key points by super-gradients' own exporter, with random weights that find something.

pip install --no-deps super-gradients==3.7.1, and torch torchvision onnx onnxruntime onnxsim onnx-graphsurgeon
    opencv-python-headless and what else it imports
python super_gradients_models.py PICTURES MODELS [NAME...]

Each is written with its NMS in the graph, in both formats, with its pre-processing in the graph and without, and by
torch.onnx alone. The answers are decoded here from what the same network gives by itself (boxes as corners, scores,
points) and from an NMS of PyTorch's own. No file tells how pictures were brought to size: here, and in bundles,
boxes' pictures are centred on 114 and persons' lie at the top left of 127, as the package's settings for COCO have
it, but for its 636 of 640.
"""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import torch
from super_gradients.conversion import DetectionOutputFormatMode
from super_gradients.training import models
from super_gradients.training.processing.processing import (
    default_yolo_nas_coco_processing_params,
    default_yolo_nas_pose_coco_processing_params,
)

SIZE = 320
CLASSES = 3
LOW, IOU = 0.1, 0.7
FLAT, BATCH = DetectionOutputFormatMode.FLAT_FORMAT, DetectionOutputFormatMode.BATCH_FORMAT
# Name: what of the exporter; None stands for torch.onnx.export.
KINDS = {
    "flat": {"output_predictions_format": FLAT, "preprocessing": True},
    "batch": {"output_predictions_format": BATCH, "preprocessing": True},
    "flat-pixels": {"output_predictions_format": FLAT, "preprocessing": False},
    "batch-pixels": {"output_predictions_format": BATCH, "preprocessing": False},
    "decoded": {"postprocessing": False, "preprocessing": True},
    "onnx": None,
}


def livened(network, batch):
    """Fill the norms' statistics, and spread the scores so that some cells find something."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
            module.reset_running_stats()
            module.train()
    with torch.no_grad():
        network(batch)
    network.eval()
    seen = {}
    layers = {name: layer for name, layer in network.named_modules() if name.endswith("cls_pred")}
    hooks = [
        layer.register_forward_hook(lambda _, __, out, name=name: seen.update({name: out}))
        for name, layer in layers.items()
    ]
    with torch.no_grad():
        for layer in layers.values():
            if float(layer.weight.std()) < 1e-6:
                torch.nn.init.normal_(layer.weight, std=0.05)
        network(batch)
        for hook in hooks:
            hook.remove()
        for name, layer in layers.items():
            flat = seen[name].movedim(1, -1).reshape(-1, seen[name].shape[1])
            gain = 1.2 / flat.std()
            layer.bias += -4.0 - flat.mean(0) - (gain - 1) * (flat.mean(0) - layer.bias)
            layer.weight *= gain
    return network


def placed(image, pose):
    """A picture in the network's input, and what brings boxes back."""
    height, width = image.shape[:2]
    ratio = SIZE / max(height, width)
    inside = cv2.resize(image, (round(width * ratio), round(height * ratio)), interpolation=cv2.INTER_LINEAR)
    down, across = SIZE - inside.shape[0], SIZE - inside.shape[1]
    top, left = (0, 0) if pose else (round(down / 2 - 0.1), round(across / 2 - 0.1))
    sides = (top, down - top, left, across - left)
    whole = cv2.copyMakeBorder(inside, *sides, cv2.BORDER_CONSTANT, value=(127,) * 3 if pose else (114,) * 3)
    return whole, np.array([left, top]), np.array([inside.shape[1] / width, inside.shape[0] / height])


def tensor(image, pose):
    """Pixels as the network takes them: persons BGR."""
    whole = image[..., ::-1] if pose else image
    return torch.from_numpy(np.ascontiguousarray(whole.transpose(2, 0, 1)[None])).float() / 255


def suppressed(boxes, scores):
    """Indices that are left, best first."""
    order, kept = scores.argsort()[::-1], []
    while len(order):
        first, order = order[0], order[1:]
        kept.append(first)
        low, high = np.maximum(boxes[first, :2], boxes[order, :2]), np.minimum(boxes[first, 2:], boxes[order, 2:])
        inter = (high - low).clip(0).prod(1)
        area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
        order = order[inter / (area[first] + area[order] - inter) <= IOU]
    return kept


def answered(network, image, pose, single):
    """What the network finds, in pixels of the picture; `single`: of a row its best class, as bundles take it."""
    whole, start, scale = placed(image, pose)
    with torch.no_grad():
        out = network(tensor(whole, pose))[0]
    boxes, scores, *points = [one[0].numpy() for one in out[: 4 if pose else 2]]
    rows = []
    for label in range(scores.shape[1]):
        wanted = np.flatnonzero((scores[:, label] > LOW) & ((scores.argmax(1) == label) | (not single)))
        wanted = wanted[scores[wanted, label].argsort()[::-1]]
        for one in wanted[suppressed(boxes[wanted], scores[wanted, label])]:
            box = ((boxes[one].reshape(2, 2) - start) / scale).reshape(-1)
            row = {"box": box.tolist(), "score": float(scores[one, label]), "class": label}
            if pose:
                places = (points[0][one] - start) / scale
                row["points"] = [[*map(float, xy), float(seen)] for xy, seen in zip(places, points[1][one])]
            rows.append(row)
    return rows


def made(pose, pictures):
    """A network with random weights, and settings for pixels as those for COCO."""
    torch.manual_seed(0)
    if pose:
        network = models.get("yolo_nas_pose_n", num_classes=17)
        network.set_dataset_processing_params(**default_yolo_nas_pose_coco_processing_params())
    else:
        network = models.get("yolo_nas_s", num_classes=CLASSES)
        said = {**default_yolo_nas_coco_processing_params(), "class_names": ["a", "b", "c"]}
        network.set_dataset_processing_params(**said)
    batch = torch.cat([tensor(placed(image, pose)[0], pose) for image in pictures])
    return livened(network, batch)


def main():
    """Make each model and its answers."""
    torch.set_num_threads(1)
    plain = torch.onnx.export
    torch.onnx.export = lambda *given, **said: plain(*given, **{"dynamo": False, **said})
    paths, target = sorted(Path(sys.argv[1]).glob("*.jpg")), Path(sys.argv[2])
    images = [cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB) for path in paths]
    for task in ("detect", "pose"):
        network = None
        for kind, said in KINDS.items():
            name = f"supergradients-nas-{task}-{kind}"
            if sys.argv[3:] and f"{task}-{kind}" not in sys.argv[3:]:
                continue
            if network is None:
                network = made(task == "pose", images)
            single = kind in ("decoded", "onnx")  # its NMS is not in the graph
            rows = {path.name: answered(network, one, task == "pose", single) for path, one in zip(paths, images)}
            file = str(target / f"{name}.onnx")
            if said is None:
                network.prep_model_for_conversion(input_size=(1, 3, SIZE, SIZE))
                torch.onnx.export(network, torch.zeros(1, 3, SIZE, SIZE), file, opset_version=16)
            else:
                more = {} if said.get("postprocessing") is False else {"num_pre_nms_predictions": 500}
                more = {**more, "confidence_threshold": LOW, "nms_threshold": IOU}
                network.export(file, input_image_shape=(SIZE, SIZE), **said, **more)
            Path(file).with_suffix(".answers.json").write_text(json.dumps(rows))
            print(name, {key: len(one) for key, one in rows.items()}, flush=True)


main()
