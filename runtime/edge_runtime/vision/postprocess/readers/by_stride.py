"""Detectors with a head for each stride: YOLOX, YuNet, YOLOv5 and v7 without their last layer, NanoDet, SCRFD."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_runtime.bundle.postprocess_spec import Column
from edge_runtime.vision.postprocess.boxes import corners
from edge_runtime.vision.postprocess.candidates import Candidates, Question, misshaped
from edge_runtime.vision.postprocess.grid import decode_distances, decode_grid, decode_sized_anchors, grid_points
from edge_runtime.vision.postprocess.readers.heads import Head, anchor_sizes, cells_of, count_anchors, heads
from edge_runtime.vision.postprocess.readers.scores import best_classes
from edge_runtime.vision.postprocess.tensors import activate, check_finite

__all__ = ["anchors", "count_classes", "distances", "fastest_v2", "grid_heads"]

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]
# What turns rows at `kept` of a head into boxes x1 y1 x2 y2 in pixels, and x y of key points [K, P, 2] likewise.
_Boxes = Callable[[Question, Head, Indices], Floats]
_Places = Callable[[Question, Head, Indices, Floats], Floats]


def grid_heads(ask: Question, tensors: Sequence[Floats]) -> Candidates:
    """YOLOX's grid with a head for each stride. YuNet: cls, obj, bbox, kps for each, points told as centres are.

    Source: opencv/opencv, modules/objdetect/src/face_detect.cpp, postProcess.
    """
    return _read(ask, tensors, _grid_boxes, _grid_places)


def anchors(ask: Question, tensors: Sequence[Floats]) -> Candidates:
    """YOLOv5's and v7's heads [N, 3, H, W, 5+C]; YOLOv5-face's landmarks are told in sizes of the anchor.

    Source: ultralytics/yolov5, models/yolo.py, Detect.forward; deepcam-cn/yolov5-face, models/yolo.py.
    """
    return _read(ask, tensors, _anchor_boxes, _anchor_places)


def distances(ask: Question, tensors: Sequence[Floats]) -> Candidates:
    """NanoDet's rows of class scores and distributions; SCRFD's scores, distances and landmarks, two for each cell.

    Source: RangiLyu/nanodet, nanodet/model/head/nanodet_plus_head.py, _forward_onnx and get_bboxes (its points lie in
    the corners of cells, those of gfl_head.py in the middle); deepinsight/insightface, detection/scrfd/tools/scrfd.py.
    """
    return _read(ask, tensors, _distance_boxes, _distance_places)


def fastest_v2(ask: Question, tensors: Sequence[Floats]) -> Candidates:
    """Yolo-FastestV2: for each stride 4 * anchors, anchors and C values per cell, in one output or in three.

    Source: dog-qiuqiu/Yolo-FastestV2, utils/utils.py, handel_preds; sample/ncnn/src/yolo-fastestv2.cpp.
    """
    count = count_anchors(ask.spec)
    found = []
    for level, cells in enumerate(cells_of(ask, tensors)):
        widths = [part.values.shape[1] for part in cells]
        if len(cells) == 1 and widths[0] > 5 * count:
            box, objectness, classes = np.split(cells[0].values, [4 * count, 5 * count], axis=1)
        elif len(cells) == 3 and widths[:2] == [4 * count, count]:
            box, objectness, classes = (part.values for part in cells)
        else:
            raise misshaped(ask, cells[0].values, f"{4 * count}, {count} and C columns for each cell", cells[0].output)
        if ask.spec.activation == "softmax":  # among the classes; the rest is logits too
            box, objectness = activate(box, "sigmoid", axis=0), activate(objectness, "sigmoid", axis=0)
        points = grid_points(ask.place.input_width, ask.place.input_height, (ask.spec.strides[level],))
        cell = np.repeat(np.arange(len(points)), count)
        kept, scores, ids = best_classes(ask, classes[cell], objectness.reshape(-1), cells[-1].output)
        sizes = anchor_sizes(ask.spec, level, len(points))[kept]
        boxes = decode_sized_anchors(box.reshape(-1, 4)[kept], points[cell[kept]], sizes)
        found.append(Candidates(corners(boxes, "cxcywh"), scores, ids))
    return Candidates.joined(found)


def count_classes(ask: Question, tensors: Sequence[Floats]) -> int:
    """How many classes the heads of one image score. Raises EngineError for heads that do not fit."""
    if ask.spec.format == "fastest-v2":
        first = cells_of(ask, tensors)[0]
        return int(first[-1].values.shape[1]) - (5 * count_anchors(ask.spec) if len(first) == 1 else 0)
    parts = next(heads(ask, tensors, ask.spec.row)).parts
    return int(parts["classes"].shape[1]) if "classes" in parts else 1


def _read(ask: Question, tensors: Sequence[Floats], boxes: _Boxes, places: _Places) -> Candidates:
    found = []
    for head in heads(ask, tensors, ask.spec.row):
        part: Column = "classes" if "classes" in head.parts else "score"
        objectness = head.parts["objectness"][:, 0] if "objectness" in head.parts else None
        kept, scores, classes = best_classes(ask, head.parts[part], objectness, head.outputs[part])
        points = None
        if ask.spec.points is not None and "points" in head.parts:
            values = head.parts["points"][kept].reshape(len(kept), ask.spec.points.count, ask.spec.points.values)
            points = np.ones((*values.shape[:2], 3), np.float32)
            points[..., :2] = places(ask, head, kept, values[..., :2])
            check_finite(points, "points, decoded")
            if ask.spec.points.values == 3:
                points[..., 2] = activate(values[..., 2], ask.spec.points.activation, axis=0)
        found.append(Candidates(boxes(ask, head, kept), scores, classes, points=points))
    return Candidates.joined(found)


def _grid_boxes(ask: Question, head: Head, kept: Indices) -> Floats:
    return corners(decode_grid(head.parts["box"][kept], head.points[kept]), "cxcywh")


def _grid_places(ask: Question, head: Head, kept: Indices, told: Floats) -> Floats:
    points = head.points[kept, None]
    return np.asarray((points[..., :2] + told) * points[..., 2:], np.float32)


def _anchor_boxes(ask: Question, head: Head, kept: Indices) -> Floats:
    rows = activate(head.parts["box"][kept], ask.spec.activation, axis=1)
    return corners(decode_sized_anchors(rows, head.points[kept], head.anchors[kept]), "cxcywh")


def _anchor_places(ask: Question, head: Head, kept: Indices, told: Floats) -> Floats:
    points = head.points[kept, None]
    return np.asarray(told * head.anchors[kept, None] + points[..., :2] * points[..., 2:], np.float32)


def _distance_boxes(ask: Question, head: Head, kept: Indices) -> Floats:
    return decode_distances(head.parts["box"][kept], head.points[kept], ask.spec.centre, ask.spec.bins)


def _distance_places(ask: Question, head: Head, kept: Indices, told: Floats) -> Floats:
    points = head.points[kept, None]
    return np.asarray((points[..., :2] + np.float32(ask.spec.centre) + told) * points[..., 2:], np.float32)
