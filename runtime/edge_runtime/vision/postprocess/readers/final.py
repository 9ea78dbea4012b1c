"""Boxes that the graph itself selected, in one output or in several."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_runtime.vision.postprocess.candidates import Candidates, Question, misshaped, to_pixels
from edge_runtime.vision.postprocess.readers.columns import split_columns
from edge_runtime.vision.postprocess.readers.rows import scored, with_parts
from edge_runtime.vision.postprocess.readers.scores import told_classes

__all__ = ["final", "final_split"]

Floats = NDArray[np.float32]


def final(ask: Question, tensors: Sequence[Floats]) -> Candidates:
    rows, fixed = tensors[0], ask.spec.row_values
    scores = "classes" in ask.spec.row
    if rows.ndim != 2 or (rows.shape[1] <= fixed if scores else rows.shape[1] != fixed):
        raise misshaped(ask, rows, f"[N, K, {fixed}{'+C' if scores else ''}]")
    parts = split_columns(ask, rows, ask.spec.row)
    kept, best, classes = scored(ask, parts)
    found = Candidates(to_pixels(ask, parts["box"][kept]), best, classes, rows=kept)
    return with_parts(ask, found, parts)


def final_split(ask: Question, tensors: Sequence[Floats]) -> Candidates:
    boxes, classes, scores = tensors[:3]
    width = 4 if ask.spec.angle == "none" else 5
    if boxes.ndim != 2 or boxes.shape[1] != width:
        raise misshaped(ask, boxes, f"[N, K, {width}]")
    for output, array in ((1, classes), (2, scores)):
        if array.shape != boxes.shape[:1]:
            raise misshaped(ask, array, f"[N, {len(boxes)}]", output)
    # The rows after the count are whatever the memory held.
    count = max(int(tensors[3].reshape(-1)[0]), 0) if len(tensors) > 3 else len(boxes)
    kept, best, ids = told_classes(ask, scores[:count], classes[:count], output=2)
    found = Candidates(to_pixels(ask, boxes[kept, :4]), best, ids, rows=kept)
    return with_parts(ask, found, {"angle": boxes[:, 4:]} if width == 5 else {})
