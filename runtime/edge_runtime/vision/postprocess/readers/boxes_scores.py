"""Boxes and class scores in two outputs: SSD, DETR, YOLO-NAS, DAMO-YOLO, PP-YOLOE."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_runtime.vision.postprocess.boxes import corners
from edge_runtime.vision.postprocess.candidates import Candidates, Question, input_size, misshaped
from edge_runtime.vision.postprocess.grid import decode_anchors
from edge_runtime.vision.postprocess.readers.scores import best_classes, named_classes
from edge_runtime.vision.postprocess.tensors import activate

__all__ = ["boxes_scores"]

Floats = NDArray[np.float32]


def boxes_scores(ask: Question, tensors: Sequence[Floats]) -> Candidates:
    boxes, scores = tensors[0], tensors[1]
    if boxes.size != 4 * boxes.shape[0] or boxes.shape[-1] != 4:
        raise misshaped(ask, boxes, "[N, A, 4]")
    if scores.ndim == 2 and len(scores) != len(boxes) == scores.shape[1]:
        scores = scores.T  # PaddleDetection without its suppression, ppdet/modeling/heads/ppyoloe_head.py, post_process
    if scores.ndim != 2 or len(scores) != len(boxes):
        raise misshaped(ask, scores, f"[N, {len(boxes)}, C]", output=1)
    if ask.spec.activation == "sigmoid" and not ask.spec.nms:
        kept, best, classes = _pairs(ask, scores)
    else:
        kept, best, classes = best_classes(ask, scores, None, output=1)
    found = corners(boxes.reshape(-1, 4)[kept], ask.spec.box)
    if len(tensors) > 2:
        if tensors[2].shape != (len(boxes), 4):
            raise misshaped(ask, tensors[2], f"[N, {len(boxes)}, 4]", output=2)
        found = decode_anchors(found, corners(tensors[2][kept], ask.spec.box))
    return Candidates(found * input_size(ask) if ask.spec.normalized else found, best, classes, rows=kept)


def _pairs(ask: Question, logits: Floats) -> tuple[NDArray[np.int64], Floats, NDArray[np.int64]]:
    """Queries and classes that reach the confidence, as many as there are queries: a query may be of two classes.

    Source: transformers, models/rt_detr/image_processing_rt_detr.py, post_process_object_detection; so do RT-DETR's,
    D-FINE's, DEIM's and RF-DETR's own.
    """
    scores = activate(named_classes(ask, logits, output=1), "sigmoid", axis=1)
    rows, classes = np.nonzero(scores >= np.float32(ask.confidence))
    found = scores[rows, classes]
    order = np.argsort(-found, kind="stable")[: len(logits)]
    return rows[order], found[order], classes[order]
