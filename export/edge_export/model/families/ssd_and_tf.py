"""Detectors whose graph ends in the detections themselves, as TensorFlow and torchvision write them: ids from 1.

TensorFlow Lite's operator counts its classes from 0. torchvision's models count from 1, but RetinaNet and FCOS have no
background, and who trains one may count from 0: an object of the id 0 tells, or one of an id that no label would have.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_export.model.families.classify import sums_to_one
from edge_export.model.families.common import UNIT
from edge_export.model.families.family import Answers, Family, Match, Out, Pixels
from edge_export.model.families.person import points_with_names
from edge_runtime.bundle.facts import Thresholds
from edge_runtime.bundle.postprocess_spec import Detect, Masks, Postprocess

__all__ = ["ROWS"]

_TF_SOURCE = "https://github.com/tensorflow/models/blob/master/research/object_detection/exporter_lib_v2.py"
_TFLITE_SOURCE = "https://github.com/tensorflow/tensorflow/blob/master/tensorflow/lite/kernels/detection_postprocess.cc"
_TORCHVISION = "https://github.com/pytorch/vision/blob/main/torchvision/models/detection/generalized_rcnn.py"
_HALF = Thresholds(confidence=0.5)
_FAINT = 0.05
_COCO = 80
_TF = (
    Out(("N", "K", "4"), r"detection_boxes(:0)?"),
    Out(("N", "K"), r"detection_classes(:0)?"),
    Out(("N", "K"), r"detection_scores(:0)?"),
)
_NUMBERED = r"(StatefulPartitionedCall|Identity|TFLite_Detection_PostProcess).*|\d+"
_LITE_ROWS = (Out(("N", "K"), _NUMBERED, "f"), Out(("N", "K"), _NUMBERED, "f"))
# boxes, labels, scores; torch.onnx.export numbers outputs that nobody names.
_RCNN = (Out(("K", "4"), "", "f"), Out(("K",), "", "i"), Out(("K",), "", "f"))
_RCNN_MASKS = Out(("K", "1", "*", "*"), "", "f")
_RCNN_POINTS = Out(("K", "P", "3"), "", "f")


def _ids(match: Match, pictures: Sequence[Answers]) -> NDArray[np.float32]:
    """The ids of all objects that are not faint."""
    classes, scores = match.names[1:3]
    ids = [np.asarray(one[classes], np.float32)[np.asarray(one[scores], np.float32) >= _FAINT] for one in pictures]
    return np.concatenate([found.ravel() for found in ids]) if ids else np.zeros(0, np.float32)


def _seen_zero(match: Match, pictures: Sequence[Answers]) -> bool:
    return bool((_ids(match, pictures) == 0).any())


def _beyond_labels(match: Match, pictures: Sequence[Answers]) -> bool:
    """Whether an object has an id that no label would have, were they counted from 0."""
    labels = match.shown.labels
    return bool(labels) and bool((_ids(match, pictures) >= len(labels or ())).any())


def _may_be_from_zero(match: Match, pictures: Sequence[Answers]) -> str:
    """R-CNNs, whose labels come before the scores, have a background; COCO's names are counted from 1."""
    if _seen_zero(match, pictures):
        return ""
    labels, order = match.shown.labels, [match.shown.outputs.index(output) for output in match.outputs[:3]]
    open_ = labels is not None and len(labels) not in (1, _COCO) and order[2] < order[1]
    return "" if open_ and not _beyond_labels(match, pictures) else "no object has the class id 0"


def _lite_from_one(match: Match, pictures: Sequence[Answers]) -> str:
    if _seen_zero(match, pictures) or not _beyond_labels(match, pictures):
        return "TensorFlow Lite's operator counts from 0, and no object has an id beyond the labels"
    return ""


def _lite_from_zero(match: Match, pictures: Sequence[Answers]) -> str:
    return "an object has an id beyond the labels" if _beyond_labels(match, pictures) else ""


def _from_one(match: Match, pictures: Sequence[Answers]) -> str:
    return "an object has the class id 0" if _seen_zero(match, pictures) else ""


def _from_zero(match: Match, pictures: Sequence[Answers]) -> str:
    return "" if _seen_zero(match, pictures) else "no object has the class id 0"


def _uncounted(match: Match) -> str:
    counted = any(output.name.startswith("num_detections") for output in match.shown.outputs)
    return "the model counts its detections" if counted else ""


def _anything(_match: Match) -> str:
    return ""


def _tf(first: int) -> Callable[[Match], Postprocess]:
    def read(match: Match) -> Postprocess:
        return Detect(
            format="final-split", outputs=match.names, box="yxyx", normalized=True, nms=False, first_class=first
        )

    return read


def _tf_row(first: int, counted: bool) -> Family:
    name = "tf-detection" if counted else "tf-detection-without-count"
    return Family(
        name=name if first else f"{name}-from-0",
        source=_TF_SOURCE if first else _TFLITE_SOURCE,
        outputs=(*_TF, Out(("N",), r"num_detections(:0)?")) if counted else _TF,
        read=_tf(first),
        pixels=UNIT,
        thresholds=_HALF,
        when=_anything if counted else _uncounted,
        fits=_from_one if first else _from_zero,
        extra=True,
        size=(640, 640),  # it resizes inside
    )


def _lite(first: int, scores_first: bool) -> Family:
    """TensorFlow Lite's operator for detections, whose outputs converters name by number, in either order."""

    def ordered(match: Match) -> Match:
        boxes, one, other, count = match.outputs
        return dataclasses.replace(match, outputs=(boxes, other, one, count) if scores_first else match.outputs)

    def read(match: Match) -> Postprocess:
        return _tf(first)(ordered(match))

    def fits(match: Match, pictures: Sequence[Answers]) -> str:
        return (_lite_from_one if first else _lite_from_zero)(ordered(match), pictures)

    return Family(
        name=f"tflite-detection{'-scores-first' if scores_first else ''}{'' if first else '-from-0'}",
        source=_TFLITE_SOURCE,
        outputs=(Out(("N", "K", "4"), _NUMBERED, "f"), *_LITE_ROWS, Out(("N",), _NUMBERED, "f")),
        read=read,
        pixels=UNIT,
        thresholds=_HALF,
        fits=fits,
    )


def _rcnn(first: int, part: str) -> Callable[[Match], Postprocess]:
    def read(match: Match) -> Postprocess:
        masks, points = None, None
        if part == "masks":
            # Maps of 28x28 are stretched over their boxes; when traced whole, the graph pastes them into the picture.
            filling = (match.outputs[3].shape or ())[-2:] == (28, 28)
            masks = Masks(output=match.names[3], kind="boxes" if filling else "image", activation="none")
        if part == "keypoints":  # the third value says that a point is there at all: 1
            points = points_with_names(match.sizes.get("P", 17), output=match.names[3])
        return Detect(
            format="final-split",
            outputs=match.names[:3],
            box="xyxy",
            nms=False,
            first_class=first,
            masks=masks,
            points=points,
        )

    return read


def _rcnn_row(first: int, part: str) -> Family:
    name = f"torchvision-{part}" if part else "torchvision"
    return Family(
        name=name if first else f"{name}-from-0",
        source=_TORCHVISION,
        outputs={"": _RCNN, "masks": (*_RCNN, _RCNN_MASKS), "keypoints": (*_RCNN, _RCNN_POINTS)}[part],
        read=_rcnn(first, part),
        pixels=UNIT,
        thresholds=_HALF,
        fits=_from_one if first else _may_be_from_zero,
        extra=part == "keypoints",  # keypoints_scores
    )


def _several_classes(match: Match) -> str:
    return "" if match.sizes.get("C", 0) > 1 else "it has one class: that is a face detector's form"


def _softmax(match: Match, pictures: Sequence[Answers]) -> str:
    ready = all(sums_to_one(answers[match.names[1]], 2) for answers in pictures)
    return "" if ready else "the scores of a row are not 1 together"


ROWS: tuple[Family, ...] = (
    Family(
        name="pytorch-ssd",
        source="https://github.com/dusty-nv/pytorch-ssd/blob/master/onnx_export.py",
        outputs=(Out(("N", "R", "4"), "boxes", "f"), Out(("N", "R", "1+C"), "scores", "f")),
        read=lambda match: Detect(
            format="boxes-scores", outputs=match.names, box="xyxy", normalized=True, background="first"
        ),
        pixels=Pixels(scale=1.0, mean=(127.0,) * 3, std=(128.0,) * 3),  # vision/ssd/config/mobilenetv1_ssd_config.py
        thresholds=Thresholds(confidence=0.5, iou=0.45),
        when=_several_classes,
        fits=_softmax,
    ),
    *(_tf_row(first, counted) for first in (1, 0) for counted in (True, False)),
    *(_lite(first, scores_first) for first in (0, 1) for scores_first in (False, True)),
    *(_rcnn_row(first, part) for first in (1, 0) for part in ("", "masks", "keypoints")),
)
