"""Overlap of turned boxes: the exact IoU of two convex quadrilaterals.

DOTA's evaluation takes the same; Ultralytics takes ProbIoU instead (arXiv 2106.06072), which compares Gaussians and is
another figure: higher for boxes that hardly touch, lower for long ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_export.evaluate.metrics.boxes import overlaps
from edge_runtime.vision.postprocess.oriented import clipped, signed_area

__all__ = ["oriented_overlaps"]


def oriented_overlaps(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the IoU of each pair of convex quadrilaterals given by their corners in order, [n, 4, 2] and [m, 4, 2]."""
    ratio = np.zeros((len(left), len(right)))
    first, second = ([_clockwise(corners) for corners in side.tolist()] for side in (left, right))
    areas = [[signed_area(corners) for corners in side] for side in (first, second)]
    for row, column in np.argwhere(overlaps(_around(left), _around(right)) > 0):
        both = signed_area(clipped(first[row], second[column]))
        union = areas[0][row] + areas[1][column] - both
        ratio[row, column] = both / union if union > 0 else 0.0
    return ratio


def _around(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    around: NDArray[np.float64] = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    return around


def _clockwise(corners: list[list[float]]) -> list[list[float]]:
    return corners if signed_area(corners) >= 0 else corners[::-1]
