"""Detectors whose outputs are the heads themselves, one for each stride: the device decodes them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

from edge_export.model.families.common import ANCHORS_UNTOLD, LETTERBOX
from edge_export.model.families.family import Family, Match, Out, Pixels
from edge_runtime.bundle.facts import Thresholds
from edge_runtime.bundle.postprocess_spec import Detect, Postprocess

__all__ = ["ROWS", "YOLOV5_ANCHORS", "cells_misfit"]

_YOLOV5 = "https://github.com/ultralytics/yolov5/blob/master/models/yolo.py"
_NANODET = "https://github.com/RangiLyu/nanodet/blob/main/nanodet/model/head/nanodet_plus_head.py"
_PICODET = "https://github.com/PaddlePaddle/PaddleDetection/blob/develop/ppdet/modeling/heads/pico_head.py"
_FASTEST_V2 = "https://github.com/dog-qiuqiu/Yolo-FastestV2/blob/main/utils/utils.py"
# Widths and heights for strides 8, 16, 32: yolov5/models/yolov5s.yaml and yolov7/cfg/training/yolov7.yaml, both COCO's.
YOLOV5_ANCHORS = (10, 13, 16, 30, 33, 23, 30, 61, 62, 45, 59, 119, 116, 90, 156, 198, 373, 326)
_YOLOV7_ANCHORS = (12, 16, 19, 36, 40, 28, 36, 75, 76, 55, 72, 146, 142, 110, 192, 243, 459, 401)
# Yolo-FastestV2/data/coco.data, for strides 16 and 32.
_FASTEST_ANCHORS = (12.64, 19.39, 37.88, 51.48, 55.71, 138.31, 126.91, 78.23, 131.57, 214.55, 279.92, 258.87)
_YOLOV5_LAYER = 24
_TINY_LAYER = 77  # YOLOv7-tiny has had anchors of its own and YOLOv5's (cfg/training/yolov7-tiny.yaml)
_COCO = 80
_STRIDES = (8, 16, 32)
_ACTIVATIONS: tuple[Literal["none", "sigmoid"], ...] = ("none", "sigmoid")  # which one is missing
_WITH_64 = (8, 16, 32, 64)
_YOLO = Thresholds(confidence=0.25, iou=0.45)
# nanodet/config/*.yml: BGR, ImageNet's mean and deviations in units of pixels.
_NANODET_PIXELS = Pixels(colour="bgr", scale=1.0, mean=(103.53, 116.28, 123.675), std=(57.375, 57.12, 58.395))
_PICODET_PIXELS = Pixels(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), interpolation="cubic")
_FASTEST_PIXELS = Pixels(colour="bgr")


def cells_misfit(symbols: str, strides: tuple[int, ...], each: int = 1) -> Callable[[Match], str]:
    """Why the rows that `symbols` stand for are not `each` times the cells of the strides; "" where they are."""

    def misfit(match: Match) -> str:
        image = match.shown.image
        for symbol, stride in zip(symbols, strides, strict=True):
            rows = match.sizes.get(symbol)
            if rows is not None and image is not None and image.width and image.height:
                cells = each * (-(-image.width // stride)) * (-(-image.height // stride))
                if rows != cells:
                    return f"{rows} rows are not the {cells} of stride {stride} and {image.width}x{image.height} pixels"
        return ""

    return misfit


def _anchors(sizes: tuple[float, ...]) -> Callable[[Match], Postprocess]:
    def read(match: Match) -> Postprocess:
        return Detect(format="anchors", outputs=match.names, strides=_STRIDES, anchors=sizes, activation="sigmoid")

    return read


def _anchors_untold(match: Match) -> str:
    """COCO's 80 classes were trained with COCO's anchors; other data may have got their own (utils/autoanchor.py)."""
    told = match.sizes.get("C") == _COCO and _TINY_LAYER not in _last_layers(match)
    return "" if told else ANCHORS_UNTOLD


def _last_layers(match: Match) -> set[int]:
    """The numbers of the layers that hold the heads, as PyTorch names their weights: model.24.m.0.weight."""
    found = (re.search(r"(?:^|\.)model\.(\d+)\.m\.\d\.(?:weight|bias)$", name) for name in match.shown.weights)
    return {int(one[1]) for one in found if one}


def _raw_heads(name: str, source: str, sizes: tuple[float, ...]) -> tuple[Family, ...]:
    """The heads as the last layer turns them, and as its convolutions leave them.

    YOLOv7's anchors are 1.2 times YOLOv5's, which no picture tells; the number of the last layer does: 24 in all of
    YOLOv5's models (models/*.yaml), 77 and more in YOLOv7's.
    """

    def other(match: Match) -> str:
        layers = _last_layers(match)
        if not layers or (name == "yolov5") == (layers == {_YOLOV5_LAYER}):
            return ""
        return f"its heads are layer {max(layers)}"

    def told(match: Match) -> str:
        return "names of weights" if _last_layers(match) else ""

    return tuple(
        Family(
            name=name + suffix,
            source=source,
            outputs=tuple(Out(shape(stride)) for stride in _STRIDES),
            read=_anchors(sizes),
            pixels=LETTERBOX,
            thresholds=_YOLO,
            when=other,
            told=told,
            doubt=_anchors_untold,
        )
        for suffix, shape in (
            ("-heads", lambda stride: ("N", "3", f"H/{stride}", f"W/{stride}", "5+C")),
            ("-convolutions", lambda stride: ("N", "15+3*C", f"H/{stride}", f"W/{stride}")),
        )
    )


def _distances(
    strides: tuple[int, ...], centre: float, bins: int = 8, activation: Literal["none", "sigmoid"] = "none"
) -> Callable[[Match], Postprocess]:
    def read(match: Match) -> Postprocess:
        return Detect(
            format="distances",
            outputs=match.names if len(match.names) > 1 else (),
            axis="channels-last",
            strides=strides,
            bins=bins,
            centre=centre,
            activation=activation,
        )

    return read


def _fastest_v2(activation: str) -> Callable[[Match], Postprocess]:
    def read(match: Match) -> Postprocess:
        return Detect(
            format="fastest-v2",
            outputs=match.names,
            axis="channels-first" if activation == "softmax" else "channels-last",
            strides=(16, 32),
            anchors=_FASTEST_ANCHORS,
            activation="softmax" if activation == "softmax" else "none",
        )

    return read


ROWS: tuple[Family, ...] = (
    *_raw_heads("yolov5", _YOLOV5, YOLOV5_ANCHORS),
    *_raw_heads("yolov7", "https://github.com/WongKinYiu/yolov7/blob/main/models/yolo.py", _YOLOV7_ANCHORS),
    *(
        Family(
            name=f"{name}{'-logits' if activation == 'sigmoid' else ''}",
            source=source,
            outputs=(Out(("N", "A", "32+C")),),
            read=_distances(strides, centre, activation=activation),
            pixels=_NANODET_PIXELS,
            thresholds=Thresholds(confidence=0.35, iou=0.6),
            strides=strides,
        )
        for name, source, strides, centre in (
            ("nanodet-plus", _NANODET, _WITH_64, 0.0),
            ("nanodet", "https://github.com/RangiLyu/nanodet/blob/main/nanodet/model/head/gfl_head.py", _STRIDES, 0.5),
        )
        for activation in _ACTIVATIONS
    ),
    Family(
        name="nanodet-six",
        source="https://github.com/RangiLyu/nanodet/blob/v0.4.1/nanodet/model/head/nanodet_head.py",
        outputs=(
            *(
                Out(("N", symbol, "C"), f"cls_pred_stride_{stride}")
                for symbol, stride in zip("RST", _STRIDES, strict=True)
            ),
            *(
                Out(("N", symbol, "32"), f"dis_pred_stride_{stride}")
                for symbol, stride in zip("RST", _STRIDES, strict=True)
            ),
        ),
        read=_distances(_STRIDES, centre=0.5),
        pixels=_NANODET_PIXELS,
        thresholds=Thresholds(confidence=0.4, iou=0.6),
        when=cells_misfit("RST", _STRIDES),
    ),
    Family(
        name="picodet",
        source=_PICODET,
        outputs=(
            *(Out(("N", symbol, "C")) for symbol in "RSTU"),
            *(Out(("N", symbol, "32")) for symbol in "RSTU"),
        ),
        read=_distances(_WITH_64, centre=0.5),
        pixels=_PICODET_PIXELS,
        thresholds=Thresholds(confidence=0.4, iou=0.5),
        strides=_WITH_64,
        when=cells_misfit("RSTU", _WITH_64),
    ),
    Family(
        name="yolo-fastestv2",
        source=_FASTEST_V2,
        outputs=(Out(("N", "H/16", "W/16", "15+C")), Out(("N", "H/32", "W/32", "15+C"))),
        read=_fastest_v2("none"),
        pixels=_FASTEST_PIXELS,
        thresholds=Thresholds(confidence=0.3, iou=0.4),
        doubt=_anchors_untold,
    ),
    Family(
        name="yolo-fastestv2-six",
        source=_FASTEST_V2,
        outputs=tuple(
            Out(("N", width, f"H/{stride}", f"W/{stride}")) for stride in (16, 32) for width in ("12", "3", "C")
        ),
        read=_fastest_v2("softmax"),
        pixels=_FASTEST_PIXELS,
        thresholds=Thresholds(confidence=0.3, iou=0.4),
        doubt=_anchors_untold,
    ),
    Family(
        name="fastestdet",
        source="https://github.com/dog-qiuqiu/FastestDet/blob/main/utils/tool.py",
        outputs=(Out(("N", "5+C", "H/16", "W/16")),),
        read=lambda match: Detect(format="fastest"),
        pixels=_FASTEST_PIXELS,
        thresholds=Thresholds(confidence=0.65, iou=0.45),
    ),
)
