"""Mean average precision of detectors, and precision, recall and F1 at the threshold that the device reports
from.

AP is the area under precision as a function of recall, precision made non-increasing first. Two ways to take
it:

- "101": the mean of precision at recall 0, 0.01, ... 1 (COCO; pycocotools, cocoeval.py, accumulate). The
names are map50 (IoU 0.5) and map50-95 (mean over IoU 0.5, 0.55, ... 0.95).
- "all": the exact area (Pascal VOC 2010 and later). map33 is this at IoU 0.33, DeepPCB's rule
  (github.com/tangsanli5201/DeepPCB).

The mean is over classes that have at least one object.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge_export.evaluate.metrics.bootstrap import Weights
from edge_export.evaluate.metrics.boxes import Boxes, Matches, Objects, match

__all__ = ["COCO_THRESHOLDS", "DetectionData", "Interpolation", "collect"]

Interpolation = Literal["101", "all"]

COCO_THRESHOLDS: NDArray[np.float64] = np.linspace(0.5, 0.95, 10)
_RECALLS: NDArray[np.float64] = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True)
class DetectionData:
    """All matched detections of a data set, sorted by class and falling score, ready to be weighted and
    summed.

    `hit`, `ignored`: bool [thresholds, detections]. `objects`: int64 [images, classes], true objects, no
    crowds. `classes` int64 [classes] are the class ids behind the columns; `column` int64 [detections] points
    into them.
    """

    thresholds: NDArray[np.float64]
    classes: NDArray[np.int64]
    column: NDArray[np.int64]
    image: NDArray[np.int64]
    score: NDArray[np.float64]
    hit: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    objects: NDArray[np.int64]

    @property
    def images(self) -> int:
        """Number of images."""
        return len(self.objects)

    def average_precision(
        self, weights: Weights, level: int, interpolation: Interpolation = "101"
    ) -> NDArray[np.float64]:
        """Return AP per class, float64 [classes], at thresholds[level]; NaN for a class without objects."""
        positives = weights @ self.objects
        weight = weights[self.image]
        rows = np.flatnonzero(self.hit[level])
        columns = self.column[rows]
        # Sums within a class: the sum over everything so far, less what it was where the class begins.
        claims = np.cumsum(np.where(self.ignored[level], 0, weight))
        hits = np.cumsum(np.where(self.hit[level], weight, 0))
        starts = np.searchsorted(self.column, np.arange(len(self.classes)))
        claims_before = np.concatenate([[0], claims])[starts]
        hits_before = np.concatenate([[0], hits])[starts]
        seen = claims[rows] - claims_before[columns]
        true = hits[rows] - hits_before[columns]
        precision = np.divide(true, seen, out=np.zeros(len(rows)), where=seen > 0)
        envelope = _falling(precision, columns)
        if interpolation == "101":
            area = _at_recalls(true, envelope, columns, positives)
        else:
            gained = np.bincount(columns, weights=weight[rows] * envelope, minlength=len(self.classes))
            area = gained / np.maximum(positives, 1)
        return np.where(positives > 0, area, np.nan)

    def mean_average_precision(
        self, weights: Weights, levels: Sequence[int], interpolation: Interpolation = "101"
    ) -> float:
        """Return the mean AP over classes with objects and over thresholds; NaN if there are no objects."""
        values = np.array([self.average_precision(weights, level, interpolation) for level in levels])
        known = ~np.isnan(values)
        return float(values[known].mean()) if known.any() else float("nan")

    def at_confidence(self, weights: Weights, level: int, confidence: float) -> tuple[float, float, float]:
        """Return precision, recall and F1 over all classes of detections with at least this score.

        NaN where there is nothing to divide by: no detection, no object.
        """
        weight = weights[self.image] * (self.score >= confidence)
        true = float(weight[self.hit[level]].sum())
        claimed = float(weight[~self.ignored[level]].sum())
        positives = float((weights @ self.objects).sum())
        precision = true / claimed if claimed else float("nan")
        recall = true / positives if positives else float("nan")
        both = claimed + positives
        return precision, recall, 2 * true / both if both else float("nan")


def collect(
    found: Sequence[Boxes],
    truth: Sequence[Objects],
    thresholds: NDArray[np.float64],
    matches: Sequence[Matches] | None = None,
) -> DetectionData:
    """Sort every image's detections. `found` and `truth` are in the same order of images; so are `matches` at the same
    thresholds, which are those of boxes where they are not given.
    """
    thresholds = np.asarray(thresholds, dtype=np.float64)
    if matches is None:
        matches = [match(f, t, thresholds) for f, t in zip(found, truth, strict=True)]
    known = [t.classes[~t.aside] for t in truth]
    ids = np.concatenate([*known, *(f.classes for f in found), np.zeros(0, dtype=np.int64)])
    classes = np.unique(ids).astype(np.int64)
    objects = np.zeros((len(truth), len(classes)), dtype=np.int64)
    for row, present in zip(objects, known, strict=True):
        np.add.at(row, np.searchsorted(classes, present), 1)
    empty = np.zeros(0)
    score = np.concatenate([*(f.scores[m.order] for f, m in zip(found, matches, strict=True)), empty])
    class_id = np.concatenate([*(f.classes[m.order] for f, m in zip(found, matches, strict=True)), empty])
    image = np.repeat(np.arange(len(found)), [len(m.order) for m in matches]).astype(np.int64)
    none = np.zeros((len(thresholds), 0), dtype=np.bool_)
    hit = np.concatenate([*(m.hit for m in matches), none], axis=1)
    ignored = np.concatenate([*(m.ignored for m in matches), none], axis=1)
    column = np.searchsorted(classes, class_id).astype(np.int64)
    order = np.lexsort((np.arange(len(score)), -score, column))
    return DetectionData(
        thresholds=thresholds,
        classes=classes,
        column=column[order],
        image=image[order],
        score=score[order],
        hit=hit[:, order],
        ignored=ignored[:, order],
        objects=objects,
    )


def _falling(precision: NDArray[np.float64], columns: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return, within each class, the highest precision from a row on: precision made non-increasing.

    The running maximum goes over all classes at once: each lies two higher than the one behind it, so what a
    later class had never reaches into an earlier one. Subtracting costs a rounding of about 1e-14, so the
    maximum's place is found that way and its value read from the precision itself.
    """
    if not len(precision):
        return precision
    raised = precision[::-1] + 2.0 * (columns.max() - columns[::-1])
    best = np.maximum.accumulate(raised)
    fresh = np.concatenate([[True], raised[1:] >= best[:-1]])
    place = np.maximum.accumulate(np.where(fresh, np.arange(len(raised)), 0))
    value: NDArray[np.float64] = precision[::-1][place][::-1]
    return value


def _at_recalls(
    true: NDArray[np.int64],
    envelope: NDArray[np.float64],
    columns: NDArray[np.int64],
    positives: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return the mean of the envelope at the 101 recalls per class; 0 where a recall is never reached.

    A recall is reached at `need` hits, the least integer with need / positives >= recall in floating point.
    Counting hits instead of comparing recalls keeps the search exact for all classes at once.
    """
    total = np.maximum(positives, 1)[:, None]
    need = np.maximum(np.floor(_RECALLS[None, :] * total) - 1, 0)
    for _ in range(3):
        need += need / total < _RECALLS[None, :]
    stride = int(positives.max(initial=0)) + int(true.max(initial=0)) + 2
    wanted = (np.arange(len(positives))[:, None] * stride + need).astype(np.int64)
    keys = columns * stride + true
    place = np.searchsorted(keys, wanted)
    ends = np.searchsorted(columns, np.arange(len(positives)), side="right")[:, None]
    padded = np.concatenate([envelope, [0.0]])
    reached: NDArray[np.float64] = np.where(place < ends, padded[np.minimum(place, len(envelope))], 0.0)
    mean: NDArray[np.float64] = reached.mean(axis=1)
    return mean
