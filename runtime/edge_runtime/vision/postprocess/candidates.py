"""What is asked of one image's tensors, and every layout's common answer: candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_runtime.bundle.postprocess_spec import Detect
from edge_runtime.errors import EngineError
from edge_runtime.results import Box, Prediction
from edge_runtime.vision.class_names import class_name
from edge_runtime.vision.placement import Placement
from edge_runtime.vision.postprocess.boxes import corners

__all__ = ["Candidates", "Question", "input_size", "misshaped", "named", "to_pixels"]

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
    `masks` are weights of prototypes [K, count]. `rows` [K] tells which rows of the outputs they are: other outputs
    that hold a map or points for each row are read by it.
    """

    boxes: Floats
    scores: Floats
    classes: NDArray[np.int64]
    angles: Floats | None = None
    points: Floats | None = None
    masks: Floats | None = None
    rows: NDArray[np.int64] | None = None

    @staticmethod
    def joined(found: Sequence[Candidates]) -> Candidates:
        """The rows of several, which have the same parts; which rows of one output they are is no longer told."""
        return Candidates(
            np.concatenate([part.boxes for part in found]),
            np.concatenate([part.scores for part in found]),
            np.concatenate([part.classes for part in found]),
            _joined([part.angles for part in found]),
            _joined([part.points for part in found]),
            _joined([part.masks for part in found]),
        )

    def take(self, indices: NDArray[np.int64]) -> Candidates:
        """The rows at `indices`, in their order."""
        return Candidates(
            self.boxes[indices],
            self.scores[indices],
            self.classes[indices],
            None if self.angles is None else self.angles[indices],
            None if self.points is None else self.points[indices],
            None if self.masks is None else self.masks[indices],
            None if self.rows is None else self.rows[indices],
        )


def named(found: Candidates, boxes: Floats, alive: NDArray[np.bool_], labels: Sequence[str]) -> tuple[Prediction, ...]:
    """The candidates that are `alive`, with their `boxes` in original pixels."""
    scores, classes = found.scores, found.classes
    if not alive.all():
        boxes, scores, classes = boxes[alive], scores[alive], classes[alive]
    rows = zip(boxes.tolist(), np.minimum(scores, 1).tolist(), classes.tolist(), strict=True)
    known = len(labels)
    return tuple(
        Prediction(labels[number] if 0 <= number < known else class_name(labels, number), number, score, Box(*box))
        for box, score, number in rows
    )


def to_pixels(ask: Question, boxes: Floats) -> Floats:
    found = corners(boxes, ask.spec.box_order)
    return found * input_size(ask) if ask.spec.normalized else found


def input_size(ask: Question) -> Floats:
    return np.array([ask.place.input_width, ask.place.input_height] * 2, np.float32)


def misshaped(ask: Question, array: Floats, expected: str, output: int = 0) -> EngineError:
    return EngineError(
        f"expected output {ask.names[output]!r} of shape {expected} for format {ask.spec.format!r}, found "
        f"{['N', *array.shape]}; export again with the right --format, --axis or labels"
    )


def _joined(arrays: Sequence[Floats | None]) -> Floats | None:
    given = [array for array in arrays if array is not None]
    return np.concatenate(given) if len(given) == len(arrays) else None
