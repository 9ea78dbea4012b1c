"""Detectors of many families as LibreYOLO writes them: its metadata name the family, and so what its outputs mean.

They are not the outputs that the family's own exporter writes: YOLOv9's boxes are corners, those of PicoDet, RTMDet and
YOLO-NAS are decoded, and the outputs of YOLO-NAS are called by each other's names.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from edge_export.model.families.common import IMAGENET, LETTERBOX, OPENCV, UNIT
from edge_export.model.families.family import Family, Match, Out, Pixels
from edge_runtime.bundle.facts import Thresholds
from edge_runtime.bundle.postprocess_spec import Detect, Postprocess

__all__ = ["ROWS"]

# What its backends make of outputs, and of pictures first (_parse_..., _preprocess_...).
_SOURCE = "https://github.com/LibreYOLO/libreyolo/blob/main/libreyolo/backends/base.py"
_FAMILY = "model_family"
_THRESHOLDS = Thresholds(confidence=0.25, iou=0.45)
_PIL = Pixels(interpolation="pil-bilinear")
_CORNER = dataclasses.replace(LETTERBOX, anchor="top-left")
# ImageNet's mean and deviations in units of pixels; RTMDet's channels are blue first.
_RTMDET = Pixels(
    colour="bgr", scale=1.0, mean=(103.53, 116.28, 123.675), std=(57.375, 57.12, 58.395), fit="letterbox",
    anchor="top-left", interpolation="pil-bilinear",
)  # fmt: skip
_EFFICIENTDET = dataclasses.replace(
    IMAGENET, fit="letterbox", anchor="top-left", pad_value=116, interpolation="pil-bilinear"
)
_SSD = Pixels(mean=(0.48235, 0.45882, 0.40784), std=(1 / 255,) * 3)
_WITH_DINO = ("s", "m", "l", "x")  # DEIMv2's sizes that take ImageNet's mean off

Read = Callable[[Match], Postprocess]


def _corners(axis: str) -> Read:
    """Corners and a score for each class, along one of two axes."""

    def read(match: Match) -> Postprocess:
        return Detect(
            format="yolo",
            outputs=match.names,
            axis="channels-first" if axis == "columns" else "channels-last",
            box="xyxy",
        )

    return read


def _yolox(match: Match) -> Postprocess:
    return Detect(format="yolo", outputs=match.names, axis="channels-last", columns=("box", "objectness", "classes"))


def _rows(nms: bool) -> Read:
    def read(match: Match) -> Postprocess:
        return Detect(format="final", outputs=match.names[:1], box="xyxy", nms=nms, columns=("box", "score", "class"))

    return read


def _boxes_scores(match: Match) -> Postprocess:
    return Detect(format="boxes-scores", outputs=match.names, box="xyxy")


def _queries(match: Match) -> Postprocess:
    return Detect(format="boxes-scores", outputs=match.names, normalized=True, activation="sigmoid", nms=False)


def _of(*families: str, size: tuple[str, ...] = (), pad: str = "") -> Callable[[Match], str]:
    """Why a model is none of these families of LibreYOLO, of these sizes, padded so; "" where it is."""

    def misfit(match: Match) -> str:
        said = match.shown.properties
        if "libreyolo_version" not in said or said.get("task", "detect") != "detect":
            return "its metadata do not name a detector of LibreYOLO's"
        if said.get(_FAMILY) not in families:
            return f"its metadata name the family {said.get(_FAMILY, '')[:40]!r}"
        if size and said.get("size") not in size:
            return f"its metadata name the size {said.get('size', '')[:40]!r}"
        padded = said.get("letterbox_pad", "topleft")
        if pad and padded != pad:
            return f"its metadata name the padding {padded[:40]!r}"
        return ""

    return misfit


def _row(name: str, outputs: tuple[Out, ...], read: Read, pixels: Pixels, when: Callable[[Match], str]) -> Family:
    return Family(
        name=f"libreyolo-{name}",
        source=_SOURCE,
        outputs=outputs,
        read=read,
        pixels=pixels,
        thresholds=_THRESHOLDS,
        when=when,
        told=lambda match: "libreyolo metadata",
    )


_COLUMNS = (Out(("N", "4+C", "*"), "output"),)
_CELLS = (Out(("N", "*", "4+C"), "output"),)
_DETR = (Out(("N", "*", "4"), "pred_boxes"), Out(("N", "*", "C"), "pred_logits"))
_SMALL = ("atto", "femto", "pico", "n")  # DEIMv2's

ROWS: tuple[Family, ...] = (
    _row("yolox", (Out(("N", "*", "5+C"), "output"),), _yolox,
         dataclasses.replace(OPENCV, interpolation="pil-bilinear"), _of("yolox")),
    _row("yolo9", _COLUMNS, _corners("columns"), _CORNER, _of("yolo9", pad="topleft")),
    _row("yolo9-center", _COLUMNS, _corners("columns"), LETTERBOX, _of("yolo9", pad="center")),
    _row("yolo9-nms", (Out(("N", "K", "6"), "output"), Out(("N", "4+C", "*"), "raw")), _rows(nms=False), _CORNER,
         _of("yolo9", pad="topleft")),
    _row("yolo7", _COLUMNS, _corners("columns"), dataclasses.replace(_CORNER, interpolation="pil-bilinear"),
         _of("yolo7")),
    _row("rtmdet", _CELLS, _corners("rows"), _RTMDET, _of("rtmdet")),
    _row("picodet", _CELLS, _corners("rows"), IMAGENET, _of("picodet")),
    _row("ppyoloe", (Out(("N", "*", "4"), "boxes"), Out(("N", "*", "C"), "scores")), _boxes_scores, IMAGENET,
         _of("ppyoloe")),
    _row("yolonas", (Out(("N", "*", "4"), "pred_logits"), Out(("N", "*", "C"), "pred_boxes")), _boxes_scores,
         dataclasses.replace(LETTERBOX, interpolation="pil-bilinear"), _of("yolonas")),
    _row("efficientdet", (Out(("N", "*", "6"), "output"),), _rows(nms=True), _EFFICIENTDET, _of("efficientdet")),
    _row("ssd", _COLUMNS, _corners("columns"), _SSD, _of("ssd")),
    _row("dfine", _DETR, _queries, _PIL, _of("dfine", "rtdetrv4", "deim")),
    _row("rtdetr", _DETR, _queries, UNIT, _of("rtdetr", "rtdetrv2")),
    _row("deimv2", _DETR, _queries, _PIL, _of("deimv2", size=_SMALL)),
    _row("deimv2-dino", _DETR, _queries, dataclasses.replace(IMAGENET, interpolation="pil-bilinear"),
         _of("deimv2", size=_WITH_DINO)),
    _row("lwdetr", _DETR, _queries, dataclasses.replace(IMAGENET, interpolation="pil-bilinear"), _of("lwdetr")),
)  # fmt: skip
