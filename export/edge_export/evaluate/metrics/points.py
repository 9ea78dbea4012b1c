"""Object key point similarity (OKS): how near found points are to the labelled ones, for the object's size.

The mean over labelled points of exp(-d^2 / (2 area (2 sigma)^2)), pycocotools, cocoeval.py, computeOks; sigma is how
far people who label a point differ (cocodataset.org, keypoints-eval).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["AREA_OF_BOX", "point_sigmas", "similarities"]

# COCO's 17 points of a person, from the nose to the right ankle.
_PERSON = (0.26, 0.25, 0.25, 0.35, 0.35, 0.79, 0.79, 0.72, 0.72, 0.62, 0.62, 1.07, 1.07, 0.87, 0.87, 0.89, 0.89)
# An object's area where only its box is known (Ultralytics, models/yolo/pose/val.py).
AREA_OF_BOX = 0.53


def point_sigmas(count: int) -> NDArray[np.float64]:
    """Return sigma of each point: COCO's for 17 points, else 1 / count as Ultralytics takes it."""
    return np.array(_PERSON) / 10 if count == len(_PERSON) else np.full(count, 1.0 / count)


def similarities(
    found: NDArray[np.float64], points: NDArray[np.float64], boxes: NDArray[np.float64], areas: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the OKS of each pair, float64 [n, m].

    `found` [n, K, 2] x y; the objects' `points` [m, K, 3] x y visibility (0: not labelled), `boxes` [m, 4] x1 y1 x2 y2
    and `areas` [m], all in pixels. Of an object without a labelled point it counts how far the found ones are from its
    box made three times as large.
    """
    spread = (2 * point_sigmas(points.shape[1])) ** 2
    labelled: NDArray[np.bool_] = points[:, :, 2] > 0
    apart = found[:, None] - points[None, :, :, :2]
    size = boxes[:, 2:] - boxes[:, :2]
    low, high = (boxes[:, :2] - size)[None, :, None], (boxes[:, :2] + 2 * size)[None, :, None]
    outside = np.maximum(0, low - found[:, None]) + np.maximum(0, found[:, None] - high)
    known: NDArray[np.bool_] = np.asarray(labelled.any(axis=1), np.bool_)
    apart = np.where(known[None, :, None, None], apart, outside)
    scaled = np.square(apart).sum(axis=3) / spread / (areas + np.spacing(1))[None, :, None] / 2
    counted = labelled | ~known[:, None]
    kept = np.where(counted[None], np.exp(-scaled), 0.0)
    mean: NDArray[np.float64] = kept.sum(axis=2) / counted.sum(axis=1)[None]
    return mean
