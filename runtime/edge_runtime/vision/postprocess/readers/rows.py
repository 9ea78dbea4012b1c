"""A row per box with its class scores: Ultralytics' and YOLOv5's decoded outputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_runtime.vision.postprocess.candidates import Candidates, Question, misshaped, to_pixels
from edge_runtime.vision.postprocess.readers.scores import best_classes

__all__ = ["rows_of", "yolo", "yolo_objectness"]

Floats = NDArray[np.float32]


def yolo(ask: Question, tensors: Sequence[Floats]) -> Candidates:
    rows = rows_of(ask, tensors[0], before=4)
    kept, scores, classes = best_classes(ask, rows[:, 4:], None)
    return Candidates(to_pixels(ask, rows[kept, :4]), scores, classes)


def yolo_objectness(ask: Question, tensors: Sequence[Floats]) -> Candidates:
    rows = rows_of(ask, tensors[0], before=5)
    kept, scores, classes = best_classes(ask, rows[:, 5:], rows[:, 4])
    return Candidates(to_pixels(ask, rows[kept, :4]), scores, classes)


def rows_of(ask: Question, array: Floats, before: int, anchors: int | None = None) -> Floats:
    """A view of `array` as one row per anchor, `before` columns ahead of the class scores.

    The declared axis decides, unless the number of anchors or of labels fits only the other way round.
    """
    if array.ndim != 2 or min(array.shape) < 1:
        raise misshaped(ask, array, f"[N, {before}+C, A] or [N, A, {before}+C]")
    turned = ask.spec.column_axis == 1
    first, last = array.shape
    if anchors is not None and (first == anchors) != (last == anchors):
        turned = last == anchors
    elif ask.labels:
        columns = before + ask.labels + (ask.spec.background != "none")
        if (first == columns) != (last == columns):
            turned = first == columns
    rows = array.T if turned else array
    if rows.shape[1] <= before:
        raise misshaped(ask, array, f"at least {before + 1} columns")
    return rows
