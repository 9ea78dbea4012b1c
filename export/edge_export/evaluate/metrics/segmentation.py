"""Mean intersection over union of masks: per class over the whole data set, then the mean over classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_export.evaluate.metrics.bootstrap import Weights

__all__ = ["IGNORE", "MaskCounts", "collect_masks", "count_mask"]

IGNORE = 255


@dataclass(frozen=True)
class MaskCounts:
    """Pixels per image and class, int64 [images, classes]: in both masks, in the true one, in the model's."""

    both: NDArray[np.int64]
    true: NDArray[np.int64]
    found: NDArray[np.int64]

    def iou(self, weights: Weights) -> NDArray[np.float64]:
        """Return IoU per class, NaN for a class in neither mask."""
        both = (weights @ self.both).astype(np.float64)
        union = weights @ self.true + weights @ self.found - both
        ratio: NDArray[np.float64] = np.divide(both, union, out=np.full(len(both), np.nan), where=union > 0)
        return ratio

    def mean_iou(self, weights: Weights) -> float:
        """Return the mean IoU over classes that occur in the true masks (VOC's rule); NaN without any."""
        present = weights @ self.true > 0
        return float(self.iou(weights)[present].mean()) if present.any() else float("nan")


def count_mask(true: NDArray[np.uint8], found: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return int64 [3, 256]: pixels in both, in the true and in the found mask of a class. 255 is not judged.

    Both masks are uint8 [height, width] of the same size; ValueError if not.
    """
    if true.shape != found.shape:
        raise ValueError(f"masks must have the same size, found {true.shape} and {found.shape}")
    judged = true != IGNORE
    true, found = true[judged], found[judged]
    rows = (true[true == found], true, found)
    return np.stack([np.bincount(row, minlength=256) for row in rows]).astype(np.int64)


def collect_masks(counts: Sequence[NDArray[np.int64]]) -> MaskCounts:
    """Stack the counts of all images."""
    table = np.array(counts, dtype=np.int64).reshape(len(counts), 3, 256)
    return MaskCounts(table[:, 0], table[:, 1], table[:, 2])
