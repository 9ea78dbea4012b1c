"""Classifiers and segmentation models that nothing but their shapes tells: one output of scores."""

from __future__ import annotations

from edge_export.model.families.common import UNIT
from edge_export.model.families.family import Family, Match, Out
from edge_runtime.bundle.postprocess_spec import Classify, Postprocess, Segment

__all__ = ["ROWS"]

_PROBABILITIES = ("Softmax", "Sigmoid")
_FEATURES = ("Relu", "Clip", "LeakyRelu")
_UNSURE = "classifiers differ in what pixels they take"
_MOST_CLASSES = 200


def _several(match: Match) -> str:
    if "names" in match.shown.properties:
        return "the metadata name another kind"
    return "" if match.shown.image is not None and match.sizes.get("C", 2) >= 2 else "one score, or no image"


def _classify(match: Match) -> Postprocess:
    return Classify(activation="none" if match.outputs[0].maker in _PROBABILITIES else "softmax")


def _dense(match: Match) -> str:
    """A map of classes is at least an eighth of the picture's size, and is not what a layer of features ends in."""
    image, shape = match.shown.image, match.outputs[0].shape
    if image is None or not image.width or not image.height or shape is None:
        return "the size of the input or of the map is not known"
    height, width = shape[2:] if image.layout == "nchw" else shape[1:3]
    if (height or 0) * 8 < image.height or (width or 0) * 8 < image.width:
        return f"{width}x{height} cells are too few for a map of {image.width}x{image.height} pixels"
    if match.outputs[0].maker in _FEATURES:
        return f"the output is made by {match.outputs[0].maker}, as features are"
    return "" if 2 <= match.sizes.get("C", 0) <= _MOST_CLASSES else f"it would have {match.sizes.get('C')} classes"


def _segment(match: Match) -> Postprocess:
    first = match.shown.image is None or match.shown.image.layout == "nchw"
    return Segment(
        axis="channels-first" if first else "channels-last",
        activation="none" if match.outputs[0].maker in _PROBABILITIES else "softmax",
    )


def _layout(layout: str) -> str:
    return f"the input's channels are not {'first' if layout == 'nchw' else 'last'}"


def _one_of_two(match: Match) -> str:
    labels = match.shown.labels
    if labels is not None and len(labels) != 2:
        return f"{len(labels)} labels are not two"
    if match.shown.image is None:
        return "it takes no image"
    sure = match.outputs[0].maker == "Sigmoid" or labels is not None
    return "" if sure else "its one value is no sigmoid's, and no two labels say that it tells two classes"


def _binary(match: Match) -> Postprocess:
    return Classify(activation="none" if match.outputs[0].maker == "Sigmoid" else "sigmoid", binary=True)


ROWS: tuple[Family, ...] = (
    Family(
        name="binary-classifier",
        source="https://keras.io/api/layers/activations/#sigmoid-function",
        outputs=(Out(("N", "1"), kind="f"),),
        read=_binary,
        pixels=UNIT,
        unsure=_UNSURE,
        when=_one_of_two,
    ),
    Family(
        name="classifier",
        source="one score for each class",
        outputs=(Out(("N", "C"), kind="f"),),
        read=_classify,
        pixels=UNIT,
        unsure=_UNSURE,
        when=_several,
    ),
    Family(
        name="classifier-with-a-cell",
        source="one score for each class, before its last two dimensions are squeezed",
        outputs=(Out(("N", "C", "1", "1"), kind="f"),),
        read=_classify,
        pixels=UNIT,
        unsure=_UNSURE,
        when=_several,
    ),
    Family(
        name="segmentation",
        source="one map of scores for each class",
        outputs=(Out(("N", "C", "*", "*"), kind="f"),),
        read=_segment,
        pixels=UNIT,
        unsure="segmentation models differ in what pixels they take",
        when=lambda match: (
            _dense(match) if match.shown.image and match.shown.image.layout == "nchw" else _layout("nchw")
        ),
    ),
    Family(
        name="segmentation-channels-last",
        source="one map of scores for each class",
        outputs=(Out(("N", "*", "*", "C"), kind="f"),),
        read=_segment,
        pixels=UNIT,
        unsure="segmentation models differ in what pixels they take",
        when=lambda match: (
            _dense(match) if match.shown.image and match.shown.image.layout == "nhwc" else _layout("nhwc")
        ),
    ),
)
