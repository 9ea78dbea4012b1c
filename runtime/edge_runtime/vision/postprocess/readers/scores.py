"""Which rows are worth decoding: those whose best class reaches the confidence."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_runtime.bundle.postprocess_spec import Detect
from edge_runtime.errors import EngineError
from edge_runtime.vision.postprocess.candidates import Question, misshaped
from edge_runtime.vision.postprocess.tensors import activate, check_scores

__all__ = ["best_classes", "named_classes", "told_classes"]

Floats = NDArray[np.float32]
_WHOLE = 0.01  # how far from a whole number an id may be that FP16 or int8 has rounded


def best_classes(
    ask: Question, classes: Floats, objectness: Floats | None, output: int = 0
) -> tuple[NDArray[np.int64], Floats, NDArray[np.int64]]:
    """Rows whose best class reaches the confidence: their indices, scores and class ids."""
    spec, name = ask.spec, ask.names[output]
    if spec.activation == "softmax":
        classes = activate(classes, "softmax", axis=1)
    classes = named_classes(ask, classes, output)
    best = classes.max(axis=1)
    if spec.activation == "sigmoid":  # keeps the order, so the best of each row is enough
        best = activate(best, "sigmoid", axis=0)
    else:
        check_scores(classes, name, spec.activation)
    if objectness is not None:
        if spec.activation == "sigmoid":
            objectness = activate(objectness, "sigmoid", axis=0)
        check_scores(objectness, name, spec.activation)
        best = _with_objectness(spec, best, objectness)
    kept = np.flatnonzero(best >= np.float32(ask.confidence))
    return kept, best[kept], classes[kept].argmax(axis=1)


def named_classes(ask: Question, classes: Floats, output: int = 0) -> Floats:
    """The columns of classes that can be reported: without the background, from the first label's on."""
    spec = ask.spec
    if spec.background != "none":
        classes = classes[:, 1:] if spec.background == "first" else classes[:, :-1]
        if not classes.shape[1]:
            raise misshaped(ask, classes, "a class beside the background", output)
    if spec.first_class:
        classes = classes[:, spec.first_class :]
        if not classes.shape[1]:
            raise misshaped(ask, classes, f"more than {spec.first_class} classes", output)
    return classes


def told_classes(
    ask: Question, scores: Floats, classes: Floats, output: int = 0
) -> tuple[NDArray[np.int64], Floats, NDArray[np.int64]]:
    """The same where a row tells its score and its class id; padding rows have a score of 0 or less.

    Raises EngineError for ids that no class has: boxes of another format, or of other labels.
    """
    name, first = ask.names[output], ask.spec.first_class
    check_scores(np.maximum(scores, 0), name, "none")
    kept = np.flatnonzero((scores >= np.float32(ask.confidence)) & (scores > 0))
    told = classes[kept]
    ids = np.rint(told).astype(np.int64)
    if ask.spec.background == "first":
        kept, told, ids = kept[ids != 0], told[ids != 0], ids[ids != 0] - 1
    ids = ids - first
    beyond = (ids < 0) | (np.abs(told - np.rint(told)) > _WHOLE)
    if ask.labels:
        beyond |= ids >= ask.labels
    if beyond.any():
        wanted = f"{first}..{first + ask.labels - 1}" if ask.labels else f"{first} and more"
        raise EngineError(
            f"expected class ids {wanted} for format {ask.spec.format!r}, found {told[beyond][0]:.4g} in output "
            f"{name!r}; export again with the right --format, --first-class or --labels"
        )
    return kept, scores[kept], ids


def _with_objectness(spec: Detect, best: Floats, objectness: Floats) -> Floats:
    if spec.combine == "root":  # OpenCV, modules/objdetect/src/face_detect.cpp: YuNet's scores
        return np.asarray(np.sqrt(np.clip(best, 0, 1) * np.clip(objectness, 0, 1)), np.float32)
    if spec.format != "fastest":
        return best * objectness
    # FastestDet, utils/tool.py: score = objectness^0.6 * class^0.4
    powers = np.maximum(objectness, 0) ** np.float32(0.6) * np.maximum(best, 0) ** np.float32(0.4)
    return np.asarray(powers, np.float32)
