"""Boxes told relative to the cells of a grid: YOLOX and FastestDet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import EngineError
from edge_runtime.vision.postprocess.boxes import corners
from edge_runtime.vision.postprocess.candidates import Candidates, Question, input_size, misshaped
from edge_runtime.vision.postprocess.grid import decode_fastest, decode_grid, grid_points
from edge_runtime.vision.postprocess.readers.by_stride import grid_heads
from edge_runtime.vision.postprocess.readers.columns import split_columns
from edge_runtime.vision.postprocess.readers.rows import rows_of, scored, with_parts
from edge_runtime.vision.postprocess.readers.scores import best_classes

__all__ = ["fastest", "grid"]

Floats = NDArray[np.float32]


def grid(ask: Question, tensors: Sequence[Floats]) -> Candidates:
    if ask.spec.columns or len(tensors) > 1:
        return grid_heads(ask, tensors)
    width, height, strides = ask.place.input_width, ask.place.input_height, ask.spec.strides
    anchors = grid_points(width, height, strides)
    rows = rows_of(ask, tensors[0], anchors=len(anchors))
    if len(rows) != len(anchors):
        raise EngineError(
            f"expected {len(anchors)} anchor points for {width}x{height} pixels and strides {list(strides)}, "
            f"found {len(rows)} in output {ask.names[0]!r}; export again with the right --size or --strides"
        )
    parts = split_columns(ask, rows, ask.spec.row)
    kept, scores, classes = scored(ask, parts)
    boxes = corners(decode_grid(parts["box"][kept], anchors[kept]), "cxcywh")
    found = with_parts(ask, Candidates(boxes, scores, classes, rows=kept), parts)
    if found.points is not None:  # told as a box's centre is
        found.points[:, :, :2] = (found.points[:, :, :2] + anchors[kept, None, :2]) * anchors[kept, None, 2:]
    return found


def fastest(ask: Question, tensors: Sequence[Floats]) -> Candidates:
    if tensors[0].ndim != 3 or tensors[0].shape[0] < 6:
        raise misshaped(ask, tensors[0], "[N, 5+C, H, W]")
    channels, height, width = tensors[0].shape
    rows = tensors[0].reshape(channels, -1).T
    kept, scores, classes = best_classes(ask, rows[:, 5:], rows[:, 0])
    points = grid_points(width, height, (1,))[kept, :2]
    boxes = corners(decode_fastest(rows[kept, 1:5], points, width, height), "cxcywh")
    return Candidates(boxes * input_size(ask), scores, classes)
