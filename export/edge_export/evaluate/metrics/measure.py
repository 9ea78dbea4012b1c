"""What every tally gives: named figures, each a function of image weights; and boxes and classes out of answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from edge_export.evaluate.data.truth import Truth
from edge_export.evaluate.metrics.bootstrap import ROUNDS, Statistic
from edge_export.evaluate.metrics.boxes import Boxes
from edge_runtime.results import Prediction, Result

__all__ = ["Measure", "Tally", "boxes_of", "class_label", "ranked_classes", "reported"]


@dataclass(frozen=True)
class Measure:
    """A named figure as a function of image weights. `rounds` of bootstrap: fewer for the costly ones.

    `worth` is, of a share that two models' answers have in common, how many images with equally many answers tell as
    much (L. Kish, 1965, Survey Sampling: the square of the sum over the sum of squares); None of other figures.
    """

    metric: str
    statistic: Statistic
    detail: dict[str, float] = field(default_factory=dict)
    rounds: int = ROUNDS
    worth: float | None = None


class Tally(Protocol):
    """Compares answers with the truth of one task."""

    def see(self, truth: Truth, height: int, width: int, result: Result) -> None:
        """Take in one image's answer; height and width in pixels of the original image."""

    def measures(self) -> tuple[Measure, ...]:
        """Return the figures over all images seen, the leading one first."""


def ranked_classes(result: Result) -> list[int]:
    """Return the classes of a whole-image answer, the most confident first."""
    return [p.class_id for p in sorted(result.predictions, key=lambda p: -p.confidence)]


def reported(result: Result, confidence: float = 0.0) -> list[Prediction]:
    """Return the objects of an answer that have a box and at least this confidence."""
    return [p for p in result.predictions if p.box is not None and p.confidence >= confidence]


def boxes_of(predictions: Sequence[Prediction]) -> Boxes:
    """Return the boxes of objects, in pixels of the original image."""
    rows = [(p.box.x1, p.box.y1, p.box.x2, p.box.y2) for p in predictions if p.box is not None]
    return Boxes(
        np.array(rows, dtype=np.float64).reshape(-1, 4),
        np.array([p.class_id for p in predictions], dtype=np.int64),
        np.array([p.confidence for p in predictions], dtype=np.float64),
    )


def class_label(labels: Sequence[str], class_id: int) -> str:
    """Return a class's name for a report, or its number where it has none."""
    return labels[class_id] if 0 <= class_id < len(labels) else str(class_id)
