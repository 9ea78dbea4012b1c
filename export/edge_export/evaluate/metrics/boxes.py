"""Boxes: overlap, and which detection found which object."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Boxes", "Matches", "Objects", "match", "overlaps"]


@dataclass(frozen=True)
class Boxes:
    """One image's detections: `boxes` float64 [n, 4] x1 y1 x2 y2, `classes` int64 [n], `scores` [n] 0..1."""

    boxes: NDArray[np.float64]
    classes: NDArray[np.int64]
    scores: NDArray[np.float64]


@dataclass(frozen=True)
class Objects:
    """True objects of one image, as Boxes; `crowd` bool [n] marks regions that count neither way."""

    boxes: NDArray[np.float64]
    classes: NDArray[np.int64]
    crowd: NDArray[np.bool_]


@dataclass(frozen=True)
class Matches:
    """What became of each kept detection of one image: `order` its index, by falling score within its class.

    `hit` and `ignored` are bool [thresholds, kept]; a detection that is neither is a false alarm.
    """

    order: NDArray[np.int64]
    hit: NDArray[np.bool_]
    ignored: NDArray[np.bool_]


def overlaps(
    left: NDArray[np.float64], right: NDArray[np.float64], crowd: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Return the IoU of each pair, float64 [n, m]; with a crowd region it is over the left box alone."""
    corner_low = np.maximum(left[:, None, :2], right[None, :, :2])
    corner_high = np.minimum(left[:, None, 2:], right[None, :, 2:])
    inside: NDArray[np.float64] = np.prod(np.clip(corner_high - corner_low, 0, None), axis=2)
    area_left = np.prod(left[:, 2:] - left[:, :2], axis=1)[:, None]
    area_right = np.prod(right[:, 2:] - right[:, :2], axis=1)[None, :]
    union = area_left + area_right - inside
    if crowd is not None:
        union = np.where(crowd[None, :], area_left, union)
    ratio: NDArray[np.float64] = np.divide(inside, union, out=np.zeros_like(inside), where=union > 0)
    return ratio


def match(found: Boxes, truth: Objects, thresholds: NDArray[np.float64], max_per_class: int = 100) -> Matches:
    """Match detections to objects of their class as COCO does (pycocotools, cocoeval.py, evaluateImg).

    In order of falling score each detection takes the free object it overlaps most, if by at least the
    threshold; failing that it may fall on a crowd region, which any number may share. At most `max_per_class`
    detections of a class are looked at in one image.
    """
    kept: list[NDArray[np.int64]] = []
    for class_id in np.unique(found.classes):
        members = np.flatnonzero(found.classes == class_id)
        kept.append(members[np.argsort(-found.scores[members], kind="stable")][:max_per_class])
    order = np.concatenate(kept) if kept else np.zeros(0, dtype=np.int64)
    hit = np.zeros((len(thresholds), len(order)), dtype=np.bool_)
    ignored = np.zeros_like(hit)
    if len(order) and len(truth.classes):
        iou = overlaps(found.boxes[order], truth.boxes, truth.crowd)
        iou[found.classes[order][:, None] != truth.classes[None, :]] = -1.0
        # Most detections touch nothing: only those that could match at the lowest threshold are walked
        # through.
        candidates = np.flatnonzero(iou.max(axis=1) >= thresholds.min())
        for level, threshold in enumerate(thresholds):
            _assign(iou, candidates, truth.crowd, float(threshold), hit[level], ignored[level])
    return Matches(order, hit, ignored)


def _assign(
    iou: NDArray[np.float64],
    candidates: NDArray[np.int64],
    crowd: NDArray[np.bool_],
    threshold: float,
    hit: NDArray[np.bool_],
    ignored: NDArray[np.bool_],
) -> None:
    free = ~crowd
    threshold = min(threshold, 1 - 1e-10)
    for row in candidates:
        overlap = np.where(free, iou[row], -1.0)
        # The last of equals, as pycocotools' loop keeps it.
        best = len(overlap) - 1 - int(np.argmax(overlap[::-1]))
        if overlap[best] >= threshold:
            hit[row] = True
            free[best] = False
        elif np.any(iou[row][crowd] >= threshold):
            ignored[row] = True
