"""The images whose answer changed from FP32 to the bundle: the worst few, with both answers drawn.

Images stream through `Collector.see`; it keeps counts and at most MOST pairs of small JPEGs, so that its memory does
not grow with the data.
"""

from __future__ import annotations

import dataclasses
import heapq
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_export.certificate.pictures import answer_jpeg
from edge_export.certificate.words import percent
from edge_export.evaluate.metrics.bootstrap import ones
from edge_export.evaluate.metrics.boxes import Boxes, Objects, match
from edge_export.evaluate.metrics.segmentation import collect_masks, count_mask
from edge_export.evaluate.metrics.tallies import boxes_of
from edge_export.state import Flip, Flips
from edge_export.text import printable
from edge_runtime.bundle.facts import ModelFacts
from edge_runtime.results import Box, Prediction, Result
from edge_runtime.vision.verdict import judge

__all__ = ["MOST", "Collector"]

Image = NDArray[np.uint8]  # height x width x 3, BGR

MOST = 8
_LONGEST_NAME = 60
# Another verdict is what a user suffers from: it comes before any other difference.
_VERDICT_WEIGHT = 10.0
# Masks whose mean IoU is this good differ by the rounding of a contour.
_SAME_MASK = 0.98
_SAME_BOX = 0.5  # overlap (IoU) of two boxes of one class from which they are the same object, as in box_f1
_NAMED = 2


@dataclass
class Collector:
    """Looks at both answers to one image after another. `facts` tell the task, the threshold and the verdict."""

    facts: ModelFacts
    most: int = MOST
    images: int = 0
    changed: int = 0
    verdicts: int = 0
    _kept: list[tuple[float, int, Flip]] = field(default_factory=list)

    def see(self, path: Path, image: Image, fp32: Result, bundle: Result) -> None:
        """Take in FP32's and the bundle's answer to one image; pictures are made only of those that are kept."""
        self.images += 1
        before, after = self._reported(fp32), self._reported(bundle)
        found = _difference(before, after, self.facts)
        if found is None:
            return
        flipped = before.verdict != after.verdict
        severity = found.severity + _VERDICT_WEIGHT * flipped
        self.changed += 1
        self.verdicts += flipped
        if len(self._kept) == self.most and severity <= self._kept[0][0]:
            return
        change = f"verdict {_words(before)} became {_words(after)}; {found.words}" if flipped else found.words
        name = printable(path.name)
        name = name if len(name) <= _LONGEST_NAME else f"...{name[-(_LONGEST_NAME - 3) :]}"
        judged = self.facts.verdict.rule != "none"
        flip = Flip(
            name,
            change,
            flipped,
            severity,
            answer_jpeg(image, before, judged, found.lost, found.pixels),
            answer_jpeg(image, after, judged, found.new, found.pixels),
        )
        # Of equals the first one seen stays: the same data gives the same page.
        heapq.heappush(self._kept, (severity, -self.images, flip))
        if len(self._kept) > self.most:
            heapq.heappop(self._kept)

    def result(self, data: str) -> Flips:
        """Return what was collected; `data` says what the images were."""
        worst = tuple(flip for _, _, flip in sorted(self._kept, key=lambda item: (-item[0], -item[1])))
        return Flips(data, self.images, self.changed, self.verdicts, worst)

    def _reported(self, result: Result) -> Result:
        """The answer as the device reports it: metrics are measured on boxes of far lower confidence."""
        if self.facts.postprocess.task != "detect":
            return result
        threshold = self.facts.thresholds.confidence
        seen = tuple(prediction for prediction in result.predictions if prediction.confidence >= threshold)
        verdict, reasons = judge(self.facts.verdict, threshold, seen)
        return dataclasses.replace(result, predictions=seen, verdict=verdict, reasons=reasons)


@dataclass(frozen=True)
class _Difference:
    words: str
    severity: float  # 0..1
    lost: tuple[Box, ...] = ()  # what only FP32 reported
    new: tuple[Box, ...] = ()  # what only the bundle reported
    pixels: NDArray[np.bool_] | None = None  # [height, width] where the masks differ


def _difference(before: Result, after: Result, facts: ModelFacts) -> _Difference | None:
    task = facts.postprocess.task
    if task == "classify":
        return _classes(before, after)
    if task == "detect":
        return _boxes(before, after)
    if task == "segment":
        return _masks(before, after)
    return _scores(before, after, facts.thresholds.confidence) if task == "anomaly" else None


def _classes(before: Result, after: Result) -> _Difference | None:
    if not before.predictions or not after.predictions:
        return None
    one, other = before.predictions[0], after.predictions[0]
    if one.class_id == other.class_id and before.verdict == after.verdict:
        return None
    # The surer both were of what they said, the less it was a coin's toss.
    return _Difference(f"{_said(one)} became {_said(other)}", (one.confidence + other.confidence) / 2)


def _boxes(before: Result, after: Result) -> _Difference | None:
    one, other = boxes_of(before), boxes_of(after)
    lost, new = _unmatched(one, other, before), _unmatched(other, one, after)
    if not lost and not new:
        return None
    parts = [_some(lost, "lost"), _some(new, "new")]
    total = len(one.classes) + len(other.classes)
    words = "; ".join(part for part in parts if part)
    return _Difference(words, (len(lost) + len(new)) / total, _places(lost), _places(new))


def _unmatched(boxes: Boxes, others: Boxes, result: Result) -> list[Prediction]:
    """The predictions of `result`, whose boxes are `boxes`, that have no partner of their class among the others."""
    partners = Objects(others.boxes, others.classes, np.zeros(len(others.classes), np.bool_))
    found = match(boxes, partners, np.array([_SAME_BOX]), max_per_class=len(boxes.classes))
    boxed = [prediction for prediction in result.predictions if prediction.box is not None]
    return [boxed[index] for index in sorted(found.order[~found.hit[0]].tolist())]


def _some(predictions: list[Prediction], title: str) -> str:
    if not predictions:
        return ""
    named = ", ".join(_said(prediction) for prediction in predictions[:_NAMED])
    return f"{len(predictions)} {title}: {named}{', ...' if len(predictions) > _NAMED else ''}"


def _places(predictions: list[Prediction]) -> tuple[Box, ...]:
    return tuple(prediction.box for prediction in predictions if prediction.box is not None)


def _masks(before: Result, after: Result) -> _Difference | None:
    if before.mask is None or after.mask is None:
        return None
    overlap = collect_masks([count_mask(before.mask, after.mask)]).mean_iou(ones(1))
    if not overlap < _SAME_MASK and before.verdict == after.verdict:
        return None
    unlike = before.mask != after.mask
    words = f"masks overlap by {overlap:.3f} (mean IoU), {percent(float(np.mean(unlike)))} of the pixels differ"
    return _Difference(words, 1.0 - overlap, pixels=unlike)


def _scores(before: Result, after: Result, threshold: float) -> _Difference | None:
    if before.score is None or after.score is None or (before.score >= threshold) == (after.score >= threshold):
        return None
    words = f"score {before.score:.3f} became {after.score:.3f}, the threshold is {threshold:g}"
    return _Difference(words, abs(after.score - before.score))


def _said(prediction: Prediction) -> str:
    return f"{prediction.name} ({prediction.confidence:.2f})"


def _words(result: Result) -> str:
    return result.verdict.replace("_", " ")
