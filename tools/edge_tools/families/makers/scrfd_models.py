"""SCRFD's layout by hand, as insightface writes it, and its answers: no package has the network itself.

pip install torch onnx onnxruntime opencv-python-headless
python scrfd_models.py PICTURES MODELS

Nine outputs in the order scores, distances, key points, each of strides 8, 16 and 32, with two rows a cell and without
a dimension for the batch ("old") or with it; six without key points. Random weights over real pictures. Pictures, rows
and duplicates are taken as insightface's detection/scrfd/tools/scrfd.py says, in code of its own: pictures at the upper
left over black, (RGB - 127.5) / 128, places in corners of cells, overlaps above 0.4 suppressed.
"""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import torch
from torch import nn

SIZE, LOW, IOU = 320, 0.5, 0.4
STRIDES, EACH = (8, 16, 32), 2
KINDS = {"landmarks": (True, True), "landmarks-old": (True, False), "boxes": (False, True), "boxes-old": (False, False)}


class Faces(nn.Module):
    """Heads of three grids."""

    def __init__(self, landmarks, batched):
        super().__init__()
        self.landmarks, self.batched = landmarks, batched
        self.features = nn.Sequential(
            nn.Conv2d(3, 24, 7, 4, 3), nn.BatchNorm2d(24), nn.ReLU(), nn.Conv2d(24, 32, 3, 2, 1), nn.BatchNorm2d(32),
            nn.ReLU(),
        )  # fmt: skip
        heads = [nn.Sequential(nn.Conv2d(32, EACH * 15, 3, 1, 1), nn.BatchNorm2d(EACH * 15)) for _ in STRIDES]
        self.heads = nn.ModuleList(heads)

    def forward(self, pixels):
        cells, parts = self.features(pixels), ([], [], [])
        for head, stride in zip(self.heads, STRIDES):
            out = head(nn.functional.avg_pool2d(cells, stride // 8)).permute(0, 2, 3, 1)
            scores, sides, points = out.reshape(len(out), -1, 15).split((1, 4, 10), 2)
            parts[0].append((scores * 1.5 - 2.5).sigmoid())
            parts[1].append(1 + sides.sigmoid())
            parts[2].append(points.tanh())
        rows = [row for part in parts[: 3 if self.landmarks else 2] for row in part]
        return tuple(rows if self.batched else [row[0] for row in rows])


def placed(image):
    """A picture in the input, and its scale."""
    scale = min(SIZE / image.shape[0], SIZE / image.shape[1])
    whole = np.zeros((SIZE, SIZE, 3), np.uint8)
    inside = cv2.resize(image, (round(image.shape[1] * scale), round(image.shape[0] * scale)))
    whole[: inside.shape[0], : inside.shape[1]] = inside
    scales = np.array([inside.shape[1] / image.shape[1], inside.shape[0] / image.shape[0]])
    return ((whole[..., ::-1].astype(np.float32) - 127.5) / 128).transpose(2, 0, 1)[None], scales


def suppressed(boxes, scores):
    """Indices that are left, best first."""
    order, kept = np.argsort(-scores, kind="stable"), []
    while len(order):
        first, order = order[0], order[1:]
        kept.append(first)
        low, high = np.maximum(boxes[first, :2], boxes[order, :2]), np.minimum(boxes[first, 2:], boxes[order, 2:])
        inter = (high - low).clip(0).prod(1)
        area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
        order = order[inter / (area[first] + area[order] - inter) <= IOU]
    return kept


def answered(session, image, landmarks):
    """The rows of one picture."""
    pixels, scales = placed(image)
    outs = [out.reshape(-1, out.shape[-1]) for out in session.run(None, {session.get_inputs()[0].name: pixels})]
    scores, boxes, points = [], [], []
    for level, stride in enumerate(STRIDES):
        side = SIZE // stride
        places = [(x * stride, y * stride) for y in range(side) for x in range(side) for _ in range(EACH)]
        middle, sides = np.array(places, np.float32), outs[level + 3] * stride
        scores.append(outs[level][:, 0])
        boxes.append(np.concatenate([middle - sides[:, :2], middle + sides[:, 2:]], 1))
        if landmarks:
            points.append(middle[:, None] + outs[level + 6].reshape(-1, 5, 2) * stride)
    scores, boxes = np.concatenate(scores), np.concatenate(boxes) / np.tile(scales, 2)
    wanted = np.flatnonzero(scores >= LOW)
    kept = wanted[suppressed(boxes[wanted], scores[wanted])]
    rows = [{"class": 0, "score": float(scores[one]), "box": boxes[one].tolist()} for one in kept]
    for row, one in zip(rows, kept if landmarks else ()):
        row["points"] = (np.concatenate(points)[one] / scales).tolist()
    height, width = image.shape[:2]
    for row in rows:  # as bundles clip what reaches out of the picture
        row["box"] = np.clip(row["box"], 0, [width, height] * 2).tolist()
        if landmarks:
            row["points"] = np.clip(row["points"], 0, [width, height]).tolist()
    return rows


def main():
    """Make each model and its answers."""
    torch.set_num_threads(1)
    paths, target = sorted(Path(sys.argv[1]).glob("*.jpg")), Path(sys.argv[2])
    images = [cv2.imread(str(path)) for path in paths]
    for name, (landmarks, batched) in KINDS.items():
        torch.manual_seed(3)
        network = Faces(landmarks, batched)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None
        with torch.no_grad():
            network(torch.from_numpy(np.concatenate([placed(image)[0] for image in images])))
        file = str(target / f"scrfd-{name}.onnx")
        torch.onnx.export(
            network.eval(), (torch.zeros(1, 3, SIZE, SIZE),), file, opset_version=11, dynamo=False,
        )  # fmt: skip
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        rows = {path.name: answered(session, image, landmarks) for path, image in zip(paths, images)}
        Path(file).with_suffix(".answers.json").write_text(json.dumps(rows))
        print(name, {key: len(one) for key, one in rows.items()}, flush=True)


main()
