"""Overlap of turned boxes: the exact IoU of two convex quadrilaterals.

DOTA's evaluation takes the same; Ultralytics takes ProbIoU instead (arXiv 2106.06072), which compares Gaussians and is
another figure: higher for boxes that hardly touch, lower for long ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_export.evaluate.metrics.boxes import overlaps

__all__ = ["oriented_overlaps"]

Corners = list[tuple[float, float]]


def oriented_overlaps(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the IoU of each pair of convex quadrilaterals given by their corners in order, [n, 4, 2] and [m, 4, 2]."""
    ratio = np.zeros((len(left), len(right)))
    first, second = ([_clockwise(corners) for corners in side.tolist()] for side in (left, right))
    areas = [[_area(corners) for corners in side] for side in (first, second)]
    for row, column in np.argwhere(overlaps(_around(left), _around(right)) > 0):
        both = _area(_clipped(first[row], second[column]))
        union = areas[0][row] + areas[1][column] - both
        ratio[row, column] = both / union if union > 0 else 0.0
    return ratio


def _around(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    around: NDArray[np.float64] = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    return around


def _area(corners: Corners) -> float:
    """The shoelace formula; positive where corners go clockwise in the picture."""
    return (
        sum(x * after[1] - after[0] * y for (x, y), after in zip(corners, corners[1:] + corners[:1], strict=True)) / 2
    )


def _clockwise(corners: list[list[float]]) -> Corners:
    pairs = [(x, y) for x, y in corners]
    return pairs if _area(pairs) >= 0 else pairs[::-1]


def _clipped(subject: Corners, window: Corners) -> Corners:
    """What of one is within the other (Sutherland and Hodgman, CACM 17, 1974)."""
    for (x, y), (next_x, next_y) in zip(window, window[1:] + window[:1], strict=True):
        across, along = next_x - x, next_y - y
        sides = [across * (py - y) - along * (px - x) for px, py in subject]  # 0 or more: within this edge
        kept: Corners = []
        for index, (point, side) in enumerate(zip(subject, sides, strict=True)):
            before, side_before = subject[index - 1], sides[index - 1]
            if (side >= 0) != (side_before >= 0):
                share = side_before / (side_before - side)
                kept.append((before[0] + share * (point[0] - before[0]), before[1] + share * (point[1] - before[1])))
            if side >= 0:
                kept.append(point)
        subject = kept
    return subject
