"""YOLOv5 7.0 by its own exporter (boxes, masks, classes), with random weights that find something, and its answers.

pip install yolov5==7.0.14 torch torchvision onnx onnxruntime
python yolov5_models.py PICTURES MODELS
"""

import json
import math
import shutil
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import torch
import yolov5
from torch.nn.functional import interpolate
from yolov5.export import export_onnx
from yolov5.models.yolo import ClassificationModel, DetectionModel, SegmentationModel
from yolov5.utils.augmentations import classify_transforms, letterbox
from yolov5.utils.general import non_max_suppression
from yolov5.utils.segment.general import crop_mask

SIZE = 320
CONFIGS = Path(yolov5.__file__).parent / "models"


def runs(mask):
    """First pixel and one past the last of each run, row by row."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.reshape(-1).astype(np.int8), [0]])))
    return {"size": list(mask.shape), "runs": edges.reshape(-1, 2).tolist()}


def prepared(image):
    """What a detector takes."""
    boxed = letterbox(image, SIZE, stride=32, auto=False)[0]
    return np.ascontiguousarray(boxed[..., ::-1].transpose(2, 0, 1), np.float32) / 255


def livened(network, batch):
    """Fill the norms' statistics, and scale the heads."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
            module.reset_running_stats()
    network.train()
    with torch.no_grad():
        network(batch)
    network.eval()
    head = network.model[-1]
    for layer in getattr(head, "m", []):
        rows = layer.weight.data.view(head.na, head.no, -1)
        rows[:, 4:] *= 4
        bias = layer.bias.data.view(head.na, head.no)
        bias[:, 4] = -4.0
        bias[:, 5 : 5 + head.nc] = 0.0
    return network


def placing(sides):
    """Where letterbox() puts a picture (width, height), to the pixel: its sides there, and what is before it."""
    gain = min(SIZE / side for side in sides)
    placed = [round(side * gain) for side in sides]
    return placed, [math.floor((SIZE - side) / 2) for side in placed]


def placed_back(boxes, sides):
    """Boxes in the picture (width, height).

    scale_boxes() leaves out that the smaller side was rounded, and that an odd border has its smaller half above:
    up to a pixel of the picture, which is much of a box that is two high.
    """
    placed, before = placing(sides)
    before = torch.tensor(before * 2)
    scale = torch.tensor([side / small for side, small in zip(sides, placed)] * 2)
    return ((boxes - before) * scale).clamp(torch.zeros(4), torch.tensor([*sides] * 2))


def masks_back(protos, rows, boxes, sides):
    """The rows' masks in the picture.

    process_mask_native() cuts the border in whole cells of the prototypes, up to half of one beside: much of masks that
    change from cell to cell.
    """
    (width, height), (left, top) = placing(sides)
    masks = (rows @ protos.flatten(1)).sigmoid().view(-1, *protos.shape[1:])
    masks = interpolate(masks[None], (SIZE, SIZE), mode="bilinear", align_corners=False)
    masks = masks[:, :, top : top + height, left : left + width]
    masks = interpolate(masks, sides[::-1], mode="bilinear", align_corners=False)[0]
    return (crop_mask(masks, boxes) > 0.5).numpy()


def found(session, image):
    """What YOLOv5's own code makes of the outputs."""
    pixels = prepared(image)[None]
    out = [torch.from_numpy(value) for value in session.run(None, {session.get_inputs()[0].name: pixels})]
    count = 32 if len(out) > 1 else 0
    (rows,) = non_max_suppression(out[0], 0.25, 0.45, nm=count)
    boxes = placed_back(rows[:, :4], image.shape[1::-1])
    masks = masks_back(out[1][0], rows[:, 6:], boxes, image.shape[1::-1]) if count else [None] * len(rows)
    return [
        {"box": box, "score": float(row[4]), "class": int(row[5])} | ({} if mask is None else {"mask": runs(mask)})
        for box, row, mask in zip(boxes.tolist(), rows, masks)
    ]


def classified(session, image):
    """The best class of the middle of the picture, as YOLOv5's classifier cuts it."""
    pixels = classify_transforms(224)(image).numpy()[None]
    (out,) = session.run(None, {session.get_inputs()[0].name: pixels})
    chances = torch.from_numpy(out[0]).softmax(0)
    return [{"class": int(chances.argmax()), "score": float(chances.max())}]


def main():
    """Make each model and its answers."""
    torch.set_num_threads(1)
    pictures, models = sorted(Path(sys.argv[1]).glob("*.jpg")), Path(sys.argv[2])
    images = {path.name: cv2.imread(str(path)) for path in pictures}
    batch = torch.from_numpy(np.stack([prepared(image) for image in images.values()]))
    small = torch.stack([classify_transforms(224)(image) for image in images.values()])
    for name, classes, dynamic in (
        ("detect-80", 80, False), ("detect-3", 3, False), ("detect-1", 1, False),
        ("detect-3-dynamic@320x320", 3, True), ("seg-3", 3, False), ("cls-5", 5, False),
    ):  # fmt: skip
        torch.manual_seed(0)
        masks, classify = name.startswith("seg"), name.startswith("cls")
        config = CONFIGS / ("segment/yolov5n-seg.yaml" if masks else "yolov5n.yaml")
        network = (SegmentationModel if masks else DetectionModel)(str(config), nc=classes)
        network.names = {index: f"kind{index}" for index in range(classes)}
        if classify:
            network = ClassificationModel(model=network, nc=classes, cutoff=10)
            network.names = {index: f"kind{index}" for index in range(classes)}
        network = livened(network, small if classify else batch).float()
        if classify:
            with torch.no_grad():
                last = network.model[-1].linear
                last.weight *= 3 / (network(small) - network(small).mean(0)).std()
                last.bias -= network(small).mean(0)
        network.model[-1].export = not classify
        if not classify:
            network.model[-1].inplace, network.model[-1].dynamic = False, dynamic
        with tempfile.TemporaryDirectory() as work:
            given = small[:1] if classify else batch[:1]
            made, _ = export_onnx(network, given, Path(work) / "model.pt", 12, dynamic, False)
            shutil.move(str(made), models / f"yolov5-{name}.onnx")
        session = onnxruntime.InferenceSession(str(models / f"yolov5-{name}.onnx"))
        answer = classified if classify else found
        rows = {key: answer(session, image) for key, image in images.items()}
        (models / f"yolov5-{name}.answers.json").write_text(json.dumps(rows))
        print(name, {key: len(one) for key, one in rows.items()}, flush=True)


main()
