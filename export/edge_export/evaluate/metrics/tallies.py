"""From answers to figures: one tally per task sees truth and answer image by image, then measures.

A tally keeps counts and boxes, never images or masks, so memory does not grow with the pictures' size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge_export.evaluate.data.mapping import ClassMap
from edge_export.evaluate.data.masks import read_mask
from edge_export.evaluate.data.truth import BoxTruth, ClassTruth, LabelledSet, MaskTruth, Truth
from edge_export.evaluate.metrics.anomaly import Auroc
from edge_export.evaluate.metrics.bootstrap import ROUNDS, Statistic, ones
from edge_export.evaluate.metrics.boxes import Boxes, Objects
from edge_export.evaluate.metrics.classification import TopK, rank_of
from edge_export.evaluate.metrics.detection import COCO_THRESHOLDS, DetectionData, Interpolation, collect
from edge_export.evaluate.metrics.segmentation import IGNORE, MaskCounts, collect_masks, count_mask
from edge_runtime.errors import DataError
from edge_runtime.results import Result

__all__ = ["Measure", "Tally", "boxes_of", "ranked_classes", "tally_for"]

_GOOD = ("good", "ok", "normal")


@dataclass(frozen=True)
class Measure:
    """A named figure as a function of image weights. `rounds` of bootstrap: fewer for the costly ones."""

    metric: str
    statistic: Statistic
    detail: dict[str, float] = field(default_factory=dict)
    rounds: int = ROUNDS


class Tally(Protocol):
    """Compares answers with the truth of one task."""

    def see(self, truth: Truth, height: int, width: int, result: Result) -> None:
        """Take in one image's answer; height and width in pixels of the original image."""

    def measures(self) -> tuple[Measure, ...]:
        """Return the figures over all images seen, the leading one first."""


def tally_for(
    labelled: LabelledSet, classes: ClassMap, labels: Sequence[str], confidence: float, task: str = ""
) -> Tally:
    """Return a fresh tally for this data; `confidence` is what the device reports from, 0..1.

    `task` is the model's: an anomaly detector is judged on class folders by its scores.
    """
    if task == "anomaly":
        return AnomalyTally(_good_classes(labelled))
    if labelled.task == "classify":
        return ClassTally(classes, labels)
    if labelled.task == "detect":
        return BoxTally(classes, labels, confidence, deeppcb=labelled.format == "DeepPCB")
    return MaskTally(classes, labels)


def ranked_classes(result: Result) -> list[int]:
    """Return the classes of a whole-image answer, the most confident first."""
    return [p.class_id for p in sorted(result.predictions, key=lambda p: -p.confidence)]


def boxes_of(result: Result, confidence: float = 0.0) -> Boxes:
    """Return the boxes of an answer with at least this confidence, in pixels of the original image."""
    kept = [p for p in result.predictions if p.box is not None and p.confidence >= confidence]
    rows = [(p.box.x1, p.box.y1, p.box.x2, p.box.y2) for p in kept if p.box is not None]
    return Boxes(
        np.array(rows, dtype=np.float64).reshape(-1, 4),
        np.array([p.class_id for p in kept], dtype=np.int64),
        np.array([p.confidence for p in kept], dtype=np.float64),
    )


@dataclass
class ClassTally:
    """Top-1 and top-5. Images of a class that the model does not know are not counted."""

    classes: ClassMap
    labels: Sequence[str]
    _truths: list[int] = field(default_factory=list)
    _ranks: list[int] = field(default_factory=list)

    def see(self, truth: Truth, height: int, width: int, result: Result) -> None:
        """Take in one image's answer."""
        if not isinstance(truth, ClassTruth):
            raise DataError(f"expected a class as the truth of a classifier's image, found {truth}")
        if not result.predictions or any(p.box is not None for p in result.predictions):
            raise DataError(
                "the labels name one class for each image, but the model does not answer so; "
                "give labels of its own kind, or set --task classify"
            )
        class_id = int(self.classes(np.array([truth.class_id]))[0])
        self._truths.append(class_id)
        self._ranks.append(rank_of(class_id, ranked_classes(result)))

    def measures(self) -> tuple[Measure, ...]:
        """Return top1 and top5, per class in top1's detail."""
        truths = np.array(self._truths, dtype=np.int64)
        known = truths >= 0
        top = TopK(np.array(self._ranks, dtype=np.int64))
        detail = {
            f"top1 {_name(self.labels, class_id)}": value
            for class_id, value in TopK(top.ranks[known]).per_class(truths[known]).items()
        }
        return (
            Measure("top1", lambda weights: top.accuracy(weights * known, 1), detail),
            Measure("top5", lambda weights: top.accuracy(weights * known, 5)),
        )


@dataclass
class AnomalyTally:
    """AUROC: `good` are the classes, by the data's index, that show no defect."""

    good: frozenset[int]
    _scores: list[float] = field(default_factory=list)
    _defective: list[bool] = field(default_factory=list)

    def see(self, truth: Truth, height: int, width: int, result: Result) -> None:
        """Take in one image's answer."""
        if not isinstance(truth, ClassTruth) or result.score is None:
            raise DataError("an anomaly detector is judged by its score on images in class folders, found neither")
        self._scores.append(result.score)
        self._defective.append(truth.class_id not in self.good)

    def measures(self) -> tuple[Measure, ...]:
        """Return auroc."""
        counts = {"defective": float(sum(self._defective)), "images": float(len(self._defective))}
        area = Auroc(np.array(self._scores), np.array(self._defective, dtype=np.bool_)).area
        return (Measure("auroc", area, counts),)


@dataclass
class BoxTally:
    """Mean average precision, and precision, recall and F1 of what the device would report."""

    classes: ClassMap
    labels: Sequence[str]
    confidence: float
    deeppcb: bool = False
    _found: list[Boxes] = field(default_factory=list)
    _truths: list[Objects] = field(default_factory=list)

    def see(self, truth: Truth, height: int, width: int, result: Result) -> None:
        """Take in one image's answer."""
        if not isinstance(truth, BoxTruth):
            raise DataError(f"expected boxes as the truth of a detector's image, found {truth}")
        if any(p.box is None for p in result.predictions):
            raise DataError(
                "the labels are boxes, but the model answers without boxes; "
                "give labels of its own kind, or set --task detect"
            )
        class_ids = self.classes(truth.classes)
        known = class_ids >= 0
        self._truths.append(Objects(truth.pixels(width, height)[known], class_ids[known], truth.crowd[known]))
        found = boxes_of(result)
        if self.classes.table is not None:  # what the data does not label, it cannot call a false alarm
            judged = np.isin(found.classes, self.classes.table)
            found = Boxes(found.boxes[judged], found.classes[judged], found.scores[judged])
        self._found.append(found)

    def measures(self) -> tuple[Measure, ...]:
        """Return map33 first for DeepPCB, map50 and map50-95, then precision, recall and f1."""
        everything = range(1, 1 + len(COCO_THRESHOLDS))
        data = collect(self._found, self._truths, np.array([0.33, *COCO_THRESHOLDS]))
        if not data.objects.sum():
            raise DataError(f"no object of a class that the model knows in {data.images} images; check the labels")
        mean = [
            self._mean("map50", data, [1], "101", ROUNDS),
            self._mean("map50-95", data, list(everything), "101", 200),
        ]
        if self.deeppcb:
            mean.insert(0, self._mean("map33", data, [0], "all", ROUNDS))
        level = 0 if self.deeppcb else 1
        names = ("precision", "recall", "f1")
        rule = {"confidence": self.confidence, "iou": float(data.thresholds[level])}
        working = [
            Measure(name, lambda w, i=i: data.at_confidence(w, level, self.confidence)[i], rule)  # type: ignore[misc]
            for i, name in enumerate(names)
        ]
        return (*mean, *working)

    def _mean(
        self, metric: str, data: DetectionData, levels: list[int], interpolation: Interpolation, rounds: int
    ) -> Measure:
        each = [data.average_precision(ones(data.images), level, interpolation) for level in levels]
        average = np.mean(each, axis=0)
        detail = {
            f"AP {_name(self.labels, int(class_id))}": float(value)
            for class_id, value in zip(data.classes, average, strict=True)
            if np.isfinite(value)
        }
        return Measure(
            metric,
            lambda weights: data.mean_average_precision(weights, levels, interpolation),
            detail,
            rounds,
        )


@dataclass
class MaskTally:
    """Mean IoU over classes."""

    classes: ClassMap
    labels: Sequence[str]
    _counts: list[NDArray[np.int64]] = field(default_factory=list)

    def see(self, truth: Truth, height: int, width: int, result: Result) -> None:
        """Take in one image's answer; the masks must have the image's size."""
        if not isinstance(truth, MaskTruth):
            raise DataError(f"expected a mask as the truth of a segmented image, found {truth}")
        true = read_mask(truth.path)
        if result.mask is None or true.shape != result.mask.shape:
            shape = None if result.mask is None else list(result.mask.shape)
            raise DataError(f"{truth.path}: expected a mask of {[height, width]}, found {list(true.shape)} and {shape}")
        if self.classes.table is not None:
            mapped = self.classes(np.arange(256))
            true = np.where((true == IGNORE) | (mapped[true] < 0), IGNORE, mapped[true]).astype(np.uint8)
        self._counts.append(count_mask(true, result.mask))

    def measures(self) -> tuple[Measure, ...]:
        """Return miou, per class in its detail."""
        counts: MaskCounts = collect_masks(self._counts)
        everything = ones(len(self._counts))
        present = np.flatnonzero(everything @ counts.true)
        values = counts.iou(everything)
        detail = {f"IoU {_name(self.labels, int(i))}": float(values[i]) for i in present}
        return (Measure("miou", counts.mean_iou, detail),)


def _good_classes(labelled: LabelledSet) -> frozenset[int]:
    good = frozenset(i for i, name in enumerate(labelled.names) if name.lower() in _GOOD)
    if labelled.task != "classify" or not good or len(good) == len(labelled.names):
        raise DataError(
            f"expected class folders, one of them named {' or '.join(_GOOD)}, to judge an anomaly detector; "
            f"found {labelled.format} with the classes {', '.join(labelled.names[:8]) or 'unnamed'}"
        )
    return good


def _name(labels: Sequence[str], class_id: int) -> str:
    return labels[class_id] if 0 <= class_id < len(labels) else str(class_id)
