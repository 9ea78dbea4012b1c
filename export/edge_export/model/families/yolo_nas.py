"""YOLO-NAS by super-gradients' own exporter, its NMS in the graph: boxes, and persons with their key points."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from edge_export.model.families.common import LETTERBOX
from edge_export.model.families.family import Family, Match, Out, Pixels
from edge_export.model.families.person import points_with_names
from edge_runtime.bundle.facts import Thresholds
from edge_runtime.bundle.postprocess_spec import Detect, Postprocess

__all__ = ["ROWS"]

_SOURCE = "https://github.com/Deci-AI/super-gradients/blob/master/documentation/source/models_export.md"
_POSE_SOURCE = "https://github.com/Deci-AI/super-gradients/blob/master/src/super_gradients/conversion/onnx/pose_nms.py"
_QUARTER = Thresholds(confidence=0.25, iou=0.45)
# default_yolo_nas_pose_coco_processing_params there.
_PERSONS = Pixels(colour="bgr", fit="letterbox", anchor="top-left", pad_value=127)
_FLAT = Out(("K", "6+3*P"), r".*flat_predictions")
_BATCH = (
    Out(("N", "K", "4"), r"(.*_)?(post_nms|pred)_boxes"),
    Out(("N", "K"), r"(.*_)?(post_nms|pred)_scores", "f"),
    Out(("N", "K", "P", "3"), r"(.*_)?(post_nms|pred)_joints"),
    Out(("N", "1"), r"(.*_)?num_(predictions|detections)"),
)


def _named(match: Match) -> str:
    return "names of outputs"


def _boxes(match: Match) -> Postprocess:
    return Detect(
        format="final", outputs=match.names, box="xyxy", nms=False, columns=("batch", "box", "score", "class")
    )


def _boxes_apart(match: Match) -> Postprocess:
    return Detect(format="final-split", outputs=match.names, box="xyxy", nms=False)


def _persons(match: Match) -> Postprocess:
    points = points_with_names(match.sizes.get("P", 17))
    return Detect(
        format="final", outputs=match.names, box="xyxy", nms=False, columns=("batch", "box", "score"), points=points
    )


def _persons_apart(match: Match) -> Postprocess:
    points = points_with_names(match.sizes.get("P", 17), output=match.names[2])
    outputs = (*match.names[:2], match.names[3])  # after those that it counts are some that were suppressed
    return Detect(format="final", outputs=outputs, box="xyxy", nms=False, columns=("box",), points=points)


def _whole(match: Match) -> bool:
    """Whether the exporter put the pre-processing, which turns channels for persons, into the graph."""
    return match.shown.image is not None and match.shown.image.dtype == "uint8"


def _with_it(match: Match) -> str:
    return "" if _whole(match) else "it does not take whole pixels of 0..255"


def _without_it(match: Match) -> str:
    return "it takes whole pixels of 0..255" if _whole(match) else ""


def _persons_row(name: str, outputs: tuple[Out, ...], read: Callable[[Match], Postprocess], whole: bool) -> Family:
    return Family(
        name=name if whole else f"{name}-without-preprocessing",
        source=_POSE_SOURCE,
        outputs=outputs,
        read=read,
        pixels=dataclasses.replace(_PERSONS, colour="rgb") if whole else _PERSONS,
        thresholds=_QUARTER,
        when=_with_it if whole else _without_it,
        told=_named,
        labels=("person",),
    )


ROWS: tuple[Family, ...] = (
    Family(
        name="yolo-nas-flat",
        source=_SOURCE,
        outputs=(Out(("K", "7"), r".*flat_predictions"),),
        read=_boxes,
        pixels=LETTERBOX,
        thresholds=_QUARTER,
        told=_named,
    ),
    Family(
        name="yolo-nas-batch",
        source=_SOURCE,
        outputs=(
            Out(("N", "K", "4"), r"(.*_)?pred_boxes"),
            Out(("N", "K"), r"(.*_)?pred_classes"),
            Out(("N", "K"), r"(.*_)?pred_scores"),
            Out(("N", "1"), r"(.*_)?num_(predictions|detections)"),
        ),
        read=_boxes_apart,
        pixels=LETTERBOX,
        thresholds=_QUARTER,
        told=_named,
    ),
    *(
        _persons_row(name, outputs, read, whole)
        for whole in (True, False)
        for name, outputs, read in (
            ("yolo-nas-pose-flat", (_FLAT,), _persons),
            ("yolo-nas-pose-batch", _BATCH, _persons_apart),
        )
    ),
)
