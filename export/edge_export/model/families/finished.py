"""Detectors that removed duplicates themselves, or need not: boxes with a score and a class each."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence

import numpy as np

from edge_export.model.families.boxes_and_scores import PADDLE, PADDLE_UNSURE, told_paddle
from edge_export.model.families.common import FIT_UNTOLD, IMAGENET, LETTERBOX, MEAN_UNTOLD, OPENCV, UNIT
from edge_export.model.families.family import Answers, Family, Match, Out, Pixels
from edge_export.model.families.person import points_with_names
from edge_runtime.bundle.facts import Thresholds
from edge_runtime.bundle.postprocess_spec import Column, Detect, Masks, Postprocess

__all__ = ["ROWS"]

_PINTO = "https://github.com/PINTO0309/PINTO_model_zoo/blob/main/424_Gold-YOLO-Body/post_process_gen_tools/README.md"
_MMDEPLOY = "https://github.com/open-mmlab/mmdeploy/blob/main/docs/en/03-benchmark/supported_models.md"
_GETI = (
    "https://github.com/open-edge-platform/model_api/blob/master/src/python/model_api/models/instance_segmentation.py"
)
_RTMO = "https://github.com/open-mmlab/mmdeploy/blob/main/mmdeploy/codebase/mmpose/models/heads/rtmo_head.py"
_RTDETR = "https://github.com/lyuwenyu/RT-DETR/blob/main/rtdetr_pytorch/tools/export_onnx.py"
_LEAST = 0.01  # a row of a lower score holds nothing
_QUARTER = Thresholds(confidence=0.25, iou=0.45)
_HALF = Thresholds(confidence=0.5)
# A graph of fixed size is exported with keep_ratio off (mmdeploy, process_model_config). mmdet's models differ: RTMDet
# takes BGR, others RGB, most less ImageNet's mean in its deviations.
_MMDET = Pixels(
    scale=1.0,
    mean=(123.675, 116.28, 103.53),
    std=(58.395, 57.12, 57.375),
)
_MMDET_UNSURE = (
    "mmdetection's configurations differ in colours and mean (mmdeploy's pipeline.json beside the model tells)"
)
# What names of PINTO's outputs say of a row's columns, longest first.
_TOKENS: tuple[tuple[str, tuple[Column, ...]], ...] = (
    ("batchno", ("batch",)),
    ("batch_no", ("batch",)),
    ("classid", ("class",)),
    ("class_id", ("class",)),
    ("score", ("score",)),
    ("x1y1x2y2", ("box",)),
    ("y1x1y2x2", ("box",)),
    ("cxcywh", ("box",)),
)


def _rows(*columns: Column, normalized: bool = False) -> Callable[[Match], Postprocess]:
    def read(match: Match) -> Postprocess:
        return Detect(
            format="final", outputs=match.names, box="xyxy", normalized=normalized, nms=False, columns=columns
        )

    return read


def _split(match: Match) -> Postprocess:
    return Detect(format="final-split", outputs=match.names, box="xyxy", nms=False)


def _labels(kind: str = "") -> Callable[[Match], Postprocess]:
    """Boxes with scores, labels, and perhaps masks that fill their boxes ("boxes") or the picture ("image")."""

    def read(match: Match) -> Postprocess:
        masks = Masks(output=match.names[2], kind="boxes", activation="none") if kind == "boxes" else None
        masks = Masks(output=match.names[2], kind="image", activation="none") if kind == "image" else masks
        return Detect(format="final-labels", outputs=match.names[:2], box="xyxy", nms=False, masks=masks)

    return read


def _people(match: Match) -> Postprocess:
    """Boxes with scores and without classes, and the key points of each."""
    points = points_with_names(match.sizes["P"], output=match.names[1])
    return Detect(
        format="final", outputs=match.names[:1], box="xyxy", nms=False, columns=("box", "score"), points=points
    )


def _pinto_columns(name: str) -> tuple[Column, ...]:
    columns: list[Column] = []
    rest = name.lower()
    while rest:
        token, meant = next(((token, meant) for token, meant in _TOKENS if rest.startswith(token)), (rest[0], ()))
        columns += meant
        rest = rest[len(token) :]
    return tuple(columns)


def _pinto_misfit(match: Match) -> str:
    wanted = ["batch", "box", "class", *(() if len(match.names) > 1 else ("score",))]
    told = sorted(_pinto_columns(match.names[0])) == wanted
    return "" if told else f"its name does not tell {', '.join(wanted)}"


def _read_pinto(match: Match) -> Postprocess:
    name = match.names[0].lower()
    return Detect(
        format="final",
        outputs=match.names,
        box="yxyx" if "y1x1" in name else "cxcywh" if "cxcy" in name else "xyxy",
        nms=False,
        columns=_pinto_columns(name),
    )


def _unnamed(match: Match) -> str:
    """[K, 7] of another kind says so by its name."""
    other = re.search(r"batchno|flat_predictions", match.names[0])
    return f"its output is called {match.names[0]!r}" if other else ""


def _most_are_empty(match: Match, pictures: Sequence[Answers]) -> bool:
    rows = [np.asarray(answers[match.names[0]], np.float32) for answers in pictures]
    return sum(int((part[:, 6] < _LEAST).sum()) for part in rows) * 2 > sum(map(len, rows))


def _no_empty_rows(match: Match, pictures: Sequence[Answers]) -> str:
    """ONNX' NonMaxSuppression, which YOLOv7's own exporter adds, leaves the rows that it found, and no others."""
    return "most of its rows are empty" if _most_are_empty(match, pictures) else ""


def _empty_rows(match: Match, pictures: Sequence[Answers]) -> str:
    return "" if _most_are_empty(match, pictures) else "none of its rows are empty"


def _named(match: Match) -> str:
    return "names of outputs"


def _told_nms(match: Match) -> str:
    """PaddlePaddle 2 names outputs after the operator that made them."""
    return "names of outputs" if "multiclass_nms" in match.names[0] else told_paddle(match)


def _has_no_masks(match: Match) -> str:
    return "it has masks" if any(output.name == "masks" for output in match.shown.outputs) else ""


def _effdet(match: Match) -> str:
    """effdet's networks call their heads so; its other outputs are the heads themselves."""
    heads = ("class_net.predict.", "box_net.predict.")
    there = all(any(head in name for name in match.shown.weights) for head in heads)
    return "" if there else "no weight is named as in effdet's heads"


def _any_outputs(_match: Match) -> str:
    return ""


def _geti(batch: tuple[str, ...], masks: bool) -> Family:
    return Family(
        name=f"geti{'-masks' if masks else ''}{'' if batch else '-one-picture'}",
        source=_GETI,
        outputs=(
            Out((*batch, "K", "5"), "boxes"),
            Out((*batch, "K"), "labels"),
            *((Out((*batch, "K", "28", "28"), "masks"),) if masks else ()),
        ),
        read=_labels("boxes" if masks else ""),
        pixels=Pixels(scale=1.0),
        unsure="model_api's metadata say what its models take",
        thresholds=_HALF,
        when=_any_outputs if masks else _has_no_masks,
        extra=True,  # saliency maps and features
    )


ROWS: tuple[Family, ...] = (
    Family(
        name="yolov7-end2end",
        source="https://github.com/WongKinYiu/yolov7/blob/main/models/experimental.py",
        outputs=(Out(("K", "7")),),
        read=_rows("batch", "box", "class", "score"),
        pixels=LETTERBOX,
        thresholds=_QUARTER,
        when=_unnamed,
        fits=_no_empty_rows,
    ),
    Family(
        name="rows-with-batch",
        source="YOLOv7's columns, in a fixed number of rows of which most are empty",
        outputs=(Out(("K", "7")),),
        read=_rows("batch", "box", "class", "score"),
        pixels=LETTERBOX,
        unsure=FIT_UNTOLD,
        thresholds=_QUARTER,
        when=_unnamed,
        fits=_empty_rows,
    ),
    Family(
        name="effdet",
        source="https://github.com/rwightman/efficientdet-pytorch/blob/master/effdet/bench.py",
        outputs=(Out(("N", "K", "6")),),
        read=lambda match: Detect(
            format="final", outputs=match.names, box="xyxy", nms=False, columns=("box", "score", "class"), first_class=1
        ),
        # Around the picture is the mean's colour.
        pixels=dataclasses.replace(
            IMAGENET, fit="letterbox", anchor="top-left", pad_value=116, interpolation="pil-bilinear"
        ),
        unsure=MEAN_UNTOLD,
        thresholds=_QUARTER,
        when=_effdet,
        told=lambda match: "names of weights",
    ),
    Family(
        name="pinto",
        source=_PINTO,
        outputs=(Out(("K", "7"), r".*batch_?no.*"),),
        read=_read_pinto,
        pixels=UNIT,
        unsure="PINTO's forms come from models of many kinds",
        thresholds=_QUARTER,
        when=_pinto_misfit,
        told=_named,
    ),
    Family(
        name="pinto-scores-apart",
        source="https://github.com/PINTO0309/PINTO_model_zoo/blob/main/307_YOLOv7/README.md",
        outputs=(Out(("*", "6"), r".*batch_?no.*"), Out(("*", "1"), "scores?", "f")),
        read=_read_pinto,
        pixels=UNIT,
        unsure="PINTO's forms come from models of many kinds",
        thresholds=_QUARTER,
        when=_pinto_misfit,
        told=_named,
    ),
    Family(
        name="openvino-detection-output",
        source="https://docs.openvino.ai/2024/documentation/openvino-ir-format/operation-sets/operation-specs/detection/"
        "detectionoutput-8.html",
        outputs=(Out(("1", "1", "*", "7")),),
        read=_rows("batch", "class", "score", "box", normalized=True),
        pixels=Pixels(colour="bgr", scale=1.0),
        unsure="models with such an output differ in what pixels they take",
        thresholds=_HALF,
    ),
    Family(
        name="efficient-nms",
        source="https://github.com/NVIDIA/TensorRT/tree/release/10.0/plugin/efficientNMSPlugin",
        outputs=(
            Out(("N", "K", "4"), "det_boxes|detection_boxes|nmsed_boxes|boxes"),
            Out(("N", "K"), "det_classes|detection_classes|nmsed_classes|classes|labels"),
            Out(("N", "K"), "det_scores|detection_scores|nmsed_scores|scores"),
            Out(("N", "1"), "num_dets|num_detections|num|num_det"),
        ),
        read=_split,
        pixels=LETTERBOX,
        thresholds=_QUARTER,
    ),
    Family(
        name="paddle-detection",
        source="https://github.com/PaddlePaddle/PaddleDetection/blob/develop/deploy/python/infer.py",
        outputs=(Out(("*", "6")), Out(("*",), "", "i")),
        read=_rows("class", "score", "box"),
        pixels=PADDLE,
        unsure=PADDLE_UNSURE,
        thresholds=_HALF,
        told=_told_nms,
    ),
    Family(
        name="boxes-scores-classes",
        source="names of outputs that many converters give",
        outputs=(Out(("N", "K", "4"), "boxes"), Out(("N", "K"), "classes|class_ids"), Out(("N", "K"), "scores", "f")),
        read=_split,
        pixels=UNIT,
        unsure="models with such outputs differ in what pixels they take",
        thresholds=_QUARTER,
    ),
    Family(
        name="rtdetr-original",
        source=_RTDETR,
        outputs=(Out(("N", "K", "4"), "boxes"), Out(("N", "K"), "labels"), Out(("N", "K"), "scores", "f")),
        read=_split,
        pixels=UNIT,
        thresholds=_HALF,
        told=lambda match: "names of inputs and outputs" if "orig_target_sizes" in match.shown.inputs else "",
    ),
    Family(
        name="mmdeploy",
        source=_MMDEPLOY,
        outputs=(Out(("N", "K", "5"), "dets"), Out(("N", "K"), "labels")),
        read=_labels(),
        pixels=_MMDET,
        unsure=_MMDET_UNSURE,
        thresholds=Thresholds(confidence=0.3),
        told=_named,
        when=_has_no_masks,
        extra=True,
    ),
    Family(
        name="mmdeploy-masks",
        source=_MMDEPLOY,
        outputs=(Out(("N", "K", "5"), "dets"), Out(("N", "K"), "labels"), Out(("N", "K", "H", "W"), "masks")),
        read=_labels("image"),
        pixels=_MMDET,
        unsure=_MMDET_UNSURE,
        thresholds=Thresholds(confidence=0.3),
        told=_named,
    ),
    Family(
        name="mmdeploy-box-masks",
        source=_MMDEPLOY,
        outputs=(Out(("N", "K", "5"), "dets"), Out(("N", "K"), "labels"), Out(("N", "K", "28", "28"), "masks")),
        read=_labels("boxes"),
        pixels=_MMDET,
        unsure=_MMDET_UNSURE,
        thresholds=Thresholds(confidence=0.3),
        told=_named,
    ),
    Family(
        name="mmdeploy-people",  # RTMO and YOLOX-Pose of mmpose
        source=_RTMO,
        outputs=(Out(("N", "K", "5"), "dets"), Out(("N", "K", "P", "3"), "keypoints")),
        read=_people,
        pixels=dataclasses.replace(OPENCV, anchor="center"),
        thresholds=Thresholds(confidence=0.3),
        told=_named,
    ),
    *(_geti(batch, masks) for batch in (("N",), ()) for masks in (False, True)),
)
