"""Face detectors: boxes of one class with five key points each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edge_export.model.families.by_stride import cells_misfit
from edge_export.model.families.common import LETTERBOX
from edge_export.model.families.family import Answers, Family, Match, Out, Pixels
from edge_runtime.bundle.facts import Thresholds
from edge_runtime.bundle.postprocess_spec import Column, Detect, Points, Postprocess

__all__ = ["ROWS"]

_FACE = "https://github.com/deepcam-cn/yolov5-face/blob/master/models/yolo.py"
_SCRFD = "https://github.com/deepinsight/insightface/blob/master/detection/scrfd/tools/scrfd.py"
_YUNET = "https://github.com/opencv/opencv/blob/4.x/modules/objdetect/src/face_detect.cpp"
_STRIDES = (8, 16, 32)
_NAMES = ("left eye", "right eye", "nose", "left mouth corner", "right mouth corner")
_POINTS = Points(count=5, values=2, names=_NAMES)
_ROW: tuple[Column, ...] = ("box", "objectness", "points", "classes")
_SCRFD_PIXELS = Pixels(scale=1.0, mean=(127.5,) * 3, std=(128.0,) * 3, fit="letterbox", anchor="top-left", pad_value=0)
# The picture is not resized but padded below and at the right until 32 divides its sides.
_YUNET_PIXELS = Pixels(colour="bgr", scale=1.0, fit="letterbox", anchor="top-left", pad_value=0)


def _one_label(match: Match) -> str:
    return "" if len(match.shown.labels or "?") == 1 else f"it has {len(match.shown.labels or ())} classes"


def _points_in_boxes(match: Match, pictures: Sequence[Answers], count: int = 5) -> str:
    """Eleven classes have as many columns as five landmarks and a class; landmarks lie in their boxes."""
    inside = []
    for answers in pictures:
        rows = np.asarray(answers[match.names[0]], np.float32)
        rows = rows.reshape(-1, rows.shape[-1])
        rows = rows[np.argsort(-rows[:, 4])[:20]]
        middle = rows[:, 5 : 5 + 2 * count].reshape(-1, count, 2).mean(axis=1)
        inside.append((np.abs(middle - rows[:, :2]) <= rows[:, 2:4] / 2 + 1).all(axis=1))
    return "" if np.mean(inside) > 0.5 else "its landmarks do not lie in its boxes"


def _corners_in_boxes(match: Match, pictures: Sequence[Answers]) -> str:
    return _points_in_boxes(match, pictures, count=4)


def _scrfd(landmarks: bool) -> Callable[[Match], Postprocess]:
    columns: tuple[Column, ...] = ("score", "box", "points") if landmarks else ("score", "box")

    def read(match: Match) -> Postprocess:
        return Detect(
            format="distances",
            outputs=match.names,
            axis="channels-last",
            strides=_STRIDES,
            centre=0.0,
            columns=columns,
            points=_POINTS if landmarks else None,
        )

    return read


def _scrfd_row(landmarks: bool, batch: tuple[str, ...]) -> Family:
    widths = ("1", "4", "10") if landmarks else ("1", "4")
    return Family(
        name=f"scrfd{'-landmarks' if landmarks else ''}{'' if batch else '-one-picture'}",
        source=_SCRFD,
        outputs=tuple(Out((*batch, rows, width)) for width in widths for rows in "RST"),
        read=_scrfd(landmarks),
        pixels=_SCRFD_PIXELS,
        thresholds=Thresholds(confidence=0.5, iou=0.4),
        when=cells_misfit("RST", _STRIDES, each=2),
    )


ROWS: tuple[Family, ...] = (
    Family(
        name="yolov5-face",
        source=_FACE,
        outputs=(Out(("N", "3*A", "16")),),
        read=lambda match: Detect(
            format="yolo-objectness",
            outputs=match.names if len(match.shown.outputs) > 1 else (),
            axis="channels-last",
            columns=_ROW,
            points=_POINTS,
        ),
        pixels=LETTERBOX,
        thresholds=Thresholds(confidence=0.5, iou=0.5),
        when=_one_label,
        fits=_points_in_boxes,
        extra=True,
    ),
    Family(
        name="yolov5-plate",
        source="https://github.com/we0091234/Chinese_license_plate_detection_recognition/blob/main/onnx_infer.py",
        outputs=(Out(("N", "3*A", "13+C")),),
        read=lambda match: Detect(
            format="yolo-objectness",
            outputs=match.names if len(match.shown.outputs) > 1 else (),
            axis="channels-last",
            columns=_ROW,
            points=Points(count=4, values=2, names=("upper left", "upper right", "lower right", "lower left")),
        ),
        pixels=LETTERBOX,
        thresholds=Thresholds(confidence=0.3, iou=0.5),
        fits=_corners_in_boxes,
        extra=True,
    ),
    Family(
        name="yolov5-face-heads",
        source=_FACE,
        outputs=tuple(Out(("N", "3", f"H/{stride}", f"W/{stride}", "16")) for stride in _STRIDES),
        read=lambda match: Detect(
            format="anchors",
            outputs=match.names,
            strides=_STRIDES,
            # models/yolov5s.yaml of its repository
            anchors=(4, 5, 8, 10, 13, 16, 23, 29, 43, 55, 73, 105, 146, 217, 231, 300, 335, 433),
            activation="sigmoid",
            columns=_ROW,
            points=_POINTS,
        ),
        pixels=LETTERBOX,
        thresholds=Thresholds(confidence=0.5, iou=0.5),
        when=_one_label,
    ),
    *(_scrfd_row(landmarks, batch) for landmarks in (True, False) for batch in (("N",), ())),
    Family(
        name="yunet",
        source=_YUNET,
        outputs=tuple(
            Out(("N", rows, width), f"{part}_{stride}")
            for part, width in (("cls", "1"), ("obj", "1"), ("bbox", "4"), ("kps", "10"))
            for rows, stride in zip("RST", _STRIDES, strict=True)
        ),
        read=lambda match: Detect(
            format="grid",
            outputs=match.names,
            axis="channels-last",
            strides=_STRIDES,
            combine="root",
            columns=("classes", "objectness", "box", "points"),
            points=Points(
                count=5,
                values=2,
                names=("right eye", "left eye", "nose", "right mouth corner", "left mouth corner"),
            ),
        ),
        pixels=_YUNET_PIXELS,
        thresholds=Thresholds(confidence=0.9, iou=0.3),
        told=lambda match: "names of outputs",
        when=cells_misfit("RST", _STRIDES),
    ),
    Family(
        name="ultraface",
        source="https://github.com/Linzaer/Ultra-Light-Fast-Generic-Face-Detector-1MB/blob/master/vision/ssd/predictor.py",
        outputs=(Out(("N", "R", "4"), "boxes"), Out(("N", "R", "2"), "scores")),
        read=lambda match: Detect(
            format="boxes-scores", outputs=match.names, box="xyxy", normalized=True, background="first"
        ),
        pixels=Pixels(scale=1.0, mean=(127.0,) * 3, std=(128.0,) * 3),
        thresholds=Thresholds(confidence=0.7, iou=0.5),
        when=_one_label,
    ),
)
