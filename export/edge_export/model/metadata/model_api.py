"""model_api's `model_info` entries, as Geti, OTX and anomalib write them (open-edge-platform/model_api).

In an ONNX file each is a property whose key is "model_info NAME". Images are BGR there unless
`reverse_input_channels` is set; `mean_values` and `scale_values` are in units of the 0..255 pixel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from edge_export.model.graph_io import ImageInput, Output
from edge_export.model.metadata.model_api_answers import (
    ANOMALIES,
    INSTANCES,
    ULTRALYTICS,
    Told,
    answers_of,
    channels_of,
)
from edge_export.model.parse import MAX_LABELS, boolean, label_list, number, numbers
from edge_export.state import KnownFacts
from edge_runtime.bundle.facts import Thresholds, VerdictRule
from edge_runtime.bundle.postprocess_spec import Anomaly, Classify, Detect, Postprocess, Segment
from edge_runtime.bundle.preprocess_spec import Preprocess

__all__ = ["read_model_api"]

_PREFIX = "model_info "
_ORIGIN = "model_api metadata"
# What model_api does beside the model and edge-run does not.
_NOT_DONE = {
    "tile_size": "pictures are not cut into tiles, small objects may be missed",
    "blur_strength": "scores of pixels are not blurred",
}
# What model_api takes where a file names a type and leaves out the rest (`parameters` of models/yolo.py there).
_ULTRALYTICS = {
    "resize_type": "fit_to_window_letterbox",
    "pad_value": "114",
    "reverse_input_channels": "True",
    "scale_values": "255",
    "confidence_threshold": "0.25",
    "iou_threshold": "0.7",
}
_DEFAULTS: Mapping[str, Mapping[str, str]] = {
    **dict.fromkeys(ULTRALYTICS, _ULTRALYTICS),
    "yolo-seg": {**_ULTRALYTICS, "reverse_input_channels": "False", "iou_threshold": "0.5"},
    "yolox": {"confidence_threshold": "0.5", "iou_threshold": "0.65"},
}
# model_api reports all key points. Here a picture has an object where points are as sure as mmpose draws them; by a
# line's softmax a peak as wide as SimCC trains it is 0.5 sure, and this is half of that.
_POINTS, _STEEP_POINTS = 0.3, 0.25
# What its code does whatever a file says: the picture at the upper left, 114 beside it (YOLOX._resize_image there).
_ALWAYS: Mapping[str, Mapping[str, str]] = {"yolox": {"resize_type": "fit_to_window", "pad_value": "114"}}
# What nothing here brings pictures to; then what the model takes is not known.
_UNKNOWN_PIXELS = {
    "intensity_mode": ("none", "scale_to_unit"),
    "input_dtype": ("u8",),
    "embedded_processing": ("false", "0", "no"),
}
_NOTHING = ("otx empty lbl", "empty", "background", "no object")
_INTERPOLATIONS: Mapping[str, Literal["linear", "cubic", "nearest"]] = {
    "LINEAR": "linear", "CUBIC": "cubic", "NEAREST": "nearest"
}  # fmt: skip
_FITS: dict[str, tuple[Literal["stretch", "letterbox", "crop"], Literal["center", "top-left"]]] = {
    "standard": ("stretch", "center"),
    "fit_to_window": ("letterbox", "top-left"),
    "fit_to_window_letterbox": ("letterbox", "center"),
    "crop": ("crop", "center"),
}


def read_model_api(
    properties: Mapping[str, str], image: ImageInput | None, outputs: tuple[Output, ...]
) -> KnownFacts | None:
    """Facts of a model with `model_info` entries; None without one."""
    info = {key[len(_PREFIX) :]: value for key, value in properties.items() if key.startswith(_PREFIX)}
    if not info:
        return None
    kind = info.get("model_type", "").strip().lower()
    info = {**_DEFAULTS.get(kind, {}), **info, **_ALWAYS.get(kind, {})}
    notes: list[str] = []
    labels = _labels(info, notes)
    post = answers_of(Told(kind, info, image, outputs, labels, notes)) if kind else None
    labels = _as_counted(labels, kind, post, outputs)
    if kind in ("ssd", *INSTANCES) and boolean(info.get("nms_execute")):
        notes.append("metadata 'model_info nms_execute': duplicates that the graph leaves are not removed")
    notes += [
        f"metadata {_PREFIX}{key} = {info[key][:20]!r}: {why}" for key, why in _NOT_DONE.items() if _asks(info, key)
    ]
    return KnownFacts(
        name=info.get("model_name", "")[:80] or None,
        preprocess=_preprocess(kind, info, image, notes),
        postprocess=post,
        labels=labels,
        thresholds=_thresholds(info, post),
        verdict=VerdictRule(rule="score") if isinstance(post, Anomaly) else None,
        notes=tuple(notes),
    ).found_in(_ORIGIN)


def _as_counted(
    labels: tuple[str, ...] | None, kind: str, post: Postprocess | None, outputs: tuple[Output, ...]
) -> tuple[str, ...] | None:
    """The labels as the outputs count classes: types of model_api leave out what stands for nothing, or add it."""
    if isinstance(post, Detect) and post.format == "simcc":
        return ("object",)  # they name the key points
    if not labels:
        return None
    if kind in INSTANCES and labels[0].lower() in _NOTHING:
        return labels[1:] or None
    if isinstance(post, Segment):
        channels = channels_of(post, outputs)
        if len(labels) + 1 == channels or (channels in (None, 1) and labels[0].lower() not in _NOTHING):
            return ("background", *labels)  # SegmentationModel.get_contours
    if isinstance(post, Classify):
        shape = next((one.shape for one in outputs if post.output in ("", one.name)), None)
        if shape is not None and len(shape) > 1 and shape[1] == len(labels) + 1:
            return ("other", *labels)  # ClassificationModel._verify_single_output
    return labels


def _asks(info: Mapping[str, str], key: str) -> bool:
    """Whether an entry asks for something: blur_strength -1 and soft_threshold inf do not."""
    value = info.get(key, "").strip().lower()
    return value not in ("", "-1", "inf", "false", "0", "none")


def _labels(info: Mapping[str, str], notes: list[str]) -> tuple[str, ...] | None:
    """Labels are separated by spaces; a space inside one is written "_"."""
    text = info.get("labels", "")
    words = text.split()
    if not words:
        return None
    labels = label_list([word.replace("_", " ") for word in words]) if len(words) <= MAX_LABELS else None
    if labels is None:
        notes.append("metadata 'model_info labels' is no list of labels and was ignored")
    return labels


def _preprocess(kind: str, info: Mapping[str, str], image: ImageInput | None, notes: list[str]) -> Preprocess | None:
    if image is None:
        return None
    for key, known in _UNKNOWN_PIXELS.items():
        if info.get(key, known[0]).strip().lower() not in known:
            notes.append(
                f"metadata 'model_info {key}' {info[key][:20]!r} is not done here: say with flags what it takes"
            )
            return None
    width, height = image.width, image.height
    if not width or not height:
        width, height = (
            int(_value(info, "orig_width", 1, 16384) or 0),
            int(_value(info, "orig_height", 1, 16384) or 0),
        )
    if not width or not height:
        return None
    resize = info.get("resize_type", "standard")
    if resize not in _FITS:
        notes.append(f"metadata 'model_info resize_type' {resize[:40]!r} is not known; the image is stretched")
    fit, anchor = _FITS.get(resize, _FITS["standard"])
    channels = image.channels
    mean = _per_channel(info, "mean_values", channels, 0.0, notes)
    std = _per_channel(info, "scale_values", channels, 1.0, notes)
    reverse = boolean(info.get("reverse_input_channels", "False"))
    return Preprocess(
        width=width,
        height=height,
        fit=fit,
        anchor=anchor,
        interpolation=_INTERPOLATIONS.get(info.get("interpolation_mode", ""), "linear"),
        pad_value=int(_value(info, "pad_value", 0, 255) or 0),
        colour="gray" if channels == 1 else "rgb" if reverse else "bgr",
        scale=_scale(kind, info, image, notes),
        mean=mean,
        std=std,
        layout=image.layout,
        dtype=image.dtype,
    )


def _scale(kind: str, info: Mapping[str, str], image: ImageInput, notes: list[str]) -> float:
    """What pixels of 0..255 are multiplied by before mean and deviations: 1 but for model_api's intensity mode.

    An anomaly model of free size without mean and scale gets pixels of 0..1 there, one of fixed size those of 0..255
    (AnomalyDetection._input_transform, which what is put into the graph passes by). So does a graph that tells
    itself that it takes 0..1.
    """
    if info.get("intensity_mode") == "scale_to_unit":
        return 1.0 / (_value(info, "intensity_max_value", 1e-9, 1e9) or 255.0)
    if kind not in ANOMALIES or info.get("mean_values") or info.get("scale_values"):
        return 1.0
    unit = not (image.width and image.height) or image.pixels == "unit"
    taken = "0..1 (--scale 1 leaves 0..255)" if unit else "0..255, as model_api leaves them (--scale 1/255 makes 0..1)"
    notes.append(f"anomaly metadata has no scale_values: pixels are of {taken}")
    return 1.0 / 255.0 if unit else 1.0


def _per_channel(
    info: Mapping[str, str], key: str, channels: int, default: float, notes: list[str]
) -> tuple[float, ...]:
    text = info.get(key, "")
    if not text.strip("[] "):
        return (default,) * channels
    values = numbers(text)
    if values is not None and len(values) == 1:
        values = values * channels
    if values is None or len(values) != channels or (key == "scale_values" and 0.0 in values):
        notes.append(f"metadata 'model_info {key}' {text[:40]!r} is not {channels} usable numbers and was ignored")
        return (default,) * channels
    return values


def _value(info: Mapping[str, str], key: str, low: float, high: float) -> float | None:
    return number(info.get(key), low, high)


def _thresholds(info: Mapping[str, str], post: Postprocess | None) -> Thresholds | None:
    """model_api's own defaults are 0.5 for both; an anomaly score is normalized so that 0.5 is the limit."""
    if isinstance(post, Anomaly):
        return Thresholds(confidence=0.5)
    confidence, iou = _value(info, "confidence_threshold", 0, 1), _value(info, "iou_threshold", 0, 1)
    if confidence is None and isinstance(post, Detect) and post.points is not None:
        confidence = _STEEP_POINTS if post.points.activation == "softmax" else _POINTS
    several = isinstance(post, Classify) and (post.multilabel or post.activation == "sigmoid")
    if confidence is None and (several or post is None or isinstance(post, Detect)):
        confidence = 0.5
    if confidence is None and iou is None:
        return None
    return Thresholds(confidence=0.5 if confidence is None else confidence, iou=0.5 if iou is None else iou)
