"""Segmentation: one class per pixel, as scores of classes, one score that tells two, or indices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from edge_export.model.families.classify import PROBABILITIES, sums_to_one
from edge_export.model.families.common import IMAGENET, UNIT, unless_told
from edge_export.model.families.family import Answers, Family, Match, Out, Pixels
from edge_runtime.bundle.facts import Thresholds
from edge_runtime.bundle.postprocess_spec import Postprocess, Segment

__all__ = ["ROWS"]

# What a layer of features ends in, and a map of depths.
_FEATURES = ("Relu", "Clip", "LeakyRelu")
# What a layer of scores ends in.
_LINEAR = ("Conv", "ConvTranspose", "Add", "Gemm", "MatMul", "BatchNormalization")
_INDICES = ("ArgMax", "Greater", "GreaterOrEqual", "Round")
_MOST_CLASSES = 200
_UNSURE = "segmentation models differ in what pixels they take"
_TORCHVISION = "https://github.com/pytorch/vision/blob/main/torchvision/models/segmentation/_utils.py"
_DB = "https://github.com/PaddlePaddle/PaddleOCR/blob/main/configs/det/ch_PP-OCRv3/ch_PP-OCRv3_det_student.yml"


def _maker(match: Match) -> str:
    return match.outputs[0].maker


def _first(match: Match) -> bool:
    """Whether channels are the first dimension after the batch, as they are in the input."""
    return match.shown.image is None or match.shown.image.layout == "nchw"


def _is_map(match: Match) -> str:
    """A map of classes is at least an eighth of the picture's size, and is not what a layer of features ends in."""
    image, shape = match.shown.image, match.outputs[0].shape
    if "anomaly" in match.names[0]:
        return f"it is called {match.names[0]}"
    if image is None or not image.width or not image.height or shape is None:
        return "the size of the input or of the map is not known"
    height, width = shape[1:3] if len(shape) == 3 or not _first(match) else shape[2:]
    if (height or 0) * 8 < image.height or (width or 0) * 8 < image.width:
        return f"{width}x{height} cells are too few for a map of {image.width}x{image.height} pixels"
    if (height or 0) > image.height or (width or 0) > image.width:
        return f"it is larger than the picture: {width}x{height}"
    if _maker(match) in _FEATURES:
        return f"the output is made by {_maker(match)}, as features are"
    return ""


def _dense(match: Match) -> str:
    if reason := _is_map(match):
        return reason
    return "" if 2 <= match.sizes.get("C", 0) <= _MOST_CLASSES else f"it would have {match.sizes.get('C')} classes"


def _layout(wanted: str, reason: Callable[[Match], str]) -> Callable[[Match], str]:
    def when(match: Match) -> str:
        layout = match.shown.image.layout if match.shown.image is not None else ""
        other = f"the input's channels are not {'first' if wanted == 'nchw' else 'last'}"
        return reason(match) if layout == wanted else other

    return when


def _scores(match: Match) -> str:
    return _dense(match) or ("its scores are a sigmoid's, each by itself" if _maker(match) == "Sigmoid" else "")


def _after(match: Match) -> str:
    """Scores may be probabilities that an operator after the softmax or sigmoid has moved or enlarged."""
    return f"its scores are made by {_maker(match)}" if _maker(match) in (*PROBABILITIES, *_LINEAR, *_INDICES) else ""


def _each(match: Match) -> str:
    return _dense(match) or ("" if _maker(match) == "Sigmoid" else "its scores are no sigmoid's")


def _one(match: Match) -> str:
    if reason := _is_map(match):
        return reason
    if (match.shown.labels and len(match.shown.labels) > 2) or "names" in match.shown.properties:
        return f"{len(match.shown.labels or ())} labels are more than one channel tells"
    return f"its values are made by {_maker(match)}" if _maker(match) in (*_INDICES, "Softmax") else ""


def _indices(match: Match) -> str:
    if reason := _is_map(match):
        return reason
    whole = match.outputs[0].kind in ("i", "u", "b") or _maker(match) in _INDICES
    return "" if whole else "it holds no indices of classes"


def _axis(match: Match) -> Literal["channels-first", "channels-last"]:
    flat = len(match.outputs[0].shape or ()) == 3
    return "channels-first" if flat or _first(match) else "channels-last"


def _segment(match: Match) -> Postprocess:
    return Segment(axis=_axis(match), activation="none" if _maker(match) in PROBABILITIES else "softmax")


def _masks(match: Match) -> Postprocess:
    return Segment(axis=_axis(match), background=-1, multilabel=True)


def _mask(match: Match) -> Postprocess:
    return Segment(axis=_axis(match), activation="none" if _maker(match) == "Sigmoid" else "sigmoid")


def _classes(match: Match) -> Postprocess:
    channel = len(match.outputs[0].shape or ()) == 4
    return Segment(axis=_axis(match), indices=channel and match.outputs[0].kind != "i")


def _no_probabilities(match: Match, pictures: Sequence[Answers]) -> str:
    if _maker(match) == "Softmax" or not pictures:
        return ""
    axis = 1 if _first(match) else 3
    ready = all(sums_to_one(answers[match.names[0]], axis) for answers in pictures)
    return "the scores are of 0..1 and 1 together: the graph has its softmax" if ready else ""


def _of_both_signs(match: Match, pictures: Sequence[Answers]) -> str:
    """Logits are below 0 where there is nothing; depths, distances and probabilities never are."""
    if _maker(match) == "Sigmoid" or not pictures:
        return ""
    low = min(float(np.asarray(answers[match.names[0]]).min()) for answers in pictures)
    return "" if low < 0 else "its values are never below 0: they are no logits"


def _probabilities(match: Match, pictures: Sequence[Answers]) -> str:
    axis = 1 if _first(match) else 3
    ready = all(sums_to_one(answers[match.names[0]], axis) for answers in pictures)
    return "" if ready else "the scores are not 1 together"


def _within_one(match: Match, pictures: Sequence[Answers]) -> str:
    arrays = [np.asarray(answers[match.names[0]], np.float32) for answers in pictures]
    ready = all(array.min() >= 0 and array.max() <= 1 for array in arrays)
    return "" if ready else "its values are not within 0..1"


def _few_classes(match: Match, pictures: Sequence[Answers]) -> str:
    """Bytes may be probabilities of 0..255, too."""
    high = max((float(np.asarray(answers[match.names[0]]).max()) for answers in pictures), default=0.0)
    return f"it has values up to {high:.3g}: too many classes" if high >= _MOST_CLASSES else ""


def _paddle(match: Match) -> str:
    if match.shown.inputs != ("x",):
        return "PaddlePaddle calls a model's input x"
    return "" if _maker(match) == "Sigmoid" else "the map is no sigmoid's"


_ROWS: tuple[Family, ...] = (
    Family(
        name="paddleocr-detector",
        source=_DB,
        outputs=(Out(("N", "1", "*", "*"), r"sigmoid_\d+\.tmp_0|save_infer_model/.*|fetch_name_0", "f"),),
        read=lambda match: Segment(threshold=0.3),  # DBPostProcess.thresh
        pixels=Pixels(
            colour="bgr",
            mean=(0.485, 0.456, 0.406),
            std=(0.229, 0.224, 0.225),
            fit="letterbox",
            anchor="top-left",
            pad_value=0,
        ),
        unsure="PaddleOCR takes ImageNet's mean of BGR pixels, RapidOCR 0.5",
        thresholds=Thresholds(confidence=0.6),  # DBPostProcess.box_thresh
        when=_paddle,
        size=(960, 960),
        labels=("text",),
    ),
    Family(
        name="torchvision-segmentation",
        source=_TORCHVISION,
        outputs=(Out(("N", "C", "*", "*"), "out", "f"), Out(("N", "C", "*", "*"), "aux", "f")),
        read=lambda match: Segment(output="out", activation="softmax"),
        pixels=IMAGENET,
        unsure=_UNSURE,
        when=_layout("nchw", _dense),
        told=lambda match: "names of outputs",
    ),
    Family(
        name="segmentation",
        source="one map of scores for each class",
        outputs=(Out(("N", "C", "*", "*"), kind="f"),),
        read=_segment,
        doubt=unless_told(_UNSURE),
        when=_layout("nchw", _scores),
        fits=_no_probabilities,
    ),
    Family(
        name="segmentation-masks",
        source="https://github.com/qubvel-org/segmentation_models.pytorch, multilabel mode: one mask for each class",
        outputs=(Out(("N", "C", "*", "*"), kind="f"),),
        read=_masks,
        doubt=unless_told(_UNSURE),
        when=_layout("nchw", _each),
    ),
    Family(
        name="segmentation-mask",
        source="https://arxiv.org/abs/1505.04597: one map that tells two classes",
        outputs=(Out(("N", "1", "*", "*"), kind="f"),),
        read=_mask,
        doubt=unless_told(_UNSURE),
        when=_layout("nchw", _one),
        fits=_of_both_signs,
    ),
    Family(
        name="segmentation-probabilities",
        source="one map of probabilities for each class",
        outputs=(Out(("N", "C", "*", "*"), kind="f"),),
        read=lambda match: Segment(axis=_axis(match)),
        doubt=unless_told(_UNSURE),
        when=_layout("nchw", lambda match: _dense(match) or _after(match)),
        fits=_probabilities,
    ),
    Family(
        name="segmentation-mask-probabilities",
        source="one map of probabilities that tells two classes",
        outputs=(Out(("N", "1", "*", "*"), kind="f"),),
        read=lambda match: Segment(axis=_axis(match)),
        doubt=unless_told(_UNSURE),
        when=_layout("nchw", lambda match: _one(match) or _after(match)),
        fits=_within_one,
    ),
    Family(
        name="segmentation-indices",
        source="the class of each pixel, argmax in the graph (PaddleSeg, mmsegmentation, TensorFlow's DeepLab)",
        outputs=(Out(("N", "*", "*")),),
        read=_classes,
        doubt=unless_told(_UNSURE),
        when=_indices,
        fits=_few_classes,
    ),
    Family(
        name="segmentation-indices-with-a-channel",
        source="the class of each pixel, argmax in the graph (PaddleSeg, mmsegmentation)",
        outputs=(Out(("N", "1", "*", "*")),),
        read=_classes,
        doubt=unless_told(_UNSURE),
        when=_layout("nchw", _indices),
        fits=_few_classes,
    ),
)


def _last(row: Family, when: Callable[[Match], str]) -> Family:
    """A row with its channels last."""
    shape = row.outputs[0].shape
    return Family(
        name=f"{row.name}-channels-last",
        source=row.source,
        outputs=(Out((shape[0], "*", "*", shape[1]), row.outputs[0].name, row.outputs[0].kind),),
        read=row.read,
        pixels=UNIT,
        doubt=row.doubt,
        when=_layout("nhwc", when),
        fits=row.fits,
    )


_BY_NAME = {row.name: row for row in _ROWS}
ROWS: tuple[Family, ...] = (
    *_ROWS,
    _last(_BY_NAME["segmentation"], _scores),
    _last(_BY_NAME["segmentation-masks"], _each),
    _last(_BY_NAME["segmentation-mask"], _one),
    _last(_BY_NAME["segmentation-probabilities"], lambda match: _dense(match) or _after(match)),
    _last(_BY_NAME["segmentation-mask-probabilities"], lambda match: _one(match) or _after(match)),
    _last(_BY_NAME["segmentation-indices-with-a-channel"], _indices),
)
