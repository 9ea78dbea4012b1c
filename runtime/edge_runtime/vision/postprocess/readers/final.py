"""Boxes that the graph itself selected, in one output or in several."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_runtime.vision.postprocess.candidates import Candidates, Question, input_size, misshaped, to_pixels
from edge_runtime.vision.postprocess.tensors import check_scores

__all__ = ["final", "final_split"]

Floats = NDArray[np.float32]


def final(ask: Question, tensors: Sequence[Floats]) -> Candidates:
    rows = tensors[0]
    if rows.ndim != 2 or rows.shape[1] != 6:
        raise misshaped(ask, rows, "[N, K, 6]")
    return _finished(ask, rows[:, :4], rows[:, 4], rows[:, 5])


def final_split(ask: Question, tensors: Sequence[Floats]) -> Candidates:
    boxes, classes, scores = tensors[:3]
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise misshaped(ask, boxes, "[N, K, 4]")
    for output, array in ((1, classes), (2, scores)):
        if array.shape != boxes.shape[:1]:
            raise misshaped(ask, array, f"[N, {len(boxes)}]", output)
    # The rows after the count are whatever the memory held.
    count = max(int(tensors[3].reshape(-1)[0]), 0) if len(tensors) > 3 else len(boxes)
    return _finished(ask, boxes[:count], scores[:count], classes[:count])


def _finished(ask: Question, boxes: Floats, scores: Floats, classes: Floats) -> Candidates:
    """Detections that the graph itself selected; padding rows have a score of 0 or less."""
    check_scores(np.maximum(scores, 0), ask.names[-1], "none")
    ids = np.rint(classes).astype(np.int64) - (ask.spec.background == "first")
    kept = np.flatnonzero((scores >= np.float32(ask.confidence)) & (ids >= 0))
    if ask.spec.format == "final":
        pixels = boxes[kept] * input_size(ask) if ask.spec.normalized else boxes[kept]
    else:
        pixels = to_pixels(ask, boxes[kept])
    return Candidates(pixels, scores[kept], ids[kept])
