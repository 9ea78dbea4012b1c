"""Boxes that are told relative to the points of a grid, or to other boxes."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "decode_anchors",
    "decode_distances",
    "decode_fastest",
    "decode_grid",
    "decode_sized_anchors",
    "grid_points",
]

Floats = NDArray[np.float32]


def decode_anchors(offsets: Floats, anchors: Floats) -> Floats:
    """Move anchors x1 y1 x2 y2 [K, 4] by offsets of their corners, told in units of their size.

    Source: STMicroelectronics/stm32ai-modelzoo, decode_ssd_predictions.
    """
    size = anchors[:, 2:] - anchors[:, :2]
    return np.asarray(offsets * np.concatenate([size, size], axis=1) + anchors, np.float32)


@lru_cache(maxsize=8)
def grid_points(width: int, height: int, strides: tuple[int, ...]) -> Floats:
    """Rows gx gy stride of every anchor point of an input of this size in pixels, row-major, [A, 3]."""
    levels = []
    for stride in strides:
        # Padded convolutions of stride 2 round up.
        rows, columns = np.mgrid[: -(-height // stride), : -(-width // stride)]
        levels.append(np.stack([columns, rows, np.full_like(rows, stride)], axis=2).reshape(-1, 3))
    points = np.concatenate([np.empty((0, 3), np.int64), *levels]).astype(np.float32)
    points.flags.writeable = False
    return points


def decode_grid(rows: Floats, points: Floats) -> Floats:
    """Turn rows dx dy log(w) log(h) at their points [K, 3] into cx cy w h in input pixels [K, 4].

    arXiv 2107.08430, section 2.1: cx = (gx + dx) * stride, w = exp(log w) * stride.
    """
    stride = points[:, 2:]
    with np.errstate(over="ignore"):  # the caller checks that boxes are finite
        size = np.exp(rows[:, 2:]) * stride
    return np.concatenate([(points[:, :2] + rows[:, :2]) * stride, size], axis=1)


def decode_fastest(rows: Floats, points: Floats, width: int, height: int) -> Floats:
    """Turn rows of FastestDet's four offsets at their points gx gy [K, 2] into normalised cx cy w h [K, 4].

    Source: dog-qiuqiu/FastestDet, utils/tool.py, handle_preds; the grid has `width` x `height` points.
    """
    cells = np.array([width, height], np.float32)
    size = 0.5 * np.tanh(0.5 * rows[:, 2:]) + 0.5  # the logistic function
    return np.concatenate([(np.tanh(rows[:, :2]) + points) / cells, size], axis=1)


def decode_sized_anchors(rows: Floats, points: Floats, sizes: Floats) -> Floats:
    """Turn rows x y w h in 0..1 at points gx gy stride [K, 3] with anchors of `sizes` [K, 2] into cx cy w h in pixels.

    Source: ultralytics/yolov5, models/yolo.py, Detect.forward; dog-qiuqiu/Yolo-FastestV2, utils/utils.py.
    """
    centre = (rows[:, :2] * 2 - np.float32(0.5) + points[:, :2]) * points[:, 2:]
    return np.concatenate([centre, (rows[:, 2:] * 2) ** 2 * sizes], axis=1)


def decode_distances(rows: Floats, points: Floats, centre: float, bins: int) -> Floats:
    """Turn distances left top right bottom at points gx gy stride [K, 3] into x1 y1 x2 y2 in pixels [K, 4].

    Rows are [K, 4 * bins]; with bins above 1 a distance is the mean of 0, 1, 2, ... weighed by their softmax
    (arXiv 2006.04388, section 3.2). Source: RangiLyu/nanodet, nanodet/model/head/nanodet_plus_head.py, Integral;
    deepinsight/insightface, detection/scrfd/tools/scrfd.py, distance2bbox.
    """
    if bins > 1:
        logits = rows.reshape(len(rows), 4, bins)
        powers = np.exp(logits - logits.max(axis=2, keepdims=True))
        rows = powers @ np.arange(bins, dtype=np.float32) / powers.sum(axis=2)
    stride = points[:, 2:]
    middle = (points[:, :2] + np.float32(centre)) * stride
    return np.concatenate([middle - rows[:, :2] * stride, middle + rows[:, 2:] * stride], axis=1)
