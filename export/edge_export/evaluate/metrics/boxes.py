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
    """True objects of one image, as Boxes; `crowd` bool [n] marks regions that count neither way, however many fall
    on them, and `ignored` bool [n] (None: none) single objects that do (without a labelled point, difficult).
    """

    boxes: NDArray[np.float64]
    classes: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    ignored: NDArray[np.bool_] | None = None

    @property
    def aside(self) -> NDArray[np.bool_]:
        """What counts neither way, bool [n]."""
        return self.crowd if self.ignored is None else self.crowd | self.ignored


@dataclass(frozen=True)
class Matches:
    """What became of each kept detection of one image: `order` its index, by falling score within its class.

    `hit` and `ignored` are bool [thresholds, kept]; a detection that is neither is a false alarm. `partner` int64
    [thresholds, kept] is the object that was hit, -1 where none was.
    """

    order: NDArray[np.int64]
    hit: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    partner: NDArray[np.int64]


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


def match(
    found: Boxes,
    truth: Objects,
    thresholds: NDArray[np.float64],
    max_per_class: int = 100,
    likeness: NDArray[np.float64] | None = None,
) -> Matches:
    """Match detections to objects of their class as COCO does (pycocotools, cocoeval.py, evaluateImg).

    In order of falling score each detection takes the free object that it is most like, if by at least the threshold;
    failing that it may fall on an object that counts neither way: a crowd region, which any number may share, or an
    ignored one. At most `max_per_class` detections of a class are looked at in one image. `likeness` float64 [n, m] of
    each detection and object is the IoU of their boxes where it is not given.
    """
    kept: list[NDArray[np.int64]] = []
    for class_id in np.unique(found.classes):
        members = np.flatnonzero(found.classes == class_id)
        kept.append(members[np.argsort(-found.scores[members], kind="stable")][:max_per_class])
    order = np.concatenate(kept) if kept else np.zeros(0, dtype=np.int64)
    hit = np.zeros((len(thresholds), len(order)), dtype=np.bool_)
    matches = Matches(order, hit, np.zeros_like(hit), np.full(hit.shape, -1, dtype=np.int64))
    if len(order) and len(truth.classes):
        alike = (
            overlaps(found.boxes[order], truth.boxes, truth.crowd)
            if likeness is None
            else likeness[order].astype(float)
        )
        alike[found.classes[order][:, None] != truth.classes[None, :]] = -1.0
        # Most detections touch nothing: only those that could match at the lowest threshold are walked
        # through.
        candidates = np.flatnonzero(alike.max(axis=1) >= thresholds.min())
        for level, threshold in enumerate(thresholds):
            _assign(alike, candidates, truth, float(threshold), matches, level)
    return matches


def _assign(
    alike: NDArray[np.float64],
    candidates: NDArray[np.int64],
    truth: Objects,
    threshold: float,
    matches: Matches,
    level: int,
) -> None:
    aside = truth.aside
    free, free_aside = ~aside, aside.copy()
    threshold = min(threshold, 1 - 1e-10)
    for row in candidates:
        best = _best(alike[row], free)
        if free[best] and alike[row, best] >= threshold:
            matches.hit[level, row], matches.partner[level, row] = True, best
            free[best] = False
            continue
        best = _best(alike[row], free_aside)
        if free_aside[best] and alike[row, best] >= threshold:
            matches.ignored[level, row] = True
            free_aside[best] = truth.crowd[best]


def _best(row: NDArray[np.float64], free: NDArray[np.bool_]) -> int:
    """The free object that is most alike; the last of equals, as pycocotools' loop keeps it."""
    values = np.where(free, row, -2.0)
    return len(values) - 1 - int(np.argmax(values[::-1]))
