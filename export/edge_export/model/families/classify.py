"""Classifiers: one output of scores. What pixels they take differs, and is said with flags."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_export.model.families.common import IMAGENET, UNIT, unless_told
from edge_export.model.families.family import Answers, Family, Match, Out, Pixels
from edge_runtime.bundle.postprocess_spec import Classify, Postprocess

__all__ = ["PROBABILITIES", "ROWS", "sums_to_one"]

# The operators that make probabilities of scores.
PROBABILITIES = ("Softmax", "Sigmoid")
# What a softmax that is written out ends in; layers of scores end in a product or a sum.
_WRITTEN_OUT = ("Div", "Exp", "Mul", "Reciprocal")
_UNSURE = "classifiers differ in what pixels they take (Keras: 0..255 where a layer scales them, else 0..1 or -1..1)"
_ANGLE = "https://github.com/PaddlePaddle/PaddleOCR/blob/main/configs/cls/cls_mv3.yml"


def _maker(match: Match) -> str:
    return match.outputs[0].maker


def sums_to_one(values: NDArray[np.generic], axis: int) -> bool:
    """Whether values are probabilities already: of 0..1, and 1 together."""
    array = np.asarray(values, np.float32)
    return bool(array.min() >= 0 and np.abs(array.sum(axis=axis) - 1).max() < 1e-3)


def _several(match: Match) -> str:
    if "names" in match.shown.properties:
        return "the metadata name another kind"
    return "" if match.shown.image is not None and match.sizes.get("C", 2) >= 2 else "one score, or no image"


def _scores(match: Match) -> str:
    if reason := _several(match):
        return reason
    return "its scores are a sigmoid's, each by itself" if _maker(match) == "Sigmoid" else ""


def _classify(match: Match) -> Postprocess:
    return Classify(activation="none" if _maker(match) == "Softmax" else "softmax")


def _no_probabilities(match: Match, pictures: Sequence[Answers]) -> str:
    """A softmax over what is a softmax' already would make all classes alike."""
    if _maker(match) == "Softmax" or not pictures:
        return ""
    ready = all(sums_to_one(answers[match.names[0]], 1) for answers in pictures)
    return "the scores are of 0..1 and 1 together: the graph has its softmax" if ready else ""


def _written_out(match: Match) -> str:
    if _maker(match) not in _WRITTEN_OUT:
        return f"its scores are made by {_maker(match) or 'nothing known'}"
    return _several(match)


def _probabilities(match: Match, pictures: Sequence[Answers]) -> str:
    ready = all(sums_to_one(answers[match.names[0]], 1) for answers in pictures)
    return "" if ready else "the scores are not 1 together"


def _each(match: Match) -> str:
    if reason := _several(match):
        return reason
    return "" if _maker(match) == "Sigmoid" else "its scores are no sigmoid's"


def _one_of_two(match: Match) -> str:
    labels = match.shown.labels
    if labels is not None and len(labels) != 2:
        return f"{len(labels)} labels are not two"
    if match.shown.image is None:
        return "it takes no image"
    if match.names[0] == "pred_score":
        return "it is called pred_score: an anomaly score"
    sure = _maker(match) == "Sigmoid" or labels is not None
    return "" if sure else "its one value is no sigmoid's, and no two labels say that it tells two classes"


def _binary(match: Match) -> Postprocess:
    return Classify(activation="none" if _maker(match) == "Sigmoid" else "sigmoid", binary=True)


def _paddle(match: Match) -> str:
    return "" if match.shown.inputs == ("x",) else "PaddlePaddle calls a model's input x"


def _angle(match: Match) -> str:
    image = match.shown.image
    if image is None or (image.width, image.height) not in ((192, 48), (160, 80)):
        return "lines of text are 192x48 or 160x80"
    return _paddle(match)


ROWS: tuple[Family, ...] = (
    Family(
        name="binary-classifier",
        source="https://keras.io/api/layers/activations/#sigmoid-function",
        outputs=(Out(("N", "1"), kind="f"),),
        read=_binary,
        pixels=UNIT,
        doubt=unless_told(_UNSURE),
        when=_one_of_two,
    ),
    Family(
        name="paddleocr-angle",
        source=_ANGLE,
        outputs=(Out(("N", "2"), r"save_infer_model/.*|softmax_\d+\.tmp_0|fetch_name_0", "f"),),
        read=lambda match: Classify(activation="none" if _maker(match) == "Softmax" else "softmax"),
        # height first, then what is left to the right is grey
        pixels=Pixels(colour="bgr", mean=(0.5,) * 3, std=(0.5,) * 3, fit="letterbox", anchor="top-left", pad_value=127),
        when=_angle,
        labels=("0", "180"),
    ),
    Family(
        name="paddle-classifier",
        source="https://github.com/PaddlePaddle/PaddleClas/blob/release/2.6/deploy/configs/inference_cls.yaml",
        outputs=(Out(("N", "C"), r"save_infer_model/.*|softmax_\d+\.tmp_0|fetch_name_0", "f"),),
        read=_classify,
        pixels=IMAGENET,
        unsure=_UNSURE,
        when=lambda match: _paddle(match) or _scores(match),
    ),
    Family(
        name="classifier",
        source="one score for each class",
        outputs=(Out(("N", "C"), kind="f"),),
        read=_classify,
        pixels=UNIT,
        doubt=unless_told(_UNSURE),
        when=_scores,
        fits=_no_probabilities,
    ),
    Family(
        name="classifier-with-a-cell",
        source="one score for each class, before its last two dimensions are squeezed",
        outputs=(Out(("N", "C", "1", "1"), kind="f"),),
        read=_classify,
        pixels=UNIT,
        doubt=unless_told(_UNSURE),
        when=_scores,
        fits=_no_probabilities,
    ),
    Family(
        name="classifier-probabilities",
        source="one probability for each class, its softmax written out",
        outputs=(Out(("N", "C"), kind="f"),),
        read=lambda match: Classify(activation="none"),
        pixels=UNIT,
        doubt=unless_told(_UNSURE),
        when=_written_out,
        fits=_probabilities,
    ),
    Family(
        name="multi-label-classifier",
        source="https://keras.io/api/layers/activations/#sigmoid-function",
        outputs=(Out(("N", "C"), kind="f"),),
        read=lambda match: Classify(activation="none", multilabel=True),
        pixels=UNIT,
        doubt=unless_told(_UNSURE),
        when=_each,
    ),
)
