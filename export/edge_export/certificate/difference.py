"""How two answers to one image differ, in words and in places; a function for each task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_export.certificate.words import percent
from edge_export.evaluate.data.truth import Part
from edge_export.evaluate.metrics.bootstrap import ones
from edge_export.evaluate.metrics.boxes import Objects, match
from edge_export.evaluate.metrics.fidelity import SAME_BOX, SAME_PART
from edge_export.evaluate.metrics.masks import NO_MASK, unlike_pixels
from edge_export.evaluate.metrics.measure import boxes_of, reported
from edge_export.evaluate.metrics.parts import alike, parts_of, seen_targets
from edge_export.evaluate.metrics.segmentation import collect_masks, count_mask
from edge_runtime.bundle.facts import ModelFacts
from edge_runtime.results import Box, Prediction, Result

__all__ = ["Difference", "difference"]

# Masks whose mean IoU is this good differ by the rounding of a contour.
_SAME_MASK = 0.98
_NAMED = 2
_CHANGED: dict[Part, str] = {
    "masks": "has another mask (IoU {:.2f})",
    "points": "has other points (OKS {:.2f})",
    "oriented": "is turned otherwise (IoU {:.2f})",
}


@dataclass(frozen=True)
class Difference:
    """What changed from one answer to the other."""

    words: str
    severity: float  # 0..1
    lost: tuple[Box, ...] = ()  # what only FP32 reported, or otherwise
    new: tuple[Box, ...] = ()  # what only the bundle reported, or otherwise
    pixels: NDArray[np.bool_] | None = None  # [height, width] where the masks differ


def difference(before: Result, after: Result, facts: ModelFacts, size: tuple[int, int]) -> Difference | None:
    """Return how FP32's and the bundle's answer to an image of this height and width differ; None: they do not."""
    task = facts.postprocess.task
    if task == "classify":
        return _classes(before, after)
    if task == "detect":
        return _objects(reported(before), reported(after), parts_of(facts.postprocess), size)
    if task == "segment":
        return _masks(before, after)
    return _scores(before, after, facts.thresholds.confidence) if task == "anomaly" else None


def _classes(before: Result, after: Result) -> Difference | None:
    if not before.predictions or not after.predictions:
        return None
    one, other = before.predictions[0], after.predictions[0]
    if one.class_id == other.class_id and before.verdict == after.verdict:
        return None
    # The surer both were of what they said, the less it was a coin's toss.
    return Difference(f"{_said(one)} became {_said(other)}", (one.confidence + other.confidence) / 2)


@dataclass(frozen=True)
class _Change:
    """One object whose box both models report, and the part of it that is not alike."""

    before: Prediction
    after: Prediction
    part: Part
    likeness: float


def _objects(
    before: list[Prediction], after: list[Prediction], parts: Sequence[Part], size: tuple[int, int]
) -> Difference | None:
    pairs = _pairs(before, after)
    lost = [before[index] for index in sorted(set(range(len(before))) - {one for one, _ in pairs})]
    found_again = {other for other, _ in _pairs(after, before)}
    new = [after[index] for index in sorted(set(range(len(after))) - found_again)]
    changes = [change for part in parts for change in _changes(part, before, after, pairs)]
    if not lost and not new and not changes:
        return None
    named = [f"{_said(change.before)} {_CHANGED[change.part].format(change.likeness)}" for change in changes[:_NAMED]]
    others = [", ".join(named) + (", ..." if len(changes) > _NAMED else "")] if changes else []
    words = "; ".join(part for part in (_some(lost, "lost"), _some(new, "new"), *others) if part)
    moved = 2 * len({id(change.before) for change in changes})
    return Difference(
        words,
        (len(lost) + len(new) + moved) / (len(before) + len(after)),
        _places([*lost, *(change.before for change in changes)]),
        _places([*new, *(change.after for change in changes)]),
        _unlike(changes, size),
    )


def _pairs(one: list[Prediction], other: list[Prediction]) -> list[tuple[int, int]]:
    """Which of one side are which of the other, by class and box."""
    there = boxes_of(other)
    targets = Objects(there.boxes, there.classes, np.zeros(len(other), np.bool_))
    found = match(boxes_of(one), targets, np.array([SAME_BOX]), max_per_class=len(one))
    return [(int(a), int(b)) for a, b in zip(found.order, found.partner[0], strict=True) if b >= 0]


def _changes(
    part: Part, before: list[Prediction], after: list[Prediction], pairs: list[tuple[int, int]]
) -> list[_Change]:
    likeness = alike(part, after, seen_targets(part, before))
    found = [_Change(before[i], after[j], part, float(likeness[j, i])) for i, j in pairs]
    return sorted((change for change in found if change.likeness < SAME_PART), key=lambda change: change.likeness)


def _unlike(changes: list[_Change], size: tuple[int, int]) -> NDArray[np.bool_] | None:
    masks = [change for change in changes if change.part == "masks"]
    if not masks:
        return None
    each = (unlike_pixels(one.before.mask or NO_MASK, one.after.mask or NO_MASK, *size) for one in masks)
    return np.asarray(np.logical_or.reduce(list(each)), np.bool_)


def _some(predictions: list[Prediction], title: str) -> str:
    if not predictions:
        return ""
    named = ", ".join(_said(prediction) for prediction in predictions[:_NAMED])
    return f"{len(predictions)} {title}: {named}{', ...' if len(predictions) > _NAMED else ''}"


def _places(predictions: list[Prediction]) -> tuple[Box, ...]:
    return tuple(prediction.box for prediction in predictions if prediction.box is not None)


def _masks(before: Result, after: Result) -> Difference | None:
    if before.mask is None or after.mask is None:
        return None
    overlap = collect_masks([count_mask(before.mask, after.mask)]).mean_iou(ones(1))
    if not overlap < _SAME_MASK and before.verdict == after.verdict:
        return None
    unlike = before.mask != after.mask
    words = f"masks overlap by {overlap:.3f} (mean IoU), {percent(float(np.mean(unlike)))} of the pixels differ"
    return Difference(words, 1.0 - overlap, pixels=unlike)


def _scores(before: Result, after: Result, threshold: float) -> Difference | None:
    if before.score is None or after.score is None or (before.score >= threshold) == (after.score >= threshold):
        return None
    words = f"score {before.score:.3f} became {after.score:.3f}, the threshold is {threshold:g}"
    return Difference(words, abs(after.score - before.score))


def _said(prediction: Prediction) -> str:
    return f"{prediction.name} ({prediction.confidence:.2f})"
