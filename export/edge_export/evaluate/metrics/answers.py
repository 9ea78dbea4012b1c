"""How far two models give the same answers, judged image by image: one tally per task, keyed in FIDELITY."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge_export.evaluate.data.truth import Part
from edge_export.evaluate.metrics.fidelity import SAME_BOX, SAME_PART, BoxAgreement, SameAnswers, box_pairs
from edge_export.evaluate.metrics.measure import Measure, boxes_of, ranked_classes, reported
from edge_export.evaluate.metrics.parts import alike, seen_targets
from edge_export.evaluate.metrics.segmentation import collect_masks, count_mask
from edge_runtime.errors import DataError
from edge_runtime.results import Result

__all__ = ["FIDELITY", "BoxFidelity", "ClassFidelity", "FidelityTally", "MaskFidelity", "ScoreFidelity"]


_PART_F1: dict[Part, str] = {"masks": "mask_f1", "points": "points_f1", "oriented": "oriented_f1"}


class FidelityTally(Protocol):
    """Compares a model's answers with the reference's."""

    def see(self, a: Result, b: Result) -> None:
        """Take in the reference's and the other's answer for one image."""

    def measures(self) -> tuple[Measure, ...]:
        """Return the figure over all images seen."""


@dataclass
class ClassFidelity:
    """agreement: the same first class."""

    confidence: float
    same: list[bool] = field(default_factory=list)

    def see(self, a: Result, b: Result) -> None:
        """Take in both answers for one image."""
        self.same.append(ranked_classes(a)[:1] == ranked_classes(b)[:1])

    def measures(self) -> tuple[Measure, ...]:
        """Return the figure over all images seen."""
        return (Measure("agreement", SameAnswers(np.array(self.same, dtype=np.bool_)).share, worth=len(self.same)),)


@dataclass
class BoxFidelity:
    """box_f1: the same boxes above the reporting threshold; then the same masks, points, turned boxes (`parts`)."""

    confidence: float
    parts: tuple[Part, ...] = ()
    counts: list[tuple[int, int, int]] = field(default_factory=list)
    part_counts: dict[Part, list[tuple[int, int, int]]] = field(default_factory=dict)

    def see(self, a: Result, b: Result) -> None:
        """Take in both answers for one image."""
        before, after = reported(a, self.confidence), reported(b, self.confidence)
        left, right = boxes_of(before), boxes_of(after)
        self.counts.append(box_pairs(left, right, SAME_BOX))
        for part in self.parts:
            likeness = alike(part, after, seen_targets(part, before))
            self.part_counts.setdefault(part, []).append(box_pairs(left, right, SAME_PART, likeness))

    def measures(self) -> tuple[Measure, ...]:
        """Return the figures over all images seen."""
        parts = (self._f1(_PART_F1[part], counts) for part, counts in self.part_counts.items())
        return (self._f1("box_f1", self.counts), *parts)

    def _f1(self, metric: str, counts: list[tuple[int, int, int]]) -> Measure:
        pairs, reference, other = np.array(counts, dtype=np.int64).reshape(-1, 3).T
        each = (reference + other).astype(np.float64)
        worth = float(each.sum() ** 2 / (each @ each)) if each.any() else 0.0
        return Measure(metric, BoxAgreement(pairs, reference, other).f1, {"confidence": self.confidence}, worth=worth)


@dataclass
class MaskFidelity:
    """mask_miou: the reference's mask as the truth."""

    confidence: float
    counts: list[NDArray[np.int64]] = field(default_factory=list)

    def see(self, a: Result, b: Result) -> None:
        """Take in both answers for one image."""
        if a.mask is None or b.mask is None:
            raise DataError("expected a mask in every answer of a segmentation model, found none; check its task")
        self.counts.append(count_mask(a.mask, b.mask))

    def measures(self) -> tuple[Measure, ...]:
        """Return the figure over all images seen."""
        return (Measure("mask_miou", collect_masks(self.counts).mean_iou, worth=len(self.counts)),)


@dataclass
class ScoreFidelity:
    """same_verdict: both anomaly scores on the same side of the threshold."""

    confidence: float
    same: list[bool] = field(default_factory=list)

    def see(self, a: Result, b: Result) -> None:
        """Take in both answers for one image."""
        if a.score is None or b.score is None:
            raise DataError("expected a score in every answer of an anomaly model, found none; check its task")
        self.same.append((a.score >= self.confidence) == (b.score >= self.confidence))

    def measures(self) -> tuple[Measure, ...]:
        """Return the figure over all images seen."""
        return (Measure("same_verdict", SameAnswers(np.array(self.same, dtype=np.bool_)).share, worth=len(self.same)),)


# A fresh tally: what is reported from, and the parts of a detector's objects that are compared.
FIDELITY: dict[str, Callable[[float, tuple[Part, ...]], FidelityTally]] = {
    "classify": lambda confidence, parts: ClassFidelity(confidence),
    "detect": BoxFidelity,
    "segment": lambda confidence, parts: MaskFidelity(confidence),
    "anomaly": lambda confidence, parts: ScoreFidelity(confidence),
}
