"""Every layout of detector outputs read into one kind of candidates: a function per format of Detect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_runtime.bundle.postprocess_spec import Detect
from edge_runtime.errors import EngineError
from edge_runtime.vision.placement import Placement
from edge_runtime.vision.postprocess.boxes import corners
from edge_runtime.vision.postprocess.grid import decode_anchors, decode_fastest, decode_grid, grid_points
from edge_runtime.vision.postprocess.tensors import activate, check_scores

__all__ = ["READERS", "Candidates", "Question"]

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Question:
    """What is asked of one image's tensors: the outputs' `names`, the number of `labels`."""

    spec: Detect
    names: tuple[str, ...]
    labels: int
    confidence: float
    place: Placement


@dataclass(frozen=True)
class Candidates:
    """Boxes x1 y1 x2 y2 in input pixels [K, 4], their scores [K] and class ids [K]; what else a model gives, or None.

    `angles` [K] turn a box about its centre, radians. `points` [K, P, 3] are x y in input pixels and a confidence.
    `masks` are weights of prototypes [K, count], or each row's own map [K, h, w].
    """

    boxes: Floats
    scores: Floats
    classes: NDArray[np.int64]
    angles: Floats | None = None
    points: Floats | None = None
    masks: Floats | None = None

    def take(self, indices: NDArray[np.int64]) -> Candidates:
        """The rows at `indices`, in their order."""
        extras = (None if array is None else array[indices] for array in (self.angles, self.points, self.masks))
        return Candidates(self.boxes[indices], self.scores[indices], self.classes[indices], *extras)


def yolo(ask: Question, tensors: Sequence[Floats]) -> Candidates:
    rows = _rows(ask, tensors[0], before=4)
    kept, scores, classes = _best(ask, rows[:, 4:], None)
    return Candidates(_pixels(ask, rows[kept, :4]), scores, classes)


def yolo_objectness(ask: Question, tensors: Sequence[Floats]) -> Candidates:
    rows = _rows(ask, tensors[0], before=5)
    kept, scores, classes = _best(ask, rows[:, 5:], rows[:, 4])
    return Candidates(_pixels(ask, rows[kept, :4]), scores, classes)


def grid(ask: Question, tensors: Sequence[Floats]) -> Candidates:
    width, height, strides = ask.place.input_width, ask.place.input_height, ask.spec.strides
    points = grid_points(width, height, strides)
    before = 5 if ask.spec.objectness else 4
    rows = _rows(ask, tensors[0], before, anchors=len(points))
    if len(rows) != len(points):
        raise EngineError(
            f"expected {len(points)} anchor points for {width}x{height} pixels and strides {list(strides)}, "
            f"found {len(rows)} in output {ask.names[0]!r}; export again with the right --size or --strides"
        )
    kept, scores, classes = _best(ask, rows[:, before:], rows[:, 4] if ask.spec.objectness else None)
    boxes = corners(decode_grid(rows[kept, :4], points[kept]), "cxcywh")
    return Candidates(boxes, scores, classes)


def fastest(ask: Question, tensors: Sequence[Floats]) -> Candidates:
    if tensors[0].ndim != 3 or tensors[0].shape[0] < 6:
        raise _misshaped(ask, tensors[0], "[N, 5+C, H, W]")
    channels, height, width = tensors[0].shape
    rows = tensors[0].reshape(channels, -1).T
    kept, scores, classes = _best(ask, rows[:, 5:], rows[:, 0])
    points = grid_points(width, height, (1,))[kept, :2]
    boxes = corners(decode_fastest(rows[kept, 1:5], points, width, height), "cxcywh")
    return Candidates(boxes * _input_size(ask), scores, classes)


def boxes_scores(ask: Question, tensors: Sequence[Floats]) -> Candidates:
    boxes, scores = tensors[0], tensors[1]
    if boxes.size != 4 * boxes.shape[0] or boxes.shape[-1] != 4:
        raise _misshaped(ask, boxes, "[N, A, 4]")
    if scores.ndim != 2 or len(scores) != len(boxes):
        raise _misshaped(ask, scores, f"[N, {len(boxes)}, C]", output=1)
    kept, best, classes = _best(ask, scores, None, output=1)
    found = corners(boxes.reshape(-1, 4)[kept], ask.spec.box)
    if len(tensors) > 2:
        if tensors[2].shape != (len(boxes), 4):
            raise _misshaped(ask, tensors[2], f"[N, {len(boxes)}, 4]", output=2)
        found = decode_anchors(found, corners(tensors[2][kept], ask.spec.box))
    return Candidates(found * _input_size(ask) if ask.spec.normalized else found, best, classes)


def final(ask: Question, tensors: Sequence[Floats]) -> Candidates:
    rows = tensors[0]
    if rows.ndim != 2 or rows.shape[1] != 6:
        raise _misshaped(ask, rows, "[N, K, 6]")
    return _finished(ask, rows[:, :4], rows[:, 4], rows[:, 5])


def final_split(ask: Question, tensors: Sequence[Floats]) -> Candidates:
    boxes, classes, scores = tensors[:3]
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise _misshaped(ask, boxes, "[N, K, 4]")
    for output, array in ((1, classes), (2, scores)):
        if array.shape != boxes.shape[:1]:
            raise _misshaped(ask, array, f"[N, {len(boxes)}]", output)
    # The rows after the count are whatever the memory held.
    count = max(int(tensors[3].reshape(-1)[0]), 0) if len(tensors) > 3 else len(boxes)
    return _finished(ask, boxes[:count], scores[:count], classes[:count])


READERS: dict[str, Callable[[Question, Sequence[Floats]], Candidates]] = {
    "yolo": yolo,
    "yolo-objectness": yolo_objectness,
    "grid": grid,
    "fastest": fastest,
    "boxes-scores": boxes_scores,
    "final": final,
    "final-split": final_split,
}


def _rows(ask: Question, array: Floats, before: int, anchors: int | None = None) -> Floats:
    """A view of `array` as one row per anchor, `before` columns ahead of the class scores.

    The declared axis decides, unless the number of anchors or of labels fits only the other way round.
    """
    if array.ndim != 2 or min(array.shape) < 1:
        raise _misshaped(ask, array, f"[N, {before}+C, A] or [N, A, {before}+C]")
    turned = ask.spec.column_axis == 1
    first, last = array.shape
    if anchors is not None and (first == anchors) != (last == anchors):
        turned = last == anchors
    elif ask.labels:
        columns = before + ask.labels + (ask.spec.background != "none")
        if (first == columns) != (last == columns):
            turned = first == columns
    rows = array.T if turned else array
    if rows.shape[1] <= before:
        raise _misshaped(ask, array, f"at least {before + 1} columns")
    return rows


def _best(
    ask: Question, classes: Floats, objectness: Floats | None, output: int = 0
) -> tuple[NDArray[np.int64], Floats, NDArray[np.int64]]:
    """Rows whose best class reaches the confidence: their indices, scores and class ids."""
    spec, name = ask.spec, ask.names[output]
    if spec.activation == "softmax":
        classes = activate(classes, "softmax", axis=1)
    if spec.background != "none":
        classes = classes[:, 1:] if spec.background == "first" else classes[:, :-1]
        if not classes.shape[1]:
            raise _misshaped(ask, classes, "a class beside the background", output)
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


def _with_objectness(spec: Detect, best: Floats, objectness: Floats) -> Floats:
    if spec.format != "fastest":
        return best * objectness
    # FastestDet, utils/tool.py: score = objectness^0.6 * class^0.4
    powers = np.maximum(objectness, 0) ** np.float32(0.6) * np.maximum(best, 0) ** np.float32(0.4)
    return np.asarray(powers, np.float32)


def _finished(ask: Question, boxes: Floats, scores: Floats, classes: Floats) -> Candidates:
    """Detections that the graph itself selected; padding rows have a score of 0 or less."""
    check_scores(np.maximum(scores, 0), ask.names[-1], "none")
    ids = np.rint(classes).astype(np.int64) - (ask.spec.background == "first")
    kept = np.flatnonzero((scores >= np.float32(ask.confidence)) & (ids >= 0))
    if ask.spec.format == "final":
        pixels = boxes[kept] * _input_size(ask) if ask.spec.normalized else boxes[kept]
    else:
        pixels = _pixels(ask, boxes[kept])
    return Candidates(pixels, scores[kept], ids[kept])


def _pixels(ask: Question, boxes: Floats) -> Floats:
    found = corners(boxes, ask.spec.box)
    return found * _input_size(ask) if ask.spec.normalized else found


def _input_size(ask: Question) -> Floats:
    return np.array([ask.place.input_width, ask.place.input_height] * 2, np.float32)


def _misshaped(ask: Question, array: Floats, expected: str, output: int = 0) -> EngineError:
    return EngineError(
        f"expected output {ask.names[output]!r} of shape {expected} for format {ask.spec.format!r}, found "
        f"{['N', *array.shape]}; export again with the right --format, --axis or labels"
    )
