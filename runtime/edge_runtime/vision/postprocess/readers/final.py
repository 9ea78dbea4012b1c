"""Boxes that the graph itself selected, in one output or in several."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import EngineError
from edge_runtime.vision.postprocess.candidates import Candidates, Question, misshaped, to_pixels
from edge_runtime.vision.postprocess.readers.columns import split_columns
from edge_runtime.vision.postprocess.readers.rows import scored, with_parts
from edge_runtime.vision.postprocess.readers.scores import told_classes

__all__ = ["final", "final_labels", "final_split"]

Floats = NDArray[np.float32]


def final(ask: Question, tensors: Sequence[Floats]) -> Candidates:
    """Rows of boxes with their scores and classes, in the order that the manifest tells.

    A second output counts them, or holds the scores that the rows do not have (PINTO0309/PINTO_model_zoo); then a third
    may count them (super-gradients, pose_nms.py: rows after those are what was suppressed).
    Sources: THU-MIG/yolov10, ultralytics/nn/modules/head.py, v10Detect; WongKinYiu/yolov7, models/experimental.py,
    ONNX_ORT; PaddlePaddle/PaddleDetection, deploy/python/infer.py; OpenVINO's DetectionOutput-8.
    """
    rows, fixed = tensors[0], ask.spec.row_values
    told = "score" in ask.spec.row or "classes" in ask.spec.row
    if len(tensors) > 1 and told:
        rows = rows[: _count(ask, tensors[1], len(rows), output=1)]
    scores = "classes" in ask.spec.row
    if rows.ndim != 2 or (rows.shape[1] <= fixed if scores else rows.shape[1] != fixed):
        raise misshaped(ask, rows, f"[N, K, {fixed}{'+C' if scores else ''}]")
    parts = split_columns(ask, rows, ask.spec.row)
    if not told:
        if len(tensors) < 2 or tensors[1].size != len(rows):
            raise misshaped(ask, tensors[-1], f"[{len(rows)}] scores beside rows without one", output=len(tensors) - 1)
        parts["score"] = tensors[1].reshape(-1, 1)
        if len(tensors) > 2:
            count = _count(ask, tensors[2], len(rows), output=2)
            parts = {name: part[:count] for name, part in parts.items()}
    kept, best, classes = scored(ask, parts)
    found = Candidates(to_pixels(ask, parts["box"][kept]), best, classes, rows=kept)
    return with_parts(ask, found, parts)


def final_split(ask: Question, tensors: Sequence[Floats]) -> Candidates:
    """Boxes, classes and scores in outputs of their own, and perhaps how many there are.

    Sources: tensorflow/models, research/object_detection/exporter_lib_v2.py; pytorch/vision, torchvision/models/
    detection/generalized_rcnn.py; lyuwenyu/RT-DETR, rtdetr_pytorch/tools/export_onnx.py; TensorRT's EfficientNMS.
    """
    boxes, classes, scores = tensors[:3]
    width = 4 if ask.spec.angle == "none" else 5
    if boxes.ndim != 2 or boxes.shape[1] != width:
        raise misshaped(ask, boxes, f"[N, K, {width}]")
    for output, array in ((1, classes), (2, scores)):
        if array.shape != boxes.shape[:1]:
            raise misshaped(ask, array, f"[N, {len(boxes)}]", output)
    count = _count(ask, tensors[3], len(boxes), output=3) if len(tensors) > 3 else len(boxes)
    kept, best, ids = told_classes(ask, scores[:count], classes[:count], output=2)
    found = Candidates(to_pixels(ask, boxes[kept, :4]), best, ids, rows=kept)
    return with_parts(ask, found, {"angle": boxes[:, 4:]} if width == 5 else {})


def final_labels(ask: Question, tensors: Sequence[Floats]) -> Candidates:
    """Rows of boxes with their scores, classes in an output of their own.

    Sources: open-mmlab/mmdeploy, mmdeploy/codebase/mmdet/deploy/object_detection.py (it fills up with scores of 0);
    open-edge-platform/model_api, model_api/models/detection_model.py.
    """
    rows, classes = tensors
    if rows.ndim != 2 or rows.shape[1] != ask.spec.row_values:
        raise misshaped(ask, rows, f"[N, K, {ask.spec.row_values}]")
    if classes.shape != rows.shape[:1]:
        raise misshaped(ask, classes, f"[N, {len(rows)}]", output=1)
    parts = split_columns(ask, rows, ask.spec.row)
    if "score" not in parts:
        raise misshaped(ask, rows, "a score in each row")
    kept, best, ids = told_classes(ask, parts["score"][:, 0], classes)
    return with_parts(ask, Candidates(to_pixels(ask, parts["box"][kept]), best, ids, rows=kept), parts)


def _count(ask: Question, told: Floats, rows: int, output: int) -> int:
    """How many rows there are: those after them are whatever the memory held."""
    count = float(told.reshape(-1)[0]) if told.size == 1 else -1.0
    if not (0 <= count <= rows and count == int(count)):
        raise EngineError(
            f"expected how many of {rows} rows there are in output {ask.names[output]!r}, found "
            f"{told.reshape(-1)[:4].tolist()}; export again with the right --outputs"
        )
    return int(count)
