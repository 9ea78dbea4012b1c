"""Boxes that are told relative to the points of a grid, or to other boxes."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["decode_anchors", "decode_fastest", "decode_grid", "grid_points"]

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
