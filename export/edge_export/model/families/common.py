"""What rows of several groups share: pre-processings by name, and readings that differ in little."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from edge_export.model.families.family import Family, Match, Pixels, Shown
from edge_runtime.bundle.postprocess_spec import Detect, Postprocess

__all__ = [
    "ANCHORS_UNTOLD",
    "CUT_OUT_UNTOLD",
    "DECIDED_BY",
    "FIT_UNTOLD",
    "IMAGENET",
    "LETTERBOX",
    "MEAN_UNTOLD",
    "OPENCV",
    "UNIT",
    "normalized",
    "tells_pixels",
    "unless_told",
]

# Keras and TensorFlow: their readers of pictures give RGB (image_dataset_from_directory, tf.io.decode_image), and
# stretch them.
_RGB = ("tf2onnx", "keras")

# What nothing in a file may tell, and the flag that says it.
FIT_UNTOLD = "YOLOs are letterboxed, RT-DETR and others stretched (--fit)"
ANCHORS_UNTOLD = "its anchors, here COCO's, differ from data to data (--anchors)"
MEAN_UNTOLD = "EfficientDets take ImageNet's mean off, some of TensorFlow's 0.5 (--mean)"
CUT_OUT_UNTOLD = (
    "RTMPose takes one object, cut out of the picture with an eighth of its size more on each side; where all pictures "
    "are such, say how they come to the model's form (--fit)"
)
DECIDED_BY = {FIT_UNTOLD: "fit", ANCHORS_UNTOLD: "anchors", MEAN_UNTOLD: "mean", CUT_OUT_UNTOLD: "fit"}

# What Ultralytics, YOLOv5, v6 and v7 do: grey 114 around the picture, RGB of 0..1.
LETTERBOX = Pixels(fit="letterbox")
# RGB of 0..1, stretched.
UNIT = Pixels()
# The same less ImageNet's mean, in its deviations.
IMAGENET = Pixels(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
# Pixels as OpenCV reads them, the picture at the upper left.
OPENCV = Pixels(colour="bgr", scale=1.0, fit="letterbox", anchor="top-left")


def normalized(row: Family) -> Family:
    """A detector's row whose boxes are 0..1 of the input, as converters to TensorFlow Lite leave them."""

    def read(match: Match) -> Postprocess:
        post = row.read(match)
        return dataclasses.replace(post, normalized=True) if isinstance(post, Detect) else post

    return dataclasses.replace(row, name=f"{row.name}-normalized", read=read, told=_nowhere)


def _nowhere(_match: Match) -> str:
    return ""


def tells_pixels(shown: Shown) -> bool:
    """Whether nothing is open of a model's pixels: its graph scales 0..255 itself, and its maker's pictures are RGB."""
    image = shown.image
    whole = image is not None and (image.pixels == "bytes" or image.dtype == "uint8")
    return whole and shown.producer.lower().startswith(_RGB)


def unless_told(reason: str) -> Callable[[Match], str]:
    """A row's doubt of its pixels, which are those of `UNIT` or what the graph tells."""

    def doubt(match: Match) -> str:
        return "" if tells_pixels(match.shown) else reason

    return doubt
