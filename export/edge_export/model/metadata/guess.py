"""The last resort: what names and shapes suggest. Each guess is a note, so that nobody takes it for
knowledge.
"""

from __future__ import annotations

from dataclasses import replace

import onnx

from edge_export.model.facts import merge
from edge_export.model.graph_io import ImageInput, Output
from edge_export.model.metadata.parse import label_list
from edge_export.state import KnownFacts
from edge_runtime.bundle.postprocess_spec import Anomaly, Classify, Detect, Postprocess, Segment
from edge_runtime.bundle.preprocess_spec import Preprocess

__all__ = ["FINISHED", "GUESS", "GUESSED_INPUT", "GUESSED_OUTPUTS", "MOST_FINISHED", "STRIDES", "guess"]

# How the notes of guesses begin, so that they can be dropped where flags say better.
GUESSED_INPUT = "guess: the input is"
GUESSED_OUTPUTS = "guess: the outputs are"
GUESS = "guess from shapes"
STRIDES = (8, 16, 32)
FINISHED = 6  # columns of a finished box: four corners, a score, a class
MOST_FINISHED = 1000
_PROBABILITIES = ("Softmax", "Sigmoid")
_TF_NAMES = ("boxes", "classes", "scores")


def guess(
    model: onnx.ModelProto, image: ImageInput | None, outputs: tuple[Output, ...], known: KnownFacts
) -> KnownFacts:
    """Facts that `known` lacks, as far as the graph suggests them; what it does not suggest stays None."""
    pre, post = known.preprocess, known.postprocess or _postprocess(image, outputs)
    notes = []
    if pre is None and (pre := _preprocess(image)):
        if isinstance(post, Detect) and post.format == "grid" and known.origin.get("postprocess", GUESS) == GUESS:
            # YOLOX writes such outputs, and takes pixels as OpenCV reads them (yolox/data/data_augment.py, preproc).
            pre = replace(pre, fit="letterbox", anchor="top-left", scale=1.0)
            pre = pre if pre.colour == "gray" else replace(pre, colour="bgr")
        notes.append(
            f"{GUESSED_INPUT} {pre.colour} pixels {'0..255' if pre.scale == 1.0 else '0..1'}, "
            f"{'stretched' if pre.fit == 'stretch' else 'letterboxed'} to {pre.width}x{pre.height}; "
            "say it with flags if the model was trained otherwise"
        )
    if post and not known.postprocess:
        notes.append(f"{GUESSED_OUTPUTS} read as {post.task}{_detail(post)}; say it with flags if they are not")
    facts = KnownFacts(preprocess=pre, postprocess=post, notes=tuple(notes)).found_in(GUESS)
    return merge(facts, KnownFacts(labels=_zipmap_labels(model)).found_in("ZipMap operator"))


def _preprocess(image: ImageInput | None) -> Preprocess | None:
    if image is None or not image.width or not image.height:
        return None
    integer = image.dtype in ("uint8", "int8")
    channels = image.channels
    return Preprocess(
        width=image.width,
        height=image.height,
        colour="gray" if channels == 1 else "rgb",
        scale=1.0 if integer else 1.0 / 255.0,
        # int8 holds the pixel less 128
        mean=(128.0 if image.dtype == "int8" else 0.0,) * channels,
        std=(1.0,) * channels,
        layout=image.layout,
        dtype=image.dtype,
    )


def _postprocess(image: ImageInput | None, outputs: tuple[Output, ...]) -> Postprocess | None:
    by_name = {output.name: output for output in outputs}
    if {"pred_score", "anomaly_map"} <= set(by_name):
        return Anomaly(map_output="anomaly_map", score_output="pred_score")
    if {"logits", "pred_boxes"} <= set(by_name):
        return Detect(
            format="boxes-scores",
            outputs=("pred_boxes", "logits"),
            normalized=True,
            activation="softmax",
            background="last",
            nms=False,
        )
    if all(f"detection_{name}" in by_name for name in _TF_NAMES):
        names = tuple(f"detection_{name}" for name in _TF_NAMES)
        count = ("num_detections",) if "num_detections" in by_name else ()
        return Detect(format="final-split", outputs=names + count, box="yxyx", normalized=True, nms=False)
    if len(outputs) != 1 or outputs[0].shape is None:
        return None
    return _single(image, outputs[0].maker, outputs[0].shape)


def _single(image: ImageInput | None, maker: str, shape: tuple[int | None, ...]) -> Postprocess | None:
    """A model with one output of known rank and, but for detectors, of known size."""
    rank = len(shape)
    if image is None:
        return None
    if (rank == 2 and (shape[1] or 0) >= 2) or (rank == 4 and shape[2:] == (1, 1) and (shape[1] or 0) >= 2):
        return Classify(activation="none" if maker in _PROBABILITIES else "softmax")
    if rank == 3:
        return _detector(image, shape[1], shape[2])
    if rank == 4 and image.width and image.height:
        channels, height, width = shape[1:] if image.layout == "nchw" else (shape[3], shape[1], shape[2])
        dense = (height or 0) * 8 >= image.height and (width or 0) * 8 >= image.width
        features = maker in ("Relu", "Clip", "LeakyRelu")
        if dense and not features and 2 <= (channels or 0) <= 200:
            return Segment(
                axis="channels-first" if image.layout == "nchw" else "channels-last",
                activation="none" if maker in _PROBABILITIES else "softmax",
            )
    return None


def _detector(image: ImageInput, second: int | None, third: int | None) -> Detect | None:
    """[N, 4+C, A] or [N, A, 5+C], told by A: cells of strides 8, 16, 32, three times that with anchors."""
    if third == FINISHED and second is not None and second <= MOST_FINISHED:
        return Detect(format="final", box="xyxy", nms=False)
    cells = sum((image.width // stride) * (image.height // stride) for stride in STRIDES)
    if not cells or second is None or third is None:
        return None
    if third == cells and second >= 5:
        return Detect(format="yolo", axis="channels-first")
    if second == cells and third >= 6:
        return Detect(format="grid", axis="channels-last", strides=STRIDES, objectness=True)
    if second == 3 * cells and third >= 6:
        return Detect(format="yolo-objectness", axis="channels-last")
    return None


def _zipmap_labels(model: onnx.ModelProto) -> tuple[str, ...] | None:
    """A ZipMap at the end of a Windows ML classifier names its classes."""
    for node in model.graph.node:
        if node.op_type == "ZipMap":
            for attribute in node.attribute:
                if attribute.name == "classlabels_strings":
                    return label_list([text.decode("utf-8", "replace") for text in attribute.strings])
    return None


def _detail(post: Postprocess) -> str:
    if isinstance(post, Detect):
        return f" ({post.format}, {post.axis})"
    return f" ({post.activation})" if isinstance(post, (Classify, Segment)) else ""
