"""Rectangles: corner form, overlap, suppression, and the way back to the original image.

A box is a row x1 y1 x2 y2, float32; a set of boxes is [K, 4].
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge_runtime.vision.placement import Placement

__all__ = ["MOST_CANDIDATES", "corners", "iou", "nms", "to_original"]

Floats = NDArray[np.float32]

# Candidates beyond these many best ones are noise, and would only cost time.
MOST_CANDIDATES = 3000


def corners(boxes: Floats, order: Literal["cxcywh", "xyxy", "yxyx"]) -> Floats:
    """Bring boxes [K, 4] of any order of coordinates to x1 y1 x2 y2."""
    if order == "xyxy":
        return boxes
    if order == "yxyx":
        return np.asarray(boxes[:, [1, 0, 3, 2]], np.float32)
    half = boxes[:, 2:] * np.float32(0.5)
    return np.asarray(np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1), np.float32)


def iou(box: Floats, others: Floats) -> Floats:
    """Intersection over union of one box [4] with each of `others` [K, 4]; 0 where both are empty."""
    left, top, right, bottom = others.T
    width = np.minimum(box[2], right) - np.maximum(box[0], left)
    height = np.minimum(box[3], bottom) - np.maximum(box[1], top)
    shared = np.maximum(width, 0) * np.maximum(height, 0)
    union = (box[2] - box[0]) * (box[3] - box[1]) + (right - left) * (bottom - top) - shared
    overlap: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return overlap


def nms(
    boxes: Floats,
    scores: Floats,
    classes: NDArray[np.int64],
    threshold: float,
    class_agnostic: bool = False,
) -> NDArray[np.int64]:
    """Indices of the kept boxes among the MOST_CANDIDATES best, best first (equal scores: in their order).

    torchvision's rule: a box goes when its IoU with a better one that is kept is greater than `threshold`;
    boxes of different classes do not suppress each other unless `class_agnostic`.
    """
    order = np.argsort(-scores, kind="stable")[:MOST_CANDIDATES]
    boxes, groups = boxes[order], classes[order] * (not class_agnostic)
    kept: list[int] = []
    for group in sorted(set(groups.tolist())):  # np.unique would load numpy.ma, 20 ms of the first frame
        waiting = np.flatnonzero(groups == group)
        while len(waiting):
            best, waiting = waiting[0], waiting[1:]
            kept.append(int(best))
            waiting = waiting[~(iou(boxes[best], boxes[waiting]) > threshold)]
    return np.asarray(order[sorted(kept)], np.int64)


def to_original(boxes: Floats, place: Placement) -> tuple[Floats, NDArray[np.bool_]]:
    """Carry boxes from input pixels back to original pixels and clip them to the image.

    The second array says which of them still have an area.
    """
    scale = np.array([place.scale_x, place.scale_y] * 2, np.float32)
    offset = np.array([place.offset_x, place.offset_y] * 2, np.float32)
    limit = np.array([place.width, place.height] * 2, np.float32)
    found = np.clip((boxes - offset) / scale, 0, limit)
    return found, (found[:, 2] > found[:, 0]) & (found[:, 3] > found[:, 1])
