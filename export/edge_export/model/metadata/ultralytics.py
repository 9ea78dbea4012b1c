"""Ultralytics' properties in an ONNX file: names, task, imgsz, stride, end2end, args (engine/exporter.py
there).

YOLOv5 writes `names` and `stride` alone; the shape of the output tells the two apart.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

from edge_export.model.graph_io import ImageInput, Output
from edge_export.model.metadata.guess import FINISHED, GUESS, GUESSED_OUTPUTS, MOST_FINISHED, STRIDES
from edge_export.model.metadata.parse import boolean, label_list, literal, numbers
from edge_export.state import KnownFacts
from edge_runtime.bundle.facts import Thresholds
from edge_runtime.bundle.postprocess_spec import Classify, Detect, Postprocess, Raw, Segment
from edge_runtime.bundle.preprocess_spec import Preprocess

__all__ = ["read_ultralytics"]

_ORIGIN = "ultralytics metadata"
# What `yolo predict` uses when nobody says otherwise (cfg/default.yaml).
_THRESHOLDS = Thresholds(confidence=0.25, iou=0.7)
_MAX_SIDE = 16384


def read_ultralytics(
    properties: Mapping[str, str], image: ImageInput | None, outputs: tuple[Output, ...]
) -> KnownFacts | None:
    """Facts of an Ultralytics or YOLOv5 export, or of a model whose authors follow them; None without
    `names`.
    """
    if "names" not in properties:
        return None
    notes: list[str] = []
    labels = label_list(literal(properties["names"]))
    if labels is None:
        notes.append("metadata 'names' is not a list of class names and was ignored")
    task = properties.get("task", "detect")
    strides = _strides(properties)
    post = _postprocess(task, properties, labels, strides, outputs, notes)
    labels = _checked(labels, post, outputs, notes)
    pre = _preprocess(task, properties, image, notes)
    thresholds = _THRESHOLDS if isinstance(post, Detect) else None
    guessed = _unsure(post, properties, labels, image, outputs)
    if guessed:
        notes.append(f"{GUESSED_OUTPUTS} {guessed}")
    facts = KnownFacts(
        preprocess=pre,
        postprocess=post,
        labels=labels,
        thresholds=thresholds,
        notes=tuple(notes),
    ).found_in(_ORIGIN)
    return dataclasses.replace(facts, origin={**facts.origin, "postprocess": GUESS}) if guessed else facts


def _unsure(
    post: Postprocess,
    properties: Mapping[str, str],
    labels: tuple[str, ...] | None,
    image: ImageInput | None,
    outputs: tuple[Output, ...],
) -> str:
    """What is not known of a detector's answers, "" where the metadata and the shapes tell all.

    Six columns are a finished box as well as four of a box and the scores of one or two classes; older exporters do not
    write which. A head's rows are the cells of its strides, so many or three times that, with anchors.
    """
    shape = outputs[0].shape if outputs else None
    if not isinstance(post, Detect) or post.format == "final" or shape is None or len(shape) != 3:
        return ""
    rows, columns = (shape[2], shape[1]) if post.axis == "channels-first" else (shape[1], shape[2])
    if labels is None:
        return f"read as {post.format}, though the names do not fit their number; say it with flags if they are not"
    if columns != FINISHED or rows is None or image is None or not image.width or not image.height:
        return ""
    cells = sum((image.width // stride) * (image.height // stride) for stride in STRIDES)
    if rows in (cells, 3 * cells) or rows > MOST_FINISHED:
        return ""
    return (
        f"read as {post.format} for {len(labels)} classes, but {rows} rows of six may as well be finished boxes "
        "(--task detect --format final --no-nms); say which with --format"
    )


def _preprocess(
    task: str, properties: Mapping[str, str], image: ImageInput | None, notes: list[str]
) -> Preprocess | None:
    """Letterbox with grey 114 in the middle (data/augment.py, LetterBox); classifiers resize and crop with
    Pillow.
    """
    size = _image_size(properties, image, notes)
    if image is None or size is None:
        return None
    width, height = size
    channels = image.channels
    if task == "classify":
        return Preprocess(
            width=width,
            height=height,
            fit="crop",
            resize_short=max(width, height),
            interpolation="pil-bilinear",
            colour="gray" if channels == 1 else "rgb",
            mean=(0.0,) * channels,
            std=(1.0,) * channels,
            layout=image.layout,
            dtype=image.dtype,
        )
    return Preprocess(
        width=width,
        height=height,
        fit="letterbox",
        pad_value=114,
        colour="gray" if channels == 1 else "rgb",
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
        layout=image.layout,
        dtype=image.dtype,
    )


def _image_size(properties: Mapping[str, str], image: ImageInput | None, notes: list[str]) -> tuple[int, int] | None:
    """Width and height: the graph's own where it fixes them, else `imgsz` ([height, width] or one number)."""
    if image is not None and image.width and image.height:
        return image.width, image.height
    values = numbers(properties.get("imgsz"))
    sides = [int(v) for v in values or () if v == int(v) and 0 < v <= _MAX_SIDE]
    if len(sides) not in (1, 2) or len(sides) != len(values or ()):
        if "imgsz" in properties:
            notes.append(f"metadata 'imgsz' is no image size ({properties['imgsz'][:40]!r}) and was ignored")
        return None
    return sides[-1], sides[0]


def _strides(properties: Mapping[str, str]) -> tuple[int, ...]:
    values = numbers(properties.get("strides")) or ()
    return tuple(int(v) for v in values if v == int(v) and 0 < v <= 1024)


def _postprocess(
    task: str,
    properties: Mapping[str, str],
    labels: tuple[str, ...] | None,
    strides: tuple[int, ...],
    outputs: tuple[Output, ...],
    notes: list[str],
) -> Postprocess:
    first = outputs[0] if outputs else Output("", None)
    rank = len(first.shape) if first.shape is not None else None
    if task == "classify" and rank in (2, None):
        # the head applies softmax before it exports (nn/modules/head.py, Classify)
        return Classify(activation="none")
    if task == "segment" and rank == 4 and len(outputs) == 1:
        return Segment(background=-1)
    if task == "detect":
        return _detect(properties, labels, strides, first, notes)
    notes.append(
        f"task {task[:40]!r} with outputs {[o.name for o in outputs]} has no post-processing here: raw tensors"
    )
    return Raw()


def _detect(
    properties: Mapping[str, str],
    labels: tuple[str, ...] | None,
    strides: tuple[int, ...],
    first: Output,
    notes: list[str],
) -> Postprocess:
    classes = len(labels) if labels else None
    arguments = literal(properties.get("args"))
    suppressed = boolean(properties.get("end2end")) or (isinstance(arguments, dict) and arguments.get("nms") is True)
    shape = first.shape
    if suppressed and (shape is None or (len(shape) == 3 and shape[2] in (6, None))):
        return Detect(format="final", box="xyxy", nms=False)
    if shape is None or len(shape) != 3:
        if shape is None:
            return Detect(format="yolo", box="cxcywh")
        notes.append(f"task 'detect' with an output of shape {list(shape)} is not known here: raw tensors")
        return Raw()
    columns: dict[int, tuple[Literal["yolo", "yolo-objectness", "grid"], bool]] = {}
    if classes is not None:
        columns = {4 + classes: ("yolo", False), 5 + classes: ("yolo-objectness", True)}
    for axis, index in (("channels-first", 1), ("channels-last", 2)):
        known = columns.get(shape[index] or 0)
        if known is None:
            continue
        if strides:
            return Detect(format="grid", axis=_axis(axis), strides=strides, objectness=known[1])
        return Detect(format=known[0], box="cxcywh", axis=_axis(axis))
    if shape[1] is not None and shape[2] is not None:
        # anchors always outnumber classes and coordinates
        axis = "channels-first" if shape[1] < shape[2] else "channels-last"
        return Detect(format="yolo", box="cxcywh", axis=_axis(axis))
    return Detect(format="yolo", box="cxcywh")


def _axis(name: str) -> Literal["channels-first", "channels-last"]:
    return "channels-last" if name == "channels-last" else "channels-first"


def _checked(
    labels: tuple[str, ...] | None, post: Postprocess, outputs: tuple[Output, ...], notes: list[str]
) -> tuple[str, ...] | None:
    """The labels, unless the output contradicts their number."""
    if labels is None or not outputs or outputs[0].shape is None:
        return labels
    shape = outputs[0].shape
    found: int | None = None
    if isinstance(post, Classify) and len(shape) == 2:
        found = shape[1]
    elif isinstance(post, Detect) and post.format in ("yolo", "yolo-objectness", "grid") and len(shape) == 3:
        columns = shape[1] if post.axis == "channels-first" else shape[2]
        extra = 5 if post.format == "yolo-objectness" or post.objectness else 4
        found = columns - extra if columns is not None else None
    if found is not None and found != len(labels):
        notes.append(f"metadata names {len(labels)} classes but the output has {found}: the names were ignored")
        return None
    return labels
