"""How far a bundle's answers to pictures are the right ones: found in both, and how far apart what was found lies."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge_export.evaluate.metrics.boxes import overlaps
from edge_export.evaluate.metrics.masks import mask_overlaps
from edge_runtime.results import Box, Mask, Prediction
from edge_runtime.vision.postprocess.oriented import oriented_iou
from edge_tools.families.truth import Truth

__all__ = ["Likeness", "compare", "is_flat", "is_nothing"]

# Answers this near the threshold may be there or not: rounding takes either.
MARGIN = 0.02
_SAME = 0.5
_THIN = 0.05  # of a box: a mask of fewer pixels is there or not by the way in which it was enlarged
_MOST = 300  # so many answers Ultralytics gives, boxes without an area among them: what comes after is not told


@dataclass(frozen=True)
class Likeness:
    """Over all pictures: how many right answers there are, how many were found, how many found ones are not right.

    `aside` are right answers and found ones that count for nobody: boxes clipped to nothing, objects without a pixel,
    and what is beyond the threshold or the most answers by a little. `box` is the lowest IoU of a pair (oriented boxes
    as polygons), `score` the largest difference, `point` the largest distance in pixels of points that are seen, `mask`
    the mean IoU of masks (thin ones left out); NaN where there was nothing to compare.
    """

    right: int
    found: int
    wrong: int
    box: float = math.nan
    score: float = math.nan
    point: float = math.nan
    mask: float = math.nan
    aside: int = 0

    @property
    def f1(self) -> float:
        """Twice the pairs over all answers of both sides; 1 where neither has any."""
        total = self.right + self.found + self.wrong
        return 2 * self.found / total if total else 1.0


def compare(pairs: Sequence[tuple[Sequence[Truth], Sequence[Prediction]]], confidence: float) -> Likeness:
    """Pair each picture's right answers with the predictions, best first, by class and overlap."""
    right = found = wrong = aside = 0
    boxes: list[float] = []
    scores: list[float] = []
    points: list[float] = []
    masks: list[float] = []
    for given, predictions in pairs:
        truths = [truth for truth in given if not is_flat(truth)]
        aside += len(given) - len(truths)
        whole = [truth for truth in truths if not (truth.size or truth.box or truth.oriented)]
        areas = [truth for truth in truths if truth.size and not truth.box]
        if whole:
            right += 1
            best = max((p for p in predictions if p.mask is None), key=lambda p: p.confidence, default=None)
            top = max(whole, key=lambda t: t.score)
            hit = best is not None and best.class_id == top.class_id
            found, wrong = found + hit, wrong + (not hit)
            if hit and best is not None:
                scores.append(abs(best.confidence - top.score))
        if areas:
            for truth in areas:
                area = next((p.mask for p in predictions if p.class_id == truth.class_id and p.mask is not None), None)
                masks.append(0.0 if area is None else _mask_iou(truth, area))
                right, found = right + 1, found + (masks[-1] >= _SAME)
            wrong += len({p.class_id for p in predictions if p.mask is not None} - {truth.class_id for truth in areas})
        if whole or areas:
            continue
        free = list(predictions)
        least = min(truth.score for truth in given) if len(given) >= _MOST else confidence
        for truth in sorted(truths, key=lambda t: -t.score):
            near = [(_overlap(truth, p), p) for p in free if p.class_id == truth.class_id and p.box is not None]
            # Of boxes that lie nearly alike, the one whose score is nearest.
            overlap, best = max(
                near, key=lambda item: (round(item[0], 2), -abs(item[1].confidence - truth.score)), default=(0.0, None)
            )
            if best is not None and overlap >= _SAME:
                free.remove(best)  # one without a pixel, too: else another would stand for it
            if best is None or overlap < _SAME or is_nothing(best):
                counts = truth.score >= confidence + MARGIN and not _is_thin(truth)
                right, aside = right + counts, aside + (not counts) + (overlap >= _SAME)
                continue
            right, found = right + 1, found + 1
            boxes.append(overlap)
            scores.append(abs(truth.score - best.confidence))
            points.extend(
                math.hypot(x - point.x, y - point.y)
                for (x, y, *seen), point in zip(truth.points, best.points if truth.points else (), strict=True)
                if not seen or seen[0] >= 0.5
            )
            if truth.size and not _is_thin(truth):
                masks.append(0.0 if best.mask is None else _mask_iou(truth, best.mask))
        least = max(least, confidence) + MARGIN
        others = sum(p.confidence >= least and not (is_nothing(p) or _has_little(p)) for p in free)
        wrong, aside = wrong + others, aside + len(free) - others
    nan = math.nan
    return Likeness(
        right, found, wrong, min(boxes, default=nan), max(scores, default=nan), max(points, default=nan),
        sum(masks) / len(masks) if masks else nan, aside,
    )  # fmt: skip


def is_flat(truth: Truth) -> bool:
    """Whether it is a box that was clipped to nothing at the picture's edge, or an object without a pixel: some report
    it, some do not.
    """
    if truth.size and (not truth.mask or _is_sliver(Box(*truth.box) if truth.box else None)):
        return True
    if truth.oriented:
        return abs(truth.oriented[2] * truth.oriented[3]) < 1
    return bool(truth.box) and _area(Box(*truth.box)) < 1


def is_nothing(found: Prediction) -> bool:
    """Whether it is a box without area, or an object without a pixel: Ultralytics drops those of some versions."""
    if found.mask is not None and (not found.mask.inside.any() or _is_sliver(found.box)):
        return True
    if found.oriented is not None:
        return abs(found.oriented.width * found.oriented.height) < 1
    return found.box is not None and _area(found.box) < 1


def _is_sliver(box: Box | None) -> bool:
    """Whether an object's box is less than a pixel wide or high: a bundle's mask has a row of pixels there, a package's
    none where none of their centres lies in it.
    """
    return box is not None and min(box.x2 - box.x1, box.y2 - box.y1) < 1


def _is_thin(truth: Truth) -> bool:
    """Whether hardly a pixel of its box is the object's."""
    return bool(truth.mask) and sum(end - start for start, end in truth.mask) < _THIN * _area(Box(*truth.box))


def _has_little(found: Prediction) -> bool:
    """The same of a prediction."""
    if found.mask is None or found.box is None:
        return False
    return int(np.count_nonzero(found.mask.inside)) < _THIN * _area(found.box)


def _area(box: Box) -> float:
    return max(box.x2 - box.x1, 0.0) * max(box.y2 - box.y1, 0.0)


def _overlap(truth: Truth, found: Prediction) -> float:
    if truth.oriented:
        if found.oriented is None:
            return 0.0
        x, y, width, height, angle = truth.oriented
        one = found.oriented
        row = np.array([x, y, abs(width), abs(height), angle])  # untrained heads give sizes below 0
        rows = np.array([[one.x, one.y, one.width, one.height, one.angle]])
        return float(oriented_iou(row, rows)[0])
    if found.box is None:
        return 0.0
    right, box = np.array([truth.box]), np.array([dataclasses.astuple(found.box)])
    alike = float(overlaps(right, box)[0, 0])
    # A package that gives whole pixels: of a box of two or three, half a one is a large part.
    return max(alike, float(overlaps(right, box.round())[0, 0])) if (right == right.round()).all() else alike


def _mask_iou(truth: Truth, found: Mask) -> float:
    right = np.zeros(truth.size[0] * truth.size[1], np.bool_)
    for start, end in truth.mask:
        right[start:end] = True
    return float(mask_overlaps([found], [Mask(0, 0, right.reshape(truth.size))], np.zeros(1, np.bool_))[0, 0])
