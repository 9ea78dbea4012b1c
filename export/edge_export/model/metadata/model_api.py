"""model_api's `model_info` entries, as Geti, OTX and anomalib write them (open-edge-platform/model_api).

In an ONNX file each is a property whose key is "model_info NAME". Images are BGR there unless
`reverse_input_channels` is set; `mean_values` and `scale_values` are in units of the 0..255 pixel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from edge_export.model.graph_io import ImageInput, Output
from edge_export.model.parse import MAX_LABELS, boolean, label_list, number, numbers
from edge_export.state import KnownFacts
from edge_runtime.bundle.facts import Thresholds, VerdictRule
from edge_runtime.bundle.postprocess_spec import Anomaly, Classify, Detect, Postprocess, Raw, Segment
from edge_runtime.bundle.preprocess_spec import Preprocess

__all__ = ["read_model_api"]

_PREFIX = "model_info "
_ANOMALY = ("anomalydetection", "anomaly")
_ORIGIN = "model_api metadata"
# What model_api does beside the model and edge-run does not.
_NOT_DONE = {
    "tile_size": "pictures are not cut into tiles, small objects may be missed",
    "blur_strength": "scores of pixels are not blurred",
}
# Outputs beside the answer, for explanations.
# What a layer of scores ends in: its values are no probabilities.
_LOGITS = ("Conv", "ConvTranspose", "Add", "Gemm", "MatMul", "BatchNormalization")
_BESIDE = ("saliency_map", "feature_vector")
# Types whose layout is told by names and shapes of outputs: the rows of the families table read them.
_BY_TABLE = ("ssd", "maskrcnn", "detrinstseg", "detection", "object_detection")
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
    **dict.fromkeys(("yolov5", "yolov8", "yolo_v8", "yolo11", "yolov11"), _ULTRALYTICS),
    "yolox": {"confidence_threshold": "0.5", "iou_threshold": "0.65"},
}
# Types whose first label stands for nothing and whose classes do not count it (InstanceSegmentationModel there).
_SHIFTED = ("maskrcnn", "detrinstseg")
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
    info = {**_DEFAULTS.get(_kind(info), {}), **info}
    notes: list[str] = []
    labels = _labels(info, notes)
    if labels and _kind(info) in _SHIFTED and labels[0].lower() in _NOTHING:
        labels = labels[1:] or None
    post = _postprocess(info, image, outputs, notes)
    if isinstance(post, Segment) and labels is not None:
        channels = _channels(post, outputs)
        if len(labels) + 1 == channels or (channels in (None, 1) and labels[0].lower() not in _NOTHING):
            labels = ("background", *labels)  # model_api's labels leave it out (SegmentationModel.get_contours)
    notes += [
        f"metadata {_PREFIX}{key} = {info[key][:20]!r}: {why}" for key, why in _NOT_DONE.items() if _asks(info, key)
    ]
    return KnownFacts(
        name=info.get("model_name", "")[:80] or None,
        preprocess=_preprocess(info, image, notes),
        postprocess=post,
        labels=labels,
        thresholds=_thresholds(info, post),
        verdict=VerdictRule(rule="score") if isinstance(post, Anomaly) else None,
        notes=tuple(notes),
    ).found_in(_ORIGIN)


def _kind(info: Mapping[str, str]) -> str:
    return info.get("model_type", "").strip().lower()


def _asks(info: Mapping[str, str], key: str) -> bool:
    """Whether an entry asks for something: blur_strength -1 and soft_threshold inf do not."""
    value = info.get(key, "").strip().lower()
    return value not in ("", "-1", "inf", "false", "0", "none")


def _channels(post: Segment, outputs: tuple[Output, ...]) -> int | None:
    shape = next((one.shape for one in outputs if post.output in ("", one.name)), None)
    return shape[1 if post.axis == "channels-first" else 3] if shape is not None and len(shape) == 4 else None


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


def _preprocess(info: Mapping[str, str], image: ImageInput | None, notes: list[str]) -> Preprocess | None:
    if image is None:
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
        scale=1.0 / 255.0 if _unit_pixels(info) else 1.0,
        mean=mean,
        std=std,
        layout=image.layout,
        dtype=image.dtype,
    )


def _unit_pixels(info: Mapping[str, str]) -> bool:
    """Whether mean and scale are for pixels of 0..1: model_api's intensity mode, and anomalib's models, which
    hold their normalization inside the graph.
    """
    if info.get("intensity_mode") == "scale_to_unit":
        return True
    anomaly = _kind(info) in _ANOMALY
    return anomaly and not info.get("mean_values") and not info.get("scale_values")


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
    if isinstance(post, Classify) and (post.multilabel or post.activation == "sigmoid") and confidence is None:
        confidence = 0.5
    if confidence is None and iou is None:
        return None
    return Thresholds(confidence=0.5 if confidence is None else confidence, iou=0.5 if iou is None else iou)


def _postprocess(
    info: Mapping[str, str], image: ImageInput | None, outputs: tuple[Output, ...], notes: list[str]
) -> Postprocess | None:
    kind = _kind(info)
    if not kind:
        return None
    answers = tuple(one for one in outputs if one.name not in _BESIDE)
    named = answers[0].name if answers and answers[0] is not outputs[0] else ""
    if kind == "classification":
        if boolean(info.get("hierarchical", "False")):
            notes.append("hierarchical classification has no post-processing here: raw tensors")
            return Raw()
        several = bool(boolean(info.get("multilabel", "False")))
        ready = bool(answers) and answers[0].maker in ("Softmax", "Sigmoid")
        return Classify(
            output=named,
            activation="none" if ready else "sigmoid" if several else "softmax",
            multilabel=several and ready,
        )
    if kind == "segmentation":
        # scores per class: the graph has its softmax, or ends in a layer
        flat = bool(answers) and answers[0].shape is not None and len(answers[0].shape) == 3
        last = image is not None and image.layout == "nhwc" and not flat
        single = _channels(Segment(output=named), outputs) == 1 and not last  # the class itself: postprocess there
        logits = bool(answers) and not flat and not single and answers[0].maker in _LOGITS
        return Segment(
            output=named,
            axis="channels-last" if last else "channels-first",
            activation="softmax" if logits else "none",
            indices=single,
        )
    if kind in _ANOMALY:
        return _anomaly(info, outputs, notes)
    names = {one.name for one in answers}
    if kind == "ssd" and {"bboxes", "scores", "labels"} <= names:  # MultipleOutputParser there
        return Detect(
            format="final-split", outputs=("bboxes", "labels", "scores"), box="xyxy", normalized=True, nms=False
        )
    if kind in _BY_TABLE:
        return None
    shapes: list[Any] = [output.shape for output in outputs]
    if kind in ("yolo", "yolov8", "yolo_v8", "yolo11", "yolov11") and len(outputs) == 1:
        return Detect(format="yolo", box="cxcywh", axis="channels-first")
    if kind == "yolov5":  # Ultralytics' newer one is as YOLOv8's; the older has its row in the table
        wide = len(outputs) == 1 and shapes[0] is not None and len(shapes[0]) == 3 and _first_is_shorter(shapes[0])
        return Detect(format="yolo", box="cxcywh", axis="channels-first") if wide else None
    if kind == "yolox" and len(outputs) == 1 and shapes[0] is not None and len(shapes[0]) == 3:
        return Detect(format="grid", axis="channels-last", strides=(8, 16, 32), objectness=True)
    notes.append(f"model_api type {kind[:40]!r} with {len(outputs)} outputs has no post-processing here: raw tensors")
    return Raw()


def _first_is_shorter(shape: tuple[int | None, ...]) -> bool:
    return shape[1] is not None and (shape[2] is None or shape[1] < shape[2])


def _anomaly(info: Mapping[str, str], outputs: tuple[Output, ...], notes: list[str]) -> Anomaly:
    """anomalib before 2.0 exports raw scores with their normalization beside them; later ones normalize
    inside.
    """
    names = [output.name for output in outputs]
    if "anomaly_map" in names and "pred_score" in names:
        return Anomaly(map_output="anomaly_map", score_output="pred_score")
    threshold = _value(info, "image_threshold", -1e9, 1e9)
    scale = _value(info, "normalization_scale", 1e-9, 1e9)
    if threshold is None or scale is None:
        notes.append("anomaly metadata lacks image_threshold or normalization_scale: scores are taken as 0..1")
        return Anomaly(map_output=names[0] if names else "")
    pixel = _value(info, "pixel_threshold", -1e9, 1e9)
    return Anomaly(
        map_output=names[0] if names else "",
        normalize=True,
        minimum=0.0,
        maximum=scale,
        raw_threshold=threshold,
        map_threshold=pixel if pixel != threshold else None,
    )
