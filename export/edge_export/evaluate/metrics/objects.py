"""The tally of detectors: boxes, and of each object what else the model gives and the labels hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from edge_export.evaluate.data.mapping import ClassMap
from edge_export.evaluate.data.truth import BoxTruth, Part, Truth
from edge_export.evaluate.metrics.bootstrap import ROUNDS, ones
from edge_export.evaluate.metrics.boxes import Boxes, Matches, Objects, match
from edge_export.evaluate.metrics.detection import COCO_THRESHOLDS, DetectionData, Interpolation, collect
from edge_export.evaluate.metrics.measure import Measure, boxes_of, class_label, reported
from edge_export.evaluate.metrics.parts import alike, true_targets
from edge_runtime.errors import DataError
from edge_runtime.results import Result

__all__ = ["BoxTally"]

_PREFIX: dict[Part, str] = {"masks": "mask_", "points": "oks_", "oriented": "oriented_"}
# Answers of a class looked at in one image (cocoeval.py, Params).
_MOST = {"boxes": 100, "masks": 100, "points": 20, "oriented": 100}


@dataclass
class _Seen:
    """What was found in each image, what is there, and which belong together."""

    found: list[Boxes] = field(default_factory=list)
    truths: list[Objects] = field(default_factory=list)
    matches: list[Matches] = field(default_factory=list)

    def add(self, found: Boxes, truth: Objects, matches: Matches) -> None:
        self.found.append(found)
        self.truths.append(truth)
        self.matches.append(matches)


@dataclass
class BoxTally:
    """Mean average precision, and precision, recall and F1 of what the device would report.

    Of the `parts` that the labels hold too, their mean average precision comes first: what a model is for leads. Turned
    boxes are judged in place of the upright ones around them.
    """

    classes: ClassMap
    labels: Sequence[str]
    confidence: float
    deeppcb: bool = False
    parts: tuple[Part, ...] = ()
    _boxes: _Seen = field(default_factory=_Seen)
    _parts: dict[Part, _Seen] = field(default_factory=dict)

    @property
    def thresholds(self) -> tuple[float, ...]:
        """What boxes are matched at."""
        return (0.33, *COCO_THRESHOLDS.tolist()) if self.deeppcb else tuple(COCO_THRESHOLDS.tolist())

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
        truth_boxes = Objects(
            truth.pixels(width, height)[known],
            class_ids[known],
            truth.crowd[known],
            None if truth.difficult is None else truth.difficult[known],
        )
        predictions = reported(result)
        if self.classes.table is not None:  # what the data does not label, it cannot call a false alarm
            predictions = [p for p in predictions if p.class_id in self.classes.table]
        found = boxes_of(predictions)
        self._boxes.add(found, truth_boxes, match(found, truth_boxes, np.array(self.thresholds), _MOST["boxes"]))
        for part in self.parts:
            targets = true_targets(part, truth, width, height)
            likeness = alike(part, predictions, targets)[:, known]
            objects = replace(truth_boxes, ignored=(targets.unknown | _difficult(truth))[known])
            matches = match(found, objects, COCO_THRESHOLDS, _MOST[part], likeness)
            self._parts.setdefault(part, _Seen()).add(found, objects, matches)

    def measures(self) -> tuple[Measure, ...]:
        """Return map50 and map50-95 of each part, then of boxes (map33 first for DeepPCB), precision, recall, f1."""
        boxes = _collected(self._boxes, self.thresholds)
        if not boxes.objects.sum():
            raise DataError(f"no object of a class that the model knows in {boxes.images} images; check the labels")
        mean = []
        parts = {part: _collected(seen, COCO_THRESHOLDS.tolist()) for part, seen in self._parts.items()}
        for part, data in parts.items():
            mean += self._means(_PREFIX[part], data, 0)
        level = 0
        if "oriented" in parts:
            boxes = parts["oriented"]
        elif self.deeppcb:
            mean += [self._mean("map33", boxes, [0], "all", ROUNDS), *self._means("", boxes, 1)]
        else:
            mean += self._means("", boxes, 0)
        rule = {"confidence": self.confidence, "iou": float(boxes.thresholds[level])}
        working = [
            Measure(name, lambda w, i=i: boxes.at_confidence(w, level, self.confidence)[i], rule)  # type: ignore[misc]
            for i, name in enumerate(("precision", "recall", "f1"))
        ]
        return (*mean, *working)

    def _means(self, prefix: str, data: DetectionData, first: int) -> list[Measure]:
        everything = list(range(first, first + len(COCO_THRESHOLDS)))
        return [
            self._mean(f"{prefix}map50", data, [first], "101", ROUNDS),
            self._mean(f"{prefix}map50-95", data, everything, "101", 200),
        ]

    def _mean(
        self, metric: str, data: DetectionData, levels: list[int], interpolation: Interpolation, rounds: int
    ) -> Measure:
        each = [data.average_precision(ones(data.images), level, interpolation) for level in levels]
        average = np.mean(each, axis=0)
        detail = {
            f"AP {class_label(self.labels, int(class_id))}": float(value)
            for class_id, value in zip(data.classes, average, strict=True)
            if np.isfinite(value)
        }
        return Measure(
            metric,
            lambda weights: data.mean_average_precision(weights, levels, interpolation),
            detail,
            rounds,
        )


def _difficult(truth: BoxTruth) -> NDArray[np.bool_]:
    return np.zeros(len(truth.classes), np.bool_) if truth.difficult is None else truth.difficult


def _collected(seen: _Seen, thresholds: Sequence[float]) -> DetectionData:
    return collect(seen.found, seen.truths, np.array(thresholds), seen.matches)
