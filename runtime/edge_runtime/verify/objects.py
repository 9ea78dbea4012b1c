"""Detected objects as rows of numbers, and when two of them are the same.

A row is x1 y1 x2 y2 confidence class, and where the model gives them:
    5 values     the turned box: cx cy w h angle
    3 a point    x y confidence
    16 values    the mask: the rows of a grid of 16 x 16 over the box, each the bits of a number, the left one highest
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from edge_runtime.bundle.postprocess_spec import Detect
from edge_runtime.results import Mask, Prediction
from edge_runtime.vision.postprocess.boxes import iou

__all__ = ["overlaps", "packed_objects", "unlike"]

Floats = NDArray[np.float32]

_BOX = 6  # values of a row that every object has
_TURNED = 5
_GRID = 16
_SAME_MASK = 0.5  # IoU
_NEAR = 0.1  # how far points may lie from each other on average, of the box's diagonal
_SEEN = 0.25  # confidence


def _row_length(post: Detect) -> int:
    """How many values a row has."""
    points = 3 * post.points.count if post.points else 0
    return _BOX + _TURNED * (post.angle != "none") + points + _GRID * (post.masks is not None)


def packed_objects(post: Detect, predictions: tuple[Prediction, ...]) -> Floats:
    """The objects of an image as rows."""
    rows = [_packed(post, prediction) for prediction in predictions if prediction.box]
    return np.array(rows, np.float32).reshape(-1, _row_length(post))


def _packed(post: Detect, seen: Prediction) -> list[float]:
    row = [*dataclasses.astuple(seen.box), seen.confidence, seen.class_id] if seen.box else []
    if post.angle != "none":
        row += dataclasses.astuple(seen.oriented) if seen.oriented else [0.0] * _TURNED
    if post.points:
        row += [value for point in seen.points for value in dataclasses.astuple(point)]
    if post.masks:
        row += _bits(seen.mask) if seen.mask else [0] * _GRID
    return row


def _bits(mask: Mask) -> list[float]:
    rows, columns = (((np.arange(_GRID) + 0.5) * side / _GRID).astype(np.int64) for side in mask.inside.shape)
    powers = 2.0 ** np.arange(_GRID)[::-1]
    return [float(row) for row in mask.inside[rows][:, columns] @ powers]


def overlaps(post: Detect, row: Floats, others: Floats) -> NDArray[np.floating]:
    """IoU of a row's box with those of others, as they are turned."""
    if post.angle == "none":
        return iou(row[:4], others[:, :4])
    from edge_runtime.vision.postprocess.oriented import oriented_iou  # loaded when a model needs it

    return oriented_iou(row[_BOX : _BOX + _TURNED], others[:, _BOX : _BOX + _TURNED])


def unlike(post: Detect, row: Floats, other: Floats) -> str:
    """Tell what of two objects at the same place is not alike, in words; "" where all is."""
    start = _BOX + _TURNED * (post.angle != "none")
    if post.points:
        end = start + 3 * post.points.count
        if not _near(row[start:end].reshape(-1, 3), other[start:end].reshape(-1, 3), row[:4]):
            return "has its key points elsewhere"
        start = end
    if post.masks and _mask_iou(row[start : start + _GRID], other[start : start + _GRID]) < _SAME_MASK:
        return "has another mask"
    return ""


def _near(points: Floats, others: Floats, box: Floats) -> bool:
    seen = (points[:, 2] >= _SEEN) & (others[:, 2] >= _SEEN)
    apart = np.hypot(*(points[seen, :2] - others[seen, :2]).T)
    return not apart.size or float(apart.mean()) <= _NEAR * float(np.hypot(box[2] - box[0], box[3] - box[1]))


def _mask_iou(bits: Floats, others: Floats) -> float:
    """IoU of two grids; 1 where both are empty. A file may hold any number: what is no row of bits is cut to one."""
    one, other = (np.clip(np.rint(values), 0, 2**_GRID - 1).astype(np.uint16) for values in (bits, others))
    shared, either = (np.unpackbits(values.view(np.uint8)).sum() for values in (one & other, one | other))
    return float(shared) / float(either) if either else 1.0
