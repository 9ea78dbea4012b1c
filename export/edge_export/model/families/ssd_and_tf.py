"""Detectors whose graph ends in the detections themselves, as TensorFlow and torchvision write them: ids from 1."""

from __future__ import annotations

from edge_export.model.families.common import UNIT
from edge_export.model.families.family import Family, Match, Out
from edge_runtime.bundle.facts import Thresholds
from edge_runtime.bundle.postprocess_spec import Detect, Postprocess

__all__ = ["ROWS"]

_HALF = Thresholds(confidence=0.5)
_TF = (
    Out(("N", "K", "4"), r"detection_boxes(:0)?"),
    Out(("N", "K"), r"detection_classes(:0)?"),
    Out(("N", "K"), r"detection_scores(:0)?"),
)


def _tf(match: Match) -> Postprocess:
    return Detect(format="final-split", outputs=match.names, box="yxyx", normalized=True, nms=False, first_class=1)


ROWS: tuple[Family, ...] = (
    Family(
        name="tf-detection",
        source="https://github.com/tensorflow/models/blob/master/research/object_detection/exporter_lib_v2.py",
        outputs=(*_TF, Out(("N",), r"num_detections(:0)?")),
        read=_tf,
        pixels=UNIT,
        thresholds=_HALF,
        extra=True,
    ),
    Family(
        name="tf-detection-without-count",
        source="https://github.com/tensorflow/models/blob/master/research/object_detection/exporter.py",
        outputs=_TF,
        read=_tf,
        pixels=UNIT,
        thresholds=_HALF,
        when=lambda match: "" if len(match.shown.outputs) == 3 else "the model counts its detections",
        extra=True,
    ),
    Family(
        name="torchvision",
        source="https://github.com/pytorch/vision/blob/main/torchvision/models/detection/generalized_rcnn.py",
        outputs=(Out(("K", "4"), "boxes"), Out(("K",), "labels", "i"), Out(("K",), "scores", "f")),
        read=lambda match: Detect(format="final-split", outputs=match.names, box="xyxy", nms=False, first_class=1),
        pixels=UNIT,
        thresholds=_HALF,
    ),
)
