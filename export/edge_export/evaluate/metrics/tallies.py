"""From answers to figures: one tally per task sees truth and answer image by image, then measures.

A tally keeps counts and boxes, never images or masks, so memory does not grow with the pictures' size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge_export.evaluate.data.mapping import ClassMap
from edge_export.evaluate.data.masks import read_mask
from edge_export.evaluate.data.truth import ClassTruth, LabelledSet, MaskTruth, Part, Truth
from edge_export.evaluate.metrics.anomaly import Auroc
from edge_export.evaluate.metrics.bootstrap import ones
from edge_export.evaluate.metrics.classification import TopK, rank_of
from edge_export.evaluate.metrics.measure import Measure, Tally, class_label, ranked_classes
from edge_export.evaluate.metrics.objects import BoxTally
from edge_export.evaluate.metrics.segmentation import IGNORE, MaskCounts, collect_masks, count_mask
from edge_runtime.errors import DataError
from edge_runtime.results import Result

__all__ = ["tally_for"]

_GOOD = ("good", "ok", "normal")


def tally_for(
    labelled: LabelledSet,
    classes: ClassMap,
    labels: Sequence[str],
    confidence: float,
    task: str = "",
    parts: tuple[Part, ...] = (),
) -> Tally:
    """Return a fresh tally for this data; `confidence` is what the device reports from, 0..1.

    `task` is the model's: an anomaly detector is judged on class folders by its scores. `parts` of a detector's objects
    are judged besides their boxes; the labels must hold them.
    """
    if task == "anomaly":
        return AnomalyTally(_good_classes(labelled))
    if labelled.task == "classify":
        return ClassTally(classes, labels)
    if labelled.task == "detect":
        return BoxTally(classes, labels, confidence, labelled.format == "DeepPCB", parts)
    return MaskTally(classes, labels)


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
            f"top1 {class_label(self.labels, class_id)}": value
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
        detail = {f"IoU {class_label(self.labels, int(i))}": float(values[i]) for i in present}
        return (Measure("miou", counts.mean_iou, detail),)


def _good_classes(labelled: LabelledSet) -> frozenset[int]:
    good = frozenset(i for i, name in enumerate(labelled.names) if name.lower() in _GOOD)
    if labelled.task != "classify" or not good or len(good) == len(labelled.names):
        raise DataError(
            f"expected class folders, one of them named {' or '.join(_GOOD)}, to judge an anomaly detector; "
            f"found {labelled.format} with the classes {', '.join(labelled.names[:8]) or 'unnamed'}"
        )
    return good
