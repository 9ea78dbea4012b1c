"""From the network's raw output to boxes: decoding, and non-maximum suppression per class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Detections:
    """What was found in one picture, best first: boxes [n, 4] x1 y1 x2 y2 pixels, scores [n], labels [n]."""

    boxes: Floats
    scores: Floats
    labels: NDArray[np.int64]


def iou(one: Floats, many: Floats) -> Floats:
    """IoU of each box in [n, 4] with each box in [m, 4]: [n, m]."""
    a, b = one[:, None], many[None]
    inner = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None).prod(-1)
    union = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - inner
    return np.asarray(inner / np.maximum(union, 1e-9), np.float32)


def decode(
    raw: Floats,
    columns: int,
    stride: int = 8,
    threshold: float = 0.01,
    suppress: float = 0.4,
    most: int = 100,
) -> Detections:
    """Detections from one picture's raw output [4 + C, A] on a grid `columns` wide.

    Keeps each point's every class above `threshold`; of two boxes of one class that overlap by more than
    `suppress` (IoU) the weaker goes.
    """
    scores = 1 / (1 + np.exp(-np.clip(raw[4:], -30, 30)))
    labels, points = np.nonzero(scores > threshold)
    score = scores[labels, points]
    order = np.argsort(-score, kind="stable")[:1000]
    labels, points, score = labels[order], points[order], score[order]
    x = (points % columns + raw[0, points]) * stride
    y = (points // columns + raw[1, points]) * stride
    w = np.exp(np.clip(raw[2, points], -4, 6)) * (stride / 2)
    h = np.exp(np.clip(raw[3, points], -4, 6)) * (stride / 2)
    boxes = np.stack([x - w, y - h, x + w, y + h], 1).astype(np.float32)
    apart = boxes + labels[:, None].astype(np.float32) * 10_000  # classes do not suppress one another
    overlaps = iou(apart, apart)
    keep: list[int] = []
    gone = np.zeros(len(boxes), bool)
    for i in range(len(boxes)):
        if gone[i]:
            continue
        keep.append(i)
        if len(keep) == most:
            break
        gone |= overlaps[i] > suppress
    return Detections(boxes[keep], score[keep].astype(np.float32), labels[keep].astype(np.int64))
