"""The YOLO families that other repositories publish: v5, v6, v7, YOLOX."""

from __future__ import annotations

import dataclasses

from edge_export.model.families.common import IMAGENET, LETTERBOX, OPENCV, normalized
from edge_export.model.families.family import Family, Match, Out
from edge_export.model.families.ranges import all_ones, objectness, offsets
from edge_export.model.families.ultralytics_metadata import ORIGIN, of_task, task_of
from edge_runtime.bundle.facts import Thresholds
from edge_runtime.bundle.postprocess_spec import Classify, Detect, Masks

__all__ = ["ROWS"]

_YOLOV5 = "https://github.com/ultralytics/yolov5/blob/master/models/yolo.py"
_YOLOX = "https://github.com/Megvii-BaseDetection/YOLOX/blob/main/yolox/models/yolo_head.py"
_YOLOV6 = "https://github.com/meituan/YOLOv6/blob/main/yolov6/models/heads/effidehead_distill_ns.py"
_THRESHOLDS = Thresholds(confidence=0.25, iou=0.45)


def _told_yolov5(match: Match) -> str:
    return ORIGIN if match.shown.labels and task_of(match.shown) == "detect" else ""


def _only_names(match: Match) -> str:
    properties = match.shown.properties
    return "" if "names" in properties and "task" not in properties else "YOLOv5's metadata are names without a task"


_ROWS: tuple[Family, ...] = (
    Family(
        name="yolov5",
        source=_YOLOV5,
        outputs=(Out(("N", "3*A", "5+C")),),
        read=lambda match: Detect(
            format="yolo-objectness", outputs=match.names if len(match.shown.outputs) > 1 else (), axis="channels-last"
        ),
        pixels=LETTERBOX,
        thresholds=_THRESHOLDS,
        when=of_task("detect"),
        told=_told_yolov5,
        extra=True,  # the three raw heads
    ),
    Family(
        name="yolov5-p6",
        source=_YOLOV5,
        outputs=(Out(("N", "3*A", "5+C")),),
        read=lambda match: Detect(
            format="yolo-objectness", outputs=match.names if len(match.shown.outputs) > 1 else (), axis="channels-last"
        ),
        pixels=LETTERBOX,
        thresholds=_THRESHOLDS,
        strides=(8, 16, 32, 64),
        when=of_task("detect"),
        told=_told_yolov5,
        extra=True,
    ),
    Family(
        name="yolov5-seg",
        source="https://github.com/ultralytics/yolov5/blob/master/segment/predict.py",
        outputs=(Out(("N", "3*A", "5+C+M")), Out(("N", "M", "*", "*"))),
        read=lambda match: Detect(
            format="yolo-objectness",
            outputs=match.names[:1],
            axis="channels-last",
            masks=Masks(output=match.names[1], count=match.sizes.get("M", 32), enlarged="scores"),
        ),
        pixels=LETTERBOX,
        thresholds=_THRESHOLDS,
        when=of_task("detect", "segment"),
        told=_told_yolov5,
        extra=True,
    ),
    Family(
        name="yolov5-classify",
        source="https://github.com/ultralytics/yolov5/blob/master/classify/predict.py",
        outputs=(Out(("N", "C")),),
        read=lambda match: Classify(activation="softmax"),
        pixels=IMAGENET,
        when=_only_names,
    ),
    Family(
        name="yolox",
        source=_YOLOX,
        outputs=(Out(("N", "A", "5+C")),),
        read=lambda match: Detect(format="grid", axis="channels-last", strides=(8, 16, 32), objectness=True),
        pixels=OPENCV,
        thresholds=_THRESHOLDS,
        when=of_task("detect"),
        fits=lambda match, pictures: objectness(match, pictures) or offsets(match, pictures),
    ),
    Family(
        name="yolox-decoded",
        source=_YOLOX,
        outputs=(Out(("N", "A", "5+C")),),
        read=lambda match: Detect(format="yolo", axis="channels-last", columns=("box", "objectness", "classes")),
        pixels=OPENCV,
        thresholds=_THRESHOLDS,
        when=of_task("detect"),
        fits=objectness,
    ),
    Family(
        name="yolov6",
        source=_YOLOV6,
        outputs=(Out(("N", "A", "5+C")),),
        read=lambda match: Detect(format="yolo", axis="channels-last", columns=("box", "objectness", "classes")),
        pixels=LETTERBOX,
        thresholds=_THRESHOLDS,
        when=of_task("detect"),
        fits=all_ones,
    ),
)

_NORMALIZED = ("yolov5", "yolov6", "yolox-decoded")
ROWS: tuple[Family, ...] = tuple(
    dataclasses.replace(row, ultralytics=row.name.startswith("yolov5"))
    for row in (*_ROWS, *(normalized(row) for row in _ROWS if row.name in _NORMALIZED))
)
