"""Models that Ultralytics' exporter wrote (YOLOv5 to YOLO26, RT-DETR), or that have their layouts without metadata.

Six columns of few rows may be finished boxes as well as the scores of two classes: older versions do not write which,
and pictures tell. The letterbox is that of ultralytics/data/augment.py, LetterBox.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Literal

from edge_export.model.families.common import LETTERBOX, UNIT, normalized
from edge_export.model.families.family import Answers, Family, Match, Out, Pixels
from edge_export.model.families.ranges import angles, no_ids, no_objectness
from edge_export.model.families.shapes import cells_of
from edge_export.model.families.ultralytics_metadata import (
    finished,
    fit_untold,
    is_rtdetr,
    is_yolo,
    key_points,
    of_task,
    point_values,
    strides_of,
    task_of,
    told_by,
)
from edge_runtime.bundle.facts import Thresholds
from edge_runtime.bundle.postprocess_spec import Classify, Detect, Masks, Postprocess, Segment

__all__ = ["ROWS"]

_HEADS = "https://github.com/ultralytics/ultralytics/blob/main/ultralytics/nn/modules/head.py"
# What `yolo predict` uses when nobody says otherwise (cfg/default.yaml).
_THRESHOLDS = Thresholds(confidence=0.25, iou=0.7)
_FINISHED = 6  # columns of a finished box: four corners, a score, a class
_FEWEST_QUERIES = 50
# The strides of the usual heads, of P6 and of P2 models.
_STRIDES = ((8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32))


def _rows_are_cells(match: Match) -> str:
    """R must be the cells of a head where no metadata name the layout."""
    rows, image = match.sizes.get("R"), match.shown.image
    if rows is None or "names" in match.shown.properties or image is None or not image.width:
        return ""
    cells = [cells_of(image, strides) for strides in _STRIDES]
    return "" if rows in cells else f"{rows} rows are not the {cells[0]} cells of {image.width}x{image.height} pixels"


def _detects(match: Match) -> str:
    if is_rtdetr(match.shown):
        return "the metadata name RT-DETR"
    if strides_of(match.shown):
        return "the metadata name the strides of a grid"
    return of_task("detect")(match) or _rows_are_cells(match)


def _turned_row(match: Match) -> str:
    if finished(match.shown) and match.sizes.get("C", 0) + 4 == _FINISHED:
        return "the metadata say that the boxes are finished"
    return _detects(match)


def _told_turned(match: Match) -> str:
    """Two classes and few rows look like finished boxes."""
    few = match.sizes.get("C", 0) + 4 == _FINISHED and match.sizes.get("R", 0) <= 1000
    return "" if few else told_by("detect")(match)


def _told_finished(match: Match) -> str:
    """The metadata say so, or no other layout has six columns for so many classes."""
    # One class and a YOLO: no other layout of theirs has six columns. Two classes: the best rows, chosen in the graph.
    chosen = "TopK" in match.shown.operators
    unclear = (0, 1, 2) if not is_yolo(match.shown) else (0,) if chosen else (0, 2)
    sure = finished(match.shown) or len(match.shown.labels or ()) not in unclear
    return told_by("detect")(match) if sure else ""


def _is_no_rtdetr(match: Match) -> str:
    if is_rtdetr(match.shown):
        return "the metadata name RT-DETR"
    unnamed = "names" not in match.shown.properties
    deformable = unnamed and "GridSample" in match.shown.operators
    return "its attention is deformable, as RT-DETR's is" if deformable else of_task("detect")(match)


def _is_rtdetr(match: Match) -> str:
    if is_yolo(match.shown):
        return "the metadata name a YOLO"
    queries = match.sizes.get("K", _FEWEST_QUERIES)
    few = "names" not in match.shown.properties and queries < _FEWEST_QUERIES
    return f"{queries} queries are fewer than published ones have" if few else of_task("detect")(match)


def _told_rtdetr(match: Match) -> str:
    two = match.sizes.get("C") == 2  # whose scores have as many columns as a score and a class
    return told_by("detect")(match) if is_rtdetr(match.shown) and not two else ""


def _turned_boxes(match: Match, pictures: Sequence[Answers]) -> str:
    """Upright boxes of one class more have the same shape; metadata tell them apart."""
    return "" if told_by("obb")(match) else angles(match, pictures)


def _masks(match: Match) -> Masks:
    return Masks(output=match.names[1], count=match.sizes.get("M", 32), activation="none", threshold=0.0)


def _grid(axis: Literal["channels-first", "channels-last"], objectness: bool) -> Callable[[Match], Postprocess]:
    def read(match: Match) -> Postprocess:
        return Detect(format="grid", axis=axis, strides=strides_of(match.shown), objectness=objectness)

    return read


def _has_strides(match: Match) -> str:
    return of_task("detect")(match) if strides_of(match.shown) else "the metadata name no strides"


def _yolo(match: Match) -> Postprocess:
    return Detect(format="yolo")


_ORDERS: tuple[tuple[str, tuple[str, ...], Literal["channels-first", "channels-last"], bool], ...] = (
    ("", ("N", "4+C", "R"), "channels-first", False),
    ("-transposed", ("N", "R", "4+C"), "channels-last", False),
    ("-objectness", ("N", "5+C", "R"), "channels-first", True),
    ("-objectness-transposed", ("N", "R", "5+C"), "channels-last", True),
)
_GRIDS = tuple(
    Family(
        name=f"anchor-points{name}",
        source="https://github.com/Megvii-BaseDetection/YOLOX/blob/main/yolox/models/yolo_head.py",
        outputs=(Out(shape),),
        read=_grid(axis, objectness),
        pixels=LETTERBOX,
        thresholds=_THRESHOLDS,
        when=_has_strides,
        told=told_by("detect"),
    )
    for name, shape, axis, objectness in _ORDERS
)

_ROWS: tuple[Family, ...] = (
    *_GRIDS,
    Family(
        name="yolov8",
        source=_HEADS,
        outputs=(Out(("N", "4+C", "R")),),
        read=_yolo,
        pixels=LETTERBOX,
        thresholds=_THRESHOLDS,
        when=_detects,
        told=told_by("detect"),
        fits=no_objectness(turned=True),
    ),
    Family(
        name="yolov8-transposed",
        source=_HEADS,
        outputs=(Out(("N", "R", "4+C")),),
        read=lambda match: Detect(format="yolo", axis="channels-last"),
        pixels=LETTERBOX,
        thresholds=_THRESHOLDS,
        when=_turned_row,
        told=_told_turned,
        fits=no_objectness(turned=False),
    ),
    Family(
        name="yolov10",
        source="https://github.com/THU-MIG/yolov10/blob/main/ultralytics/nn/modules/head.py",
        outputs=(Out(("N", "K", "6")),),
        read=lambda match: Detect(format="final", box="xyxy", nms=False),
        pixels=LETTERBOX,
        thresholds=_THRESHOLDS,
        when=_is_no_rtdetr,
        told=_told_finished,
        doubt=fit_untold,
    ),
    Family(
        name="rtdetr-ultralytics",
        source=_HEADS,
        outputs=(Out(("N", "K", "4+C")),),
        read=lambda match: Detect(format="yolo", axis="channels-last", normalized=True, nms=False),
        pixels=UNIT,
        thresholds=_THRESHOLDS,
        when=_is_rtdetr,
        told=_told_rtdetr,
        doubt=fit_untold,
        fits=no_ids(turned=False),
    ),
    Family(
        name="rtdetr-ultralytics-final",
        source=_HEADS,
        outputs=(Out(("N", "K", "6")),),
        read=lambda match: Detect(
            format="final", box="cxcywh", normalized=True, nms=False, columns=("box", "score", "class")
        ),
        pixels=UNIT,
        thresholds=_THRESHOLDS,
        when=_is_rtdetr,
        told=_told_rtdetr,
        doubt=fit_untold,
    ),
    Family(
        name="yolov8-obb",
        source=_HEADS,
        outputs=(Out(("N", "5+C", "R")),),
        read=lambda match: Detect(format="yolo", angle="radians"),
        pixels=LETTERBOX,
        thresholds=_THRESHOLDS,
        when=lambda match: of_task("obb")(match) or _rows_are_cells(match),
        told=told_by("obb"),
        fits=_turned_boxes,
    ),
    Family(
        name="yolo-obb-final",
        source=_HEADS,
        outputs=(Out(("N", "K", "7")),),
        read=lambda match: Detect(
            format="final", box="cxcywh", angle="radians", nms=False, columns=("box", "score", "class", "angle")
        ),
        pixels=LETTERBOX,
        thresholds=_THRESHOLDS,
        when=of_task("obb"),
        told=told_by("obb"),
    ),
    Family(
        name="yolov8-pose",
        source=_HEADS,
        outputs=(Out(("N", "4+C+E", "R")),),
        read=lambda match: Detect(format="yolo", points=key_points(match.shown)),
        pixels=LETTERBOX,
        thresholds=_THRESHOLDS,
        when=lambda match: of_task("pose")(match) or _rows_are_cells(match),
        told=told_by("pose"),
        sizes=point_values,
    ),
    Family(
        name="yolo-pose-final",
        source=_HEADS,
        outputs=(Out(("N", "K", "6+E")),),
        read=lambda match: Detect(format="final", box="xyxy", nms=False, points=key_points(match.shown)),
        pixels=LETTERBOX,
        thresholds=_THRESHOLDS,
        when=of_task("pose"),
        told=told_by("pose"),
        sizes=point_values,
    ),
    Family(
        name="yolov8-seg",
        source=_HEADS,
        outputs=(Out(("N", "4+C+M", "R")), Out(("N", "M", "*", "*"))),
        read=lambda match: Detect(format="yolo", outputs=match.names[:1], masks=_masks(match)),
        pixels=LETTERBOX,
        thresholds=_THRESHOLDS,
        when=lambda match: of_task("segment")(match) or _rows_are_cells(match),
        told=told_by("segment"),
    ),
    Family(
        name="yolo-seg-final",
        source=_HEADS,
        outputs=(Out(("N", "K", "6+M")), Out(("N", "M", "*", "*"))),
        read=lambda match: Detect(format="final", outputs=match.names[:1], box="xyxy", nms=False, masks=_masks(match)),
        pixels=LETTERBOX,
        thresholds=_THRESHOLDS,
        when=of_task("segment"),
        told=told_by("segment"),
    ),
    Family(
        name="ultralytics-classify",
        source=_HEADS,
        outputs=(Out(("N", "C")),),
        read=lambda match: Classify(activation="none"),  # the head applies softmax before it exports
        pixels=Pixels(fit="crop", interpolation="pil-bilinear"),
        when=lambda match: "" if task_of(match.shown) == "classify" else "no metadata name the task 'classify'",
        told=told_by("classify"),
    ),
    Family(
        name="ultralytics-semantic",
        source=_HEADS,
        outputs=(Out(("N", "C", "*", "*")),),
        read=lambda match: Segment(background=-1),
        pixels=LETTERBOX,
        when=lambda match: "" if task_of(match.shown) in ("segment", "semantic") else "no metadata name that task",
        told=told_by("segment", "semantic"),
    ),
)

# Where metadata name a layout whose boxes turn out to be 0..1, pictures tell.
_NORMALIZED = ("yolov8", "yolov8-transposed", "yolov10", "yolov8-obb", "yolov8-pose", "yolov8-seg")
ROWS: tuple[Family, ...] = tuple(
    dataclasses.replace(row, ultralytics=True)
    for row in (*_ROWS, *(normalized(row) for row in _ROWS if row.name in _NORMALIZED))
)
