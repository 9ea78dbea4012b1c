"""Detectors that give decoded boxes and the scores of classes in two outputs, before duplicates are removed."""

from __future__ import annotations

from dataclasses import replace

from edge_export.model.families.common import UNIT
from edge_export.model.families.family import Family, Match, Out, Pixels
from edge_runtime.bundle.facts import Thresholds
from edge_runtime.bundle.postprocess_spec import Detect, Postprocess

__all__ = ["PADDLE", "PADDLE_UNSURE", "ROWS", "told_paddle"]

# PP-YOLOE+ divides pixels by 255 (configs/ppyoloe/_base_/ppyoloe_plus_reader.yml, where interp 2 is OpenCV's cubic).
PADDLE = replace(UNIT, interpolation="cubic")
PADDLE_UNSURE = (
    "PP-YOLOE+ takes pixels of 0..1, PP-YOLOE and others of PaddleDetection those less ImageNet's mean (infer_cfg.yml "
    "beside the model tells)"
)


def told_paddle(match: Match) -> str:
    """PaddleDetection calls its inputs so; Paddle 3 its outputs fetch_name_0 and so on, whatever they are."""
    return "names of inputs" if {"image", "scale_factor"} <= set(match.shown.inputs) else ""


def _not_paddles(match: Match) -> str:
    """PaddleDetection's networks without post-processing take pictures alone, which are called so."""
    return "" if match.shown.inputs == ("image",) else "its only input is not called image"


def _nas_heads(match: Match) -> str:
    """super-gradients calls the heads of YOLO-NAS so; those of its other networks have other names."""
    return "names of weights" if any("heads.head1.cls_pred." in name for name in match.shown.weights) else ""


def _boxes_scores(match: Match) -> Postprocess:
    return Detect(format="boxes-scores", outputs=match.names, box="xyxy")


def _boxes_first(match: Match) -> str:
    order = [match.shown.outputs.index(output) for output in match.outputs]
    return "" if order == sorted(order) else "its scores come first"


def _scores_first(match: Match) -> str:
    return "its boxes come first" if not _boxes_first(match) else ""


ROWS: tuple[Family, ...] = (
    Family(
        name="yolo-nas",
        source="https://github.com/Deci-AI/super-gradients/blob/master/documentation/source/models_export.md",
        outputs=(Out(("N", "A", "4")), Out(("N", "A", "C"))),
        read=_boxes_scores,
        pixels=Pixels(fit="letterbox"),
        thresholds=Thresholds(confidence=0.25, iou=0.7),
        when=_boxes_first,
        told=_nas_heads,
    ),
    Family(
        name="damo-yolo",
        source="https://github.com/tinyvision/DAMO-YOLO/blob/master/tools/demo.py",
        outputs=(Out(("N", "A", "4")), Out(("N", "A", "C"))),
        read=_boxes_scores,
        pixels=Pixels(scale=1.0, fit="letterbox", anchor="top-left", pad_value=0),
        thresholds=Thresholds(confidence=0.4, iou=0.7),
        when=_scores_first,
    ),
    Family(
        name="st-ssd",
        source="https://github.com/STMicroelectronics/stm32ai-modelzoo/blob/main/object_detection/src/postprocessing/"
        "postprocess.py",
        outputs=(
            Out(("N", "R", "4"), "bboxes_concat"),
            Out(("N", "R", "1+C"), "classes_softmax"),
            Out(("N", "R", "4"), "anchors_concat"),
        ),
        read=lambda match: Detect(
            format="boxes-scores", outputs=match.names, box="xyxy", normalized=True, background="first"
        ),
        pixels=Pixels(scale=1.0, mean=(127.5,) * 3, std=(127.5,) * 3),
        thresholds=Thresholds(confidence=0.5, iou=0.5),
        told=lambda match: "names of outputs",
    ),
    *(
        Family(
            name=f"{name}-without-nms",
            source=f"https://github.com/PaddlePaddle/PaddleDetection/blob/develop/ppdet/modeling/heads/{head}.py",
            outputs=(Out(("N", "A", "4")), Out(("N", "C", "A"))),
            read=_boxes_scores,
            pixels=PADDLE,
            unsure=PADDLE_UNSURE,
            thresholds=Thresholds(confidence=0.5, iou=iou),
            strides=strides,
            told=told_paddle,
        )
        for name, head, strides, iou in (
            ("ppyoloe", "ppyoloe_head", (8, 16, 32), 0.7),
            ("picodet", "pico_head", (8, 16, 32, 64), 0.5),
        )
    ),
    Family(
        name="ppyoloe-rows",  # exclude_post_process
        source="https://github.com/PaddlePaddle/PaddleDetection/blob/develop/ppdet/modeling/heads/ppyoloe_head.py",
        outputs=(Out(("N", "A", "4+C"), r"fetch_name_\d+|.*\.tmp_\d+"),),
        read=lambda match: Detect(format="yolo", box="xyxy", axis="channels-last"),
        pixels=PADDLE,
        unsure=PADDLE_UNSURE,
        thresholds=Thresholds(confidence=0.5, iou=0.7),
        when=_not_paddles,
        told=lambda match: "names of input and output",
    ),
)
